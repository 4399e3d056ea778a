"""Is every statement of the lecture on recurrent networks what the code does? Thirteen points.

Each point of the lecture is stated and then shown by running it: on a small language model that
is trained here, in seconds, on the characters of Python's language reference, and on eight steps of
it in float64. The gradients are compared with the lecture's formulas, written by hand in plain
NumPy (tinygrad_rnn/bptt/by_hand.py, which imports nothing of the package).

Source: the lecture's points 1 to 13 on recurrent networks and backpropagation through time; Werbos
1990; Pascanu, Mikolov, Bengio 2013 (arXiv 1211.5063).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from itertools import islice, pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from _show import Demo, apart, figure, norm

import tinygrad_rnn as tg
from tinygrad_rnn import text
from tinygrad_rnn.bptt import by_hand, truncation

Array = npt.NDArray[Any]

# Twelve sentences and four to test with, written and tagged for this demo (with the universal tags
# of universaldependencies.org): "can", "saw", "fish" and "run" have one tag here and another there.
TAGGED = """
    I/PRON can/AUX swim/VERB ./PUNCT
    the/DET can/NOUN is/AUX empty/ADJ ./PUNCT
    they/PRON can/AUX fish/VERB ./PUNCT
    the/DET fish/NOUN can/AUX swim/VERB ./PUNCT
    we/PRON saw/VERB a/DET fish/NOUN ./PUNCT
    a/DET saw/NOUN is/AUX sharp/ADJ ./PUNCT
    they/PRON saw/VERB the/DET run/NOUN ./PUNCT
    we/PRON run/VERB ./PUNCT
    the/DET run/NOUN is/AUX long/ADJ ./PUNCT
    a/DET long/ADJ run/NOUN can/AUX help/VERB ./PUNCT
    I/PRON saw/VERB the/DET sharp/ADJ can/NOUN ./PUNCT
    we/PRON help/VERB ./PUNCT
"""
NEW = """
    the/DET fish/NOUN saw/VERB a/DET can/NOUN ./PUNCT
    we/PRON can/AUX run/VERB ./PUNCT
    a/DET saw/NOUN can/AUX help/VERB ./PUNCT
    a/DET sharp/ADJ fish/NOUN can/AUX run/VERB ./PUNCT
"""


# ------------------------------------------------------------------------------------ the network


class Network(tg.nn.Module):
    """From a class (a character, a word) to a prediction of another (the next one, a tag).

    E: (inputs, D) embeddings   V: (D, H)   W: (H, H)   b_h: (H,)   U: (H, K)   b_y: (K,)
    """

    def __init__(self, inputs: int, D: int, H: int, K: int, rng: np.random.Generator) -> None:
        def normal(*shape: int) -> Array:
            return (rng.standard_normal(shape) / math.sqrt(shape[0])).astype(np.float32)

        self.E = tg.Parameter(normal(inputs, D) * math.sqrt(inputs / D))
        self.V = tg.Parameter(normal(D, H))
        self.W = tg.Parameter(np.linalg.qr(normal(H, H))[0])
        self.b_h = tg.Parameter(np.zeros(H, np.float32))
        self.U = tg.Parameter(normal(H, K))
        self.b_y = tg.Parameter(np.zeros(K, np.float32))

    def step(self, word: Any, h: Any) -> tuple[tg.Tensor, tg.Tensor]:
        """The lecture's equations: classes (B,) and h_{t-1} (B, H) to h_t and ŷ_t (B, K)."""
        x = tg.embedding(self.E, word)
        h = np.tanh(x @ self.V + h @ self.W + self.b_h)
        y_hat = h @ self.U + self.b_y
        return h, y_hat

    def initial_state(self, B: int) -> tg.Tensor:
        return tg.tensor(np.zeros((B, len(self.W)), self.W.dtype), name="h")

    def arrays(self) -> dict[str, Array]:
        """The weights that the lecture has, by its letters: what `by_hand` takes."""
        return {name: p.data for name, p in self.named_parameters() if name != "E"}


