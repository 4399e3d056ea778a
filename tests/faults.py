"""Deliberate faults: does a test fail when the code is wrong?

    python tests/faults.py [word …]

Puts one fault at a time into a copy of the package, runs the tests there that should find it, and
prints which one does. With words, only the faults that have one of them in their description. The
exit status is 1 if a fault is found by no test, or if its text does not occur exactly once in its
file. A fault that survives is a test that is missing.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
SECONDS = 300  # for the tests of one fault


class Fault(NamedTuple):
    """A fault: what it is, the file, the text that is replaced and by what, the tests to run."""

    what: str
    file: str  # in tinygrad_rnn/
    text: str
    wrong: str
    tests: str  # the names of test files, without "test_"


RULES, SWEEP, GRADIENTS = "engine/rules.py", "engine/sweep.py", "engine/gradients.py"
TENSOR, RECORD, COMPOSED = "engine/tensor.py", "engine/record.py", "engine/composed.py"
HELD, CHECK, ARGUMENTS = "engine/held.py", "engine/check.py", "engine/arguments.py"
USES, TRIANGLE, JACOBIANS = "bptt/uses.py", "bptt/triangle.py", "bptt/jacobians.py"
PATHS, TRUNCATION = "bptt/paths.py", "bptt/truncation.py"
CONTRIBUTIONS = "bptt/contributions.py"
TRAINING, LANGUAGE_MODEL = "tasks/training.py", "tasks/language_model.py"
GENERATE, NGRAMS = "text/generate.py", "text/ngrams.py"
TAGGER, KEPT = "tasks/tagger.py", "program/kept.py"

# fmt: off
FAULTS = [
    # ------------------------------------------------------------------------------------ rules
    Fault("a dropped factor: sin' = 1", RULES,
          "g * np.cos(x)", "g", "rules"),
    Fault("a lost sign: cos' = sin", RULES,
          "-g * np.sin(x)", "g * np.sin(x)", "rules"),
    Fault("a wrong factor: tanh' = 1 − y", RULES,
          "g * (1 - y * y)", "g * (1 - y)", "rules"),
    Fault("a mean that is not divided, back", RULES,
          "g * (y.size / max(x.size, 1))", "g", "rules"),
    Fault("a mean of losses that is not divided, back", RULES,
          "g = g / count", "pass", "rules"),
    Fault("a wrong axis: softmax along the last one only, back", RULES,
          "y * (g - (g * y).sum(axis=axis, keepdims=True))",
          "y * (g - (g * y).sum(axis=-1, keepdims=True))", "rules"),
    Fault("axes put in order again by the order itself", RULES,
          "np.transpose(g, inverse(axes, x.ndim))", "np.transpose(g, axes)", "rules"),
    Fault("a concatenation cut at the parts behind", RULES,
          "start = sum(x.shape[axis] for x in xs[:slot])",
          "start = sum(x.shape[axis] for x in xs[slot + 1 :])", "rules"),
    Fault("np.add.at replaced by +=", RULES,
          "np.add.at(out, _filled(index, arrays), g)", "out[_filled(index, arrays)] += g",
          "rules tensor"),
    Fault("rows counted from the end are other rows", RULES,
          "rows.astype(np.intp) % len(out)", "rows.astype(np.intp)", "rules tensor"),
    Fault("ties not shared by maximum and minimum", RULES,
          "np.where(ties, 0.5 * g,", "np.where(ties, g,", "rules"),
    Fault("ties not shared by max() and min()", RULES,
          "(here / here.sum(axis=axis, keepdims=True))", "here", "rules"),
    Fault("an unmasked kink: relu'(0) = 1", RULES,
          "np.where(x <= 0, 0.0, g)", "np.where(x < 0, 0.0, g)", "rules"),
    Fault("an unmasked kink: the root of 0", COMPOSED,
          "np.sqrt(np.where(y == 0, 1.0, y))", "np.sqrt(y)", "rules"),
    Fault("a nan masked by clip", RULES,
          "np.where(np.logical_or(x < y, x > y), 0.0, g)", "np.where(x == y, g, 0.0)", "rules"),
    Fault("a constant that promotes", "engine/functions.py",
          "math.sqrt(2 / math.pi)", "np.sqrt(2 / np.pi)", "rules"),
    Fault("a half-precision mean that overflows", RULES,
          "if x.dtype == np.float16:\n        return np.mean", "if False:\n        return np.mean",
          "rules"),
    Fault("a Product with its rows in another order", RULES,
          "g = np.concatenate([product.g for product in alike], axis=-2)",
          "g = np.concatenate([product.g for product in alike[::-1]], axis=-2)", "sweep rules"),
    Fault("an overflow: no shift before exp", RULES,
          "return m, np.exp(x - m)", "return m * 0, np.exp(x)", "rules"),
    # ------------------------------------------------------------------------------------ sweep
    Fault("a missed accumulation: the last term only", SWEEP,
          "g = total(terms)", "g = worked_out(terms[-1])", "sweep"),
    Fault("a doubled term, after every so many", SWEEP,
          "arrived[:] = [total(arrived)]", "arrived.append(total(arrived))", "sweep"),
    Fault("terms that are never added up on the way", SWEEP,
          "len(arrived) == SUM_AFTER", "len(arrived) == -1", "sweep"),
    Fault("the sweep runs oldest first", SWEEP,
          "node = nodes.pop()", "node = nodes.pop(0)", "sweep"),
    Fault("no release", SWEEP,
          "if passed and not retain:", "if False:", "sweep"),
    Fault("release where nothing was asked for: always", SWEEP,
          "if passed and not retain:", "if True:", "sweep"),
    Fault("axes of length 1 are not summed over", SWEEP,
          "if i >= kept and (i < kept + extra or n != shape[i - extra])",
          "if kept <= i < kept + extra", "tensor rules"),
    Fault("the axis of the many adjoints is summed over", SWEEP,
          "if i >= kept and (i < kept + extra or n != shape[i - extra])",
          "if i < extra or n != shape[i - extra]", "rules"),
    Fault("nothing stops the sweep", SWEEP,
          "if primitive is None or node in stop:", "if primitive is None:", "bptt"),
    Fault("gradient nodes are not recorded in no_grad", SWEEP,
          "recorder.label, recorder.enabled = self.label, True", "recorder.label = self.label",
          "gradients sweep"),
    Fault("an error while differentiating leaves its label behind", SWEEP,
          "recorder.label, recorder.enabled = self.before", "pass", "record gradients sweep"),
    Fault("a nan is blamed on the wrong rule", SWEEP,
          "all(_finite(x) for x in old) and not", "not", "describe"),
    Fault("tg.grad of an intermediate does not find it", SWEEP,
          "if primitive is None or node in wanted:", "if primitive is None:", "gradients"),
    # -------------------------------------------------------------------------------- gradients
    Fault("forward mode drops a term", GRADIENTS,
          "moved[node] = sum(terms)", "moved[node] = terms[-1]", "gradients rules bptt"),
    Fault("forward mode keeps every tangent", GRADIENTS,
          "if last[x] is node:", "if False:", "gradients"),
    Fault("a Jacobian's later rows overwrite the first", GRADIENTS,
          "J[first : first + count] = found[input]", "J[:count] = found[input]", "gradients"),
    Fault("a gradient shared by two parents", TENSOR,
          "return g if isinstance(g, Tensor) else from_array(own(g))",
          "return g if isinstance(g, Tensor) else from_array(g)", "sweep rules"),
    Fault("a tangent not copied", GRADIENTS,
          "array.astype(x.dtype)", "array.astype(x.dtype, copy=False)", "gradients"),
    Fault("a hook is given the sweep's own array", TENSOR,
          "hook(g if isinstance(g, Tensor) else from_array(own(g)))",
          "hook(g if isinstance(g, Tensor) else from_array(g))", "sweep"),
    Fault("gradients of a second call replace the first", TENSOR,
          "x.grad = g if x.grad is None else x.grad + g", "x.grad = g", "sweep"),
    Fault("create_graph does not keep the graph", TENSOR,
          "retain=retain_graph or create_graph", "retain=retain_graph", "gradients sweep places"),
    Fault("tg.grad writes", GRADIENTS,
          "record=create_graph, retain=retain)\n",
          "record=create_graph, retain=retain)\n"
          "    for x, g in found.items():\n        x.grad = as_gradient(g)\n",
          "gradients sweep"),
    Fault("derivatives are 0 in no_grad", GRADIENTS,
          "with recording():", "if True:", "gradients"),
    # ------------------------------------------------------------------------- tensor and record
    Fault("writable values under the tape", TENSOR,
          "if self.primitive is not None or sys.getrefcount(self.array) > 2:",
          "if self.primitive is not None:", "tensor"),
    Fault("computed values can be written to", TENSOR,
          "if self.primitive is not None or sys.getrefcount(self.array) > 2:",
          "if sys.getrefcount(self.array) > 2:", "tensor"),
    Fault("an array operand not copied", ARGUMENTS,
          "array = x if isinstance(x, np.generic) else np.array(x)", "array = np.asarray(x)",
          "tensor"),
    Fault("the caller's array not copied", ARGUMENTS,
          "array = np.array(data, dtype=dtype)", "array = np.asarray(data, dtype=dtype)",
          "tensor"),
    Fault("the caller's array not copied, set later", TENSOR,
          "self.array = own(new)", "self.array = new.view()", "tensor"),
    Fault("the record keeps the caller's operand, not its copy", TENSOR,
          "if foreign:\n        pairs", "if False:\n        pairs", "tensor"),
    Fault("the caller's axes not copied", ARGUMENTS,
          "x.copy() if isinstance(x, np.ndarray) else x", "x", "rules"),
    Fault("a row of data shares its memory with it", TENSOR,
          "value if value.base is None else own(value)", "value", "tensor"),
    Fault("a view that is kept looks like a recording", TENSOR,
          "array if array.base is not None else array.view()", "array", "tensor"),
    Fault("a read-only view that is kept looks like a recording", HELD,
          "node.array.view().view(ReadOnly)", "node.array.view(ReadOnly)", "tensor"),
    Fault("detach() shares the value", TENSOR,
          "out = from_array(own(self.array), self._name)",
          "out = from_array(self.array, self._name)", "tensor"),
    Fault("recorded though no gradient is wanted", TENSOR,
          "recorder.enabled and (wanted or recorder.label.origin is not None)",
          "recorder.enabled", "tensor rules"),
    Fault("one line in two scopes of one name is one place", RECORD,
          "(*outer.scope, name), counts=outer.counts)", "(*outer.scope, name))", "record"),
    Fault("no_grad ends with an inner block", RECORD,
          "setattr(recorder, name, before)", "setattr(recorder, name, True)", "record"),
    Fault("one recorder for all threads", RECORD,
          "class _Recorder(threading.local):", "class _Recorder:", "record"),
    Fault("the label of an outer step is lost behind an inner loop", RECORD,
          "self.label = self.labels[-1]", "self.label = self.labels[0]", "record"),
    Fault("an older node left out of a history", RECORD,
          "x.number >= since", "x.number > since", "gradients sweep"),
    Fault("it is not said who holds a value", HELD,
          "self._check()\n        super()", "super()", "tensor"),
    Fault("the check by differences finds nothing", CHECK,
          "if wrong.any():", "if False:", "gradients"),
    Fault("the check looks at the first derivative only", CHECK,
          "if order >= 2:", "if order > 2:", "gradients"),
    Fault("the check is a thousand times less strict", CHECK,
          "rtol: float = 1e-6", "rtol: float = 1e-3", "gradients"),
    Fault("the check is a thousand times less strict at 0", CHECK,
          "atol: float = 1e-8", "atol: float = 1e-5", "gradients"),
    # ------------------------------------------------------------------------------------- bptt
    Fault("contributions that miss what is pulled back", USES,
          "found += read", "found += read if node is parameter else []", "bptt"),
    Fault("of several uses in one step, the first one only", CONTRIBUTIONS,
          "if use.step == step]", "if use.step == step][:1]", "bptt"),
    Fault("the triangle's rows and columns swapped", TRIANGLE,
          "for k in range(len(self._by_step))], axis=1)",
          "for k in range(len(self._by_step))], axis=0)", "bptt"),
    Fault("the triangle's seeds in another order", TRIANGLE,
          "one[t - 1] = 1", "one[-t] = 1", "bptt"),
    Fault("Jacobians with the ways past the state before", JACOBIANS,
          "many=True, stop=set(before))", "many=True)", "bptt"),
    Fault("the product of Jacobians in the order of time", JACOBIANS,
          "P = J @ P", "P = P @ J", "bptt"),
    Fault("vertical and horizontal swapped", PATHS,
          "part = horizontal if edge.horizontal else vertical",
          "part = vertical if edge.horizontal else horizontal", "bptt"),
    Fault("forward mode: later weights overwrite the first", "bptt/forward_mode.py",
          "g[first : first + count] =", "g[:count] =", "bptt"),
    Fault("a state that starts in float64", "nn/cells.py",
          "Tensor(np.zeros((batch_size, self.hidden_size), self.W.dtype)",
          "Tensor(np.zeros((batch_size, self.hidden_size))", "nn"),
    Fault("paths not multiplied", PATHS,
          "count.get(x, 0) + count[node]", "count[node]", "bptt"),
    Fault("truncation that is not cut", TRUNCATION,
          "stop = set(parts_of(states[cut]) if cut else ())", "stop = set()", "bptt"),
    Fault("a mask that reads the future", TRUNCATION,
          "return np.tril(kept)", "return kept", "bptt"),
    Fault("an optimizer that climbs", "optim.py",
          "value -= self.change(value, g, state)",
          "value += self.change(value, g, state)", "optim"),
    Fault("Adam without one bias correction", "optim.py",
          "moved /= math.sqrt(1 - b2**n)", "pass", "optim"),
    # ------------------------------------------------------------------------------------ tasks
    Fault("training that is resumed without the state it carried", TRAINING,
          "task.carried = saved", "ignored = saved", "training language_model"),
    Fault("training that is resumed at the beginning of the text", LANGUAGE_MODEL,
          "n % in_a_round, None)", "0, None)", "language_model"),
    Fault("a training that keeps its last model, and not its best", TRAINING,
          "if log and best(log) is log[-1]:", "if log:", "training"),
    Fault("a state that goes on where the text begins again", LANGUAGE_MODEL,
          "        if first:", "        if False:", "language_model"),
    Fault("a stream that is predicted without what stands before it", LANGUAGE_MODEL,
          "_, state = model(whole[np.maximum(before_it, 0)], state)", "pass", "language_model"),
    Fault("an unknown word that is written", LANGUAGE_MODEL,
          "logits[vocabulary.unknown] = -np.inf", "pass", "language_model"),
    Fault("dropout in use", TRAINING, "task.model.eval()", "pass", "training"),
    # ------------------------------------------------------------------------------------- text
    Fault("a nucleus without the class that fills it", GENERATE,
          "int(below.sum()) + 1", "max(1, int(below.sum()))", "text"),
    Fault("a temperature that multiplies", GENERATE,
          "shifted / temperature", "shifted * temperature", "text"),
    Fault("Kneser-Ney with the counts of the highest order in all", NGRAMS,
          "np.arange(m - 1, N) if m == n else _first(codes[m + 1], np.arange(m, N))",
          "np.arange(m - 1, N)", "text"),
    Fault("n-grams that overflow", NGRAMS,
          "np.unique(codes[-1] * (K + 1) + oldest, return_inverse=True)[1]",
          "codes[-1] * (K + 1) + oldest", "text"),
    Fault("batches whose order is the same in every round", "text/batches.py",
          "default_rng([seed, number])", "default_rng(seed)", "text"),
    # ---------------------------------------------------------------------------------- programs
    Fault("a program that serves a length at which f makes other nodes", "program/lengths.py",
          "if nodes != self.at_none + T * self.in_each:", "if False:", "lengths"),
    Fault("a program that is not compared at a new length", "program/lengths.py",
          "compare(here.run(", "(lambda *_: None)(here.run(", "lengths"),
    Fault("a batch that is taken for the steps", "program/lengths.py",
          "MOST_STATES = 2", "MOST_STATES = 0", "lengths"),
    Fault("a mask of dropout that stays what it was", "program/__init__.py",
          "arrays += [sample(rng) for rng", "arrays += [sample(np.random.default_rng(0)) for rng",
          "lengths"),
    Fault("a recording that draws what a call was to draw", "engine/drawn.py",
          "copy.deepcopy(rng)", "rng", "lengths"),
    Fault("buffers that are too small for a longer sequence", "program/execute.py",
          "if array.shape != shape:", "if array.size > math.prod(shape):", "lengths"),
    Fault("a program that stays prepared for another length", "program/execute.py",
          "self._kinds is not kinds", "False", "kept"),
    Fault("an out that NumPy may take for a third array", "program/execute.py",
          " and function not in NAMED", "", "kept"),
    Fault("an argument that is kept for the next call", KEPT,
          "fixed = kind in (SIZE, SHAPE, FIXED)", "fixed = kind is not None", "kept"),
    Fault("a name that is kept though it has two values", KEPT,
          "if self._times[name] == 1:", "if True:", "kept"),
    Fault("ones that are kept though they are written to", KEPT,
          "FIXED) and name not in self._changed", "FIXED)", "kept"),
    Fault("a row that is kept though its name gets another value", KEPT,
          "is not None and name not in rebound and not counts", "is not None and not counts",
          "kept"),
    Fault("a part that is looked for though it is not there", KEPT,
          "if self._sure or _never_fails(node) else", "if True else", "kept"),
    Fault("a new shape that is a copy, kept as a view", KEPT,
          "kind.whole and all(x in", "all(x in", "kept"),
    Fault("a row that is a number, kept as a view", KEPT,
          "kind.axes is not None and kind.axes > 1", "kind.axes", "kept"),
    Fault("two gradients in one array", "program/source.py",
          " and text not in texts", "", "compile"),
    Fault("lengths that are those of the recording", "nn/cells.py",
          "[:, None] < lengths", "[:, None] < as_array(lengths)", "lengths"),
    # ----------------------------------------------------------------------------------- tagging
    Fault("tagging: a sentence that reads its padding", TAGGER,
          "concatenate(x, axis=-1)), lengths=lengths)", "concatenate(x, axis=-1)))", "tagger"),
    Fault("tagging: padding that counts as words", TAGGER,
          "tags, ignore_index=PADDING)", "np.where(tags < 0, 0, tags))", "tagger"),
    Fault("tagging: words that are never taken for unknown", TAGGER,
          "rng.random(words.shape) < WORD_DROPOUT", "rng.random(words.shape) < 0", "tagger"),
    Fault("tagging: frequent words that are taken for unknown", TAGGER,
          "self._once[words] & ", "", "tagger"),
    Fault("tagging: sentences that come back in the order of their lengths", TAGGER,
          "found[place] = tuple", "found[start + b] = tuple", "tagger"),
    Fault("tagging: a yardstick that knows no ties", "tasks/scores.py",
          "key=lambda tag: (-tags[tag], -every[tag], tag)", "key=lambda tag: (-tags[tag], tag)",
          "tagger"),
    Fault("tagging: the first slash separates", "text/tagged.py",
          'item.rpartition("/")', 'item.partition("/")', "tagged"),
    Fault("tagging: the last part of a contraction comes first", "text/tagged.py",
          "return starts + ends[::-1]", "return starts + ends", "tagged"),
]
# fmt: on


def code_of(fault: Fault, root: Path = ROOT) -> str:
    """The text of the file that a fault belongs to."""
    return (root / "tinygrad_rnn" / fault.file).read_text(encoding="utf-8")


def applied(fault: Fault, root: Path = ROOT) -> str:
    """The text of that file with the fault in it; a ValueError if it isn't clear where."""
    code = code_of(fault, root)
    if code.count(fault.text) != 1:
        raise ValueError(f"{fault.what}: {code.count(fault.text)} times in {fault.file}, not once")
    return code.replace(fault.text, fault.wrong)