def run(network: Network, words: Any, y: Any, h: Any) -> tuple[list[tg.Tensor], list[tg.Tensor]]:
    """All steps: words (T, B), y (T, B) and h_0 to the states h_0 … h_T and losses L_1 … L_T."""
    states, losses = [h], []
    for _t, word, y_t in tg.steps(words, y):
        h, y_hat = network.step(word, h)
        L_t = tg.cross_entropy(y_hat, y_t)
        states.append(h)
        losses.append(L_t)
    return states, losses


def train(network: Network, sequences: Any, updates: int, lr: float) -> None:
    """Adam on chunks (is it the start of a text?, words, y); the state is carried over."""
    optimizer = tg.optim.Adam(network.parameters(), lr)
    h: Any = None
    for n, (first, words, y) in enumerate(islice(sequences, updates)):
        h = network.initial_state(words.shape[1]) if first else h.detach()
        states, losses = run(network, words, y, h)
        h, L = states[-1], tg.add_n(losses)
        L.backward()
        tg.optim.clip_grad_norm(network.parameters(), 10.0)
        optimizer.lr = lr * 0.5 * (1 + math.cos(math.pi * n / updates))
        optimizer.step()
        optimizer.zero_grad()


def held_out_loss(network: Network, ids: Array) -> float:
    """Nats per character of a text, read as 32 streams from h_0 = 0."""
    length = (len(ids) - 1) // 32
    _, characters, y = next(text.walk(ids, 32, length))
    with tg.no_grad():
        _, losses = run(network, characters, y, network.initial_state(32))
    return sum(L_t.item() for L_t in losses) / length


def quietly(network: Network, word: int, h: Any) -> tuple[Array, Any]:
    """One step of one sequence, not recorded: the logits (K,) and the state."""
    with tg.no_grad():
        h, y_hat = network.step(np.array([word]), h)
    return y_hat.data[0], h


# ------------------------------------------------------------------------- points 1 to 4: networks


def predictions(demo: Demo, network: Network, corpus: text.Corpus) -> None:
    """Point 1: a sequence, read element by element, with a prediction at each."""
    demo.heading(
        "1. A recurrent network reads a sequence element by element and predicts at each step."
    )
    characters = corpus.vocabulary
    rows = [["t", "reads x_t", "likeliest next", "then came", "its p"]]
    h: Any = network.initial_state(1)
    read = " the function"
    for t, (c, y) in enumerate(pairwise(read), 1):
        logits, h = quietly(network, int(characters.encode(c)[0]), h)
        p = tg.softmax(logits)
        best = np.argsort(-p)[:3]
        three = "  ".join(f"{characters.decode([k])!r} {p[k]:.2f}" for k in best)
        rows.append([str(t), repr(c), three, repr(y), f"{p[characters.encode(y)[0]]:.2f}"])
    demo.table(rows)


def language_model(demo: Demo, network: Network, corpus: text.Corpus, updates: int) -> None:
    """Point 2: the distribution over the vocabulary, and text by feeding back."""
    demo.heading(
        "2. Language modelling: the inputs are embeddings, the output at each step is a "
        "distribution over the vocabulary. Text is generated by feeding each output back."
    )
    K, D = network.E.shape
    demo.say(
        f"Here the elements are characters, K = {K} of them, each a row of E, of D = {D} numbers, "
        "that is learned with the rest. On held-out text, nats per character:"
    )
    rows = [["uniform, ln K", f"{math.log(K):.3f}"]]
    for n, name in ((1, "unigram, by counting"), (2, "bigram, by counting")):
        exact = text.ngram_loss(corpus.train, corpus.held_out, n, K, 0.01)
        rows.append([name, f"{exact:.3f}"])
    demo.table([*rows, ["this network", f"{held_out_loss(network, corpus.held_out):.3f}"]])
    read = corpus.vocabulary.encode("The ")
    rng = np.random.default_rng(0)
    h = network.initial_state(1)
    written = text.generate(lambda c, h: quietly(network, c, h), h, read, 0.6, rng)
    words = corpus.vocabulary.decode([*read, *islice(written, 200)]).split()
    demo.say("It writes, each character drawn and read again (temperature 0.6):")
    demo.say(f"“{' '.join(words)}”")
    demo.say(f"So much, and no sense, is reached in {updates} updates.")