def tested(folder: Path, names: str) -> tuple[int, str]:
    """The exit status of the tests in a folder, and what they print."""
    files = [f"tests/test_{name}.py" for name in names.split()]
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *files]
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=SECONDS
        )
    except subprocess.TimeoutExpired:
        return -1, f"stopped after {SECONDS} s"
    return done.returncode, done.stdout


def found_by(fault: Fault, folder: Path) -> str | None:
    """The test that fails with a fault in the code; None if none does, or if they don't run."""
    path = folder / "tinygrad_rnn" / fault.file
    sound = code_of(fault, folder)
    path.write_text(applied(fault, folder), encoding="utf-8")
    status, said = tested(folder, fault.tests)
    path.write_text(sound, encoding="utf-8")
    failed = re.search(r"^FAILED tests/(.+?)(?: - |$)", said, re.M)
    return failed[1] if status == 1 and failed else None


def main(words: list[str]) -> int:
    faults = [f for f in FAULTS if not words or any(word in f.what for word in words)]
    if not faults:
        print(f"no fault is described by {', '.join(words)}")
        return 1
    for fault in faults:
        applied(fault)  # before anything runs
    missed = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("tinygrad_rnn", "tests"):
            shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("*.pyc"))
        shutil.copy(ROOT / "setup.cfg", folder)
        files = dict.fromkeys(" ".join(fault.tests for fault in faults).split())
        status, said = tested(folder, " ".join(files))
        if status:
            print(f"{said[-3000:]}\nthe tests fail without any fault")
            return 1
        for fault in faults:
            start = time.perf_counter()
            test = found_by(fault, folder)
            missed += test is None
            seconds = time.perf_counter() - start
            print(f"{fault.what:60} {seconds:5.1f} s  {test or 'NOT FOUND'}", flush=True)
    print(f"{len(faults)} faults, {missed} not found")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