def tagging(demo: Demo, rng: np.random.Generator) -> None:
    """Point 3: the same network, with tags for outputs."""
    demo.heading(
        "3. Part-of-speech tagging: the same inputs; the output at each step is a distribution "
        "over tags."
    )
    known, new = (
        [[pair.split("/") for pair in line.split()] for line in lines.strip().splitlines()]
        for lines in (TAGGED, NEW)
    )
    words = sorted({word for sentence in known for word, _ in sentence})
    tags = sorted({tag for sentence in known for _, tag in sentence})

    def ids(sentence: list[list[str]]) -> tuple[bool, Array, Array]:
        x, y = ([index.index(w) for w in column] for index, column in
                zip((words, tags), zip(*sentence, strict=True), strict=True))  # fmt: skip
        return True, np.array(x)[:, None], np.array(y)[:, None]

    tagger = Network(len(words), 8, 16, len(tags), rng)
    train(tagger, (ids(known[n % len(known)]) for n in range(240)), 240, 0.02)
    count = Counter((word, tag) for sentence in known for word, tag in sentence)
    right = baseline = total = 0
    rows = []
    for sentence in new:
        h: Any = tagger.initial_state(1)
        found = []
        for word, tag in sentence:
            logits, h = quietly(tagger, words.index(word), h)
            found.append(tags[int(np.argmax(logits))])
            right += found[-1] == tag
            baseline += max(tags, key=lambda other: count[word, other]) == tag
            total += 1
        pairs = zip(sentence, found, strict=True)
        rows += [[" ".join(f"{w}/{f}" if f == t else f"{w}/{f}, not {t}," for (w, t), f in pairs)]]
    demo.say(
        f"{len(known)} short sentences, written for this demo, and {len(new)} new ones of the same "
        "words, some of which have two tags. What the network says:"
    )
    demo.table(rows)
    demo.say(
        f"Right: {right} of {total}; {baseline} of {total} by the most frequent tag of each word, "
        "which looks at no other. A toy: this measures nothing about English."
    )


def middle_boxes(demo: Demo, rng: np.random.Generator) -> None:
    """Point 4: several middle boxes, the same differentiation."""
    demo.heading(
        "4. The middle box can be an MLP of several kinds; the simplest is one hidden layer. The "
        "same V, W, U, b_h, b_y at every step."
    )
    demo.show("h_t = f_h(x_t V + h_{t-1} W + b_h)        ŷ_t = f_y(h_t U + b_y)")
    V, W, U, W_2 = (tg.tensor(0.5 * rng.standard_normal(s), requires_grad=True)
                    for s in ((3, 4), (4, 4), (4, 5), (4, 4)))  # fmt: skip
    x, y = rng.standard_normal((6, 2, 3)), rng.integers(0, 5, (6, 2))

    def loss(box: Callable[[Any], Any], V: Any, W: Any, U: Any) -> Any:
        h, losses = np.zeros((2, 4)), []
        for _t, x_t, y_t in tg.steps(x, y):
            h = box(x_t @ V + h @ W)
            losses.append(tg.cross_entropy(h @ U, y_t))
        return tg.add_n(losses)

    boxes: dict[str, Callable[[Any], Any]] = {
        "one hidden layer, tanh": np.tanh,
        "one hidden layer, softplus": tg.softplus,
        "two hidden layers, tanh": lambda a: np.tanh(np.tanh(a) @ W_2),
    }
    for box in boxes.values():
        tg.check_gradients(lambda *weights, box=box: loss(box, *weights), V, W, U, order=1)
    demo.say(
        f"Six steps with {'; '.join(boxes)}. `backward()` is the same for each, and passes the "
        "check against central differences. The number of parameters does not depend on T."
    )


# -------------------------------------------------------------------------- points 5 to 8: the sum


class Steps:
    """Some steps of the language model in float64, recorded: what points 5 to 13 look at."""

    def __init__(self, network: Network, corpus: text.Corpus, T: int, at: int = 0) -> None:
        self.network = Network(*network.E.shape, *network.U.shape, np.random.default_rng())
        for name, p in network.named_parameters():
            setattr(self.network, name, tg.Parameter(p.data.astype(np.float64)))
        characters = corpus.held_out[at : at + T + 1]
        self.text = corpus.vocabulary.decode(characters)
        h: Any = self.network.initial_state(1)
        for c in corpus.held_out[max(at - 50, 0) : at]:  # so that h_0 is not 0
            _, h = quietly(self.network, int(c), h)
        words, self.y = characters[:-1, None], characters[1:, None]
        self.x = self.network.E.data[words]  # (T, 1, D)
        h_0 = tg.tensor(h.data, requires_grad=True, name="h")
        word, y = tg.tensor(words, name="word"), tg.tensor(self.y, name="y")
        self.states, self.losses = run(self.network, word, y, h_0)
        L = tg.add_n(self.losses)  # the drawings take its name from this line
        self.L = L

    @property
    def by_hand(self) -> tuple[Array, Array, Array]:
        return self.x, self.y, self.states[0].data


def two_drawings(demo: Demo, steps: Callable[[int], Steps]) -> None:
    """Point 5: what depends on the length, and what does not."""
    demo.heading(
        "5. Two drawings: the unfolded one depends on the length, the folded one does not. "
        "Training uses the unfolded one."
    )
    rows = [["steps T", "nodes, unfolded", "nodes, folded"]]
    loops = {T: tg.fold(steps(T).L) for T in (3, 30)}
    for T, loop in loops.items():
        rows.append([str(T), str(len(loop.unfold())), str(len(loop.nodes))])
    demo.table(rows)
    demo.say(
        "Folded, a line of code is one node, with all its steps. The two recordings fold to "
        f"the same loop: {loops[3] == loops[30]}."
    )
    demo.say(
        "The drawings: unfolded_2.png and unfolded_4.png, a column for each step; folded.png, the "
        "loop for any T, where what enters the black square comes out one step later."
    )
    for T in (2, 4):
        demo.draw(f"unfolded_{T}.png", steps(T).L)
    demo.draw("folded.png", steps(4).L, folded=True)


def sum_of_losses(demo: Demo, s: Steps) -> None:
    """Point 6."""
    demo.heading("6. A loss at each step; their sum is the total loss.")
    demo.say(f"The eight steps that all of what follows is about read {s.text[:-1]!r}:")
    T = len(s.losses)
    demo.table([
        ["t", *map(str, range(1, T + 1)), "sum"],
        ["reads", *map(repr, s.text[:-1]), ""],
        ["L_t", *(f"{L_t.item():.3f}" for L_t in s.losses), f"{s.L.item():.3f}"],
    ])  # fmt: skip


def two_directions(demo: Demo, s: Steps) -> None:
    """Point 7: dL/dh_t = vertical + horizontal."""
    demo.heading(
        "7. Backpropagation now runs in two directions: down the layers (vertical) and back in "
        "time (horizontal). That is backpropagation through time, BPTT."
    )
    parts = [tg.bptt.split(s.L, h) for h in s.states[1:]]
    rows = [["norm of", *(f"t = {t}" for t in range(1, len(parts) + 1))]]
    for name, kind in (("vertical part", "vertical"), ("horizontal part", "horizontal"),
                       ("dL/dh_t, their sum", "total")):  # fmt: skip
        rows.append([name, *(f"{norm(getattr(part, kind)):.3f}" for part in parts)])
    demo.table(rows)
    demo.say(
        "Norms of vectors, so they don't add up themselves. The last state has no horizontal part: "
        "nothing comes from after the end."
    )


def sum_over_time(demo: Demo, s: Steps) -> None:
    """Point 8: the terms of dL/dW."""
    demo.heading(
        "8. Shared parameters: the gradient is the sum of the gradients over the time steps."
    )
    W = s.network.W
    uses = tg.bptt.contributions(s.L, W)
    demo.show(uses)
    (dW,) = tg.grad(s.L, W, retain_graph=True)
    demo.say(
        f"The sum over the {len(uses)} steps and dL/dW of `backward()` differ by at most "
        f"{apart(uses.total, dW):.1e}. One of the {W.size:,} elements, in full:"
    )
    demo.show(tg.bptt.explain(s.L, W))
    letters = [{" ": "␣", "\n": "⏎"}.get(c, c) for c in s.text[:-1]]
    demo.plot("sum_over_time.png", lambda: uses.plot(labels=letters).figure)


# ----------------------------------------------------------------- points 9 to 13: the derivatives


def output_matrix(demo: Demo, s: Steps, C: dict[str, Array]) -> None:
    """Point 9: U has only the diagonal."""
    demo.heading("9. dL/dU is vertical only:  dL_t/dU = ∂L_t/∂ŷ_t · ∂ŷ_t/∂U.")
    triangle = tg.bptt.triangle(s.losses, s.network.U)
    demo.show(triangle)
    demo.say(
        "Only the diagonal is filled: loss t reaches U through its own step. Every term and that "
        f"of the formula, by hand: they differ by at most {apart(triangle, C['U']):.1e}."
    )


def total_derivative(demo: Demo, s: Steps, C: dict[str, Array]) -> None:
    """Point 10: the formula, put together from parts that are read off the recording."""
    demo.heading("10. dL/dW is the total derivative, since h_{t-1} depends on W too:")
    demo.show("dL_t/dW = ∂L_t/∂ŷ_t · ∂ŷ_t/∂h_t · Σ_{k≤t} ( Π_{i=k+1..t} ∂h_i/∂h_{i-1} ) · ∂⁺h_k/∂W")
    W, T = s.network.W, len(s.losses)
    triangle = tg.bptt.triangle(s.losses, W)
    demo.show(triangle)
    demo.say(
        "Every term and that of the formula, by hand: they differ by at most "
        f"{apart(triangle, C['W']):.1e}. For t = {T}, factor by factor, as norms:"
    )
    dh = tg.bptt.split(s.losses[-1], s.states[-1]).vertical  # ∂L_T/∂ŷ_T · ∂ŷ_T/∂h_T
    J = tg.bptt.jacobians(s.states)
    sizes = J.log_norms()
    rows = [
        ["k", "∂L_t/∂h_t", "Π ∂h_i/∂h_{i-1}", "∂⁺h_k/∂W", "their product", "C[t, k] differs by"]
    ]
    for k in range(T, 0, -1):
        now = tg.bptt.immediate(s.states[k], W)  # (1, H, H, H)
        term = np.tensordot(dh.ravel() @ J.product(T, k), now[0], axes=1)
        numbers = f"{norm(dh):.3f}", f"{np.exp(sizes[T, k]):.4f}", f"{norm(now):.2f}"
        difference = apart(term, triangle.terms[T - 1, k - 1])
        rows.append([str(k), *numbers, f"{norm(term):.5f}", f"{difference:.1e}"])
    demo.table(rows)

    def plot() -> Any:
        fig = figure(8.6, 3.7)
        for ax, name in zip(fig.subplots(1, 2), ("U", "W"), strict=True):
            tg.bptt.triangle(s.losses, getattr(s.network, name)).plot(ax)
            ax.set_title(f"dL/d{name}")
        return fig

    demo.plot("triangles.png", plot)


def input_matrix(demo: Demo, s: Steps, C: dict[str, Array]) -> None:
    """Point 11: V needs the way back, too."""
    demo.heading(
        "11. The question: must one go back in time for V? Yes: every earlier hidden state "
        "depends on V too."
    )
    V = s.network.V
    triangle = tg.bptt.triangle(s.losses, V)
    demo.show(triangle)
    (vertical,) = truncation.sliding(s.losses, s.states, [V], 1)
    off = truncation.bias([vertical], [triangle.total])
    demo.say(
        f"A lower triangle, as for W; by hand it differs by at most {apart(triangle, C['V']):.1e}. "
        f"Without the way back (the diagonal alone), dL/dV would be off by {off.relative:.0%} of "
        f"its norm, and turned by {off.degrees:.0f} degrees."
    )


def fancy_name(demo: Demo, s: Steps) -> None:
    """Point 12: the derivation by hand and `backward()`."""
    demo.heading("12. BPTT is ordinary backpropagation with a fancy name.")
    weights = s.network.arrays()
    (dW,) = tg.grad(s.L, s.network.W, create_graph=True)
    order = " ".join(str(term.step) for term in dW.inputs)
    s.L.backward()  # knows nothing of time
    _, gradients = by_hand.backward(*s.by_hand, **weights)
    rows = [["gradient", "shape", "largest element", "BPTT by hand differs by"]]
    worst = 0.0
    for name in ("U", "W", "V", "b_h", "b_y"):
        grad = getattr(s.network, name).grad.data
        worst = max(worst, difference := apart(grad, gradients[name]))
        shape = "×".join(map(str, grad.shape))
        rows.append([f"dL/d{name}", shape, f"{np.abs(grad).max():.4f}", f"{difference:.1e}"])
    demo.table(rows)
    demo.say(
        f"`backward()` and BPTT by hand differ by at most {worst:.1e}. The sweep goes through what "
        f"was recorded, newest first; so the terms of dL/dW came from the steps {order}."
    )


def what_comes_next(demo: Demo, s: Steps) -> None:
    """Point 13: the product of Jacobians, over more steps."""
    demo.heading(
        "13. What comes next: the product of Jacobians is where training gets difficult (vanishing "
        "and exploding gradients)."
    )
    demo.show(tg.bptt.jacobians(s.states))
    demo.say(
        f"The bound allows a factor of {tg.bptt.bound(s.network.W):.2f} per step (the largest "
        "singular value of W). 02_vanishing_and_exploding.py goes on from here."
    )


def main() -> None:
    demo = Demo(__file__, __doc__)
    rng = np.random.default_rng(0)
    corpus = text.split(text.language_reference(), "Python's language reference")
    K = len(corpus.vocabulary)
    D, H, updates = (8, 16, 60) if demo.quick else (24, 96, 1200)
    network = Network(K, D, H, K, rng)
    train(network, text.walk(corpus.train, 32, 25), updates, 0.01)

    def steps(T: int) -> Steps:
        return Steps(network, corpus, T, at=corpus_at)

    corpus_at = corpus.vocabulary.decode(corpus.held_out).index("function", 1000)
    predictions(demo, network, corpus)
    language_model(demo, network, corpus, updates)
    tagging(demo, rng)
    middle_boxes(demo, rng)
    two_drawings(demo, steps)
    s = steps(8)
    C = by_hand.terms(*s.by_hand, **s.network.arrays())
    sum_of_losses(demo, s)
    two_directions(demo, s)
    sum_over_time(demo, s)
    output_matrix(demo, s, C)
    total_derivative(demo, s, C)
    input_matrix(demo, s, C)
    fancy_name(demo, s)
    what_comes_next(demo, steps(20 if demo.quick else 60))
    demo.end()


if __name__ == "__main__":
    main()
