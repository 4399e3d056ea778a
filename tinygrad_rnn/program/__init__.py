"""The derived program: a recorded training step as the NumPy function a specialist would write.

    trace (a run of the function, recorded) → fold (the loop instead of its steps) → equations →
    normal (one form for all spellings) → patterns (losses, sums of products) → schedule (what is a
    loop, and what is one operation over all steps) → memory (what is kept where) → source → kept
    (what is done once for many calls) → execute

derive does this, one pass after another; lengths sees to it that one program serves all numbers of
steps; measure and report say what a program consists of, and where its time goes.

What comes out for a recurrent network is backpropagation through time as people write it by hand;
nothing in here knows of it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..engine.record import recorder
from ..engine.tensor import Tensor, from_arrays
from .derive import Derived, derive
from .lengths import AnyLength, of_any_length, sequences
from .report import report
from .trace import Gradient, Place, Unsupported, fill, flatten, key_of, one_at_a_time, trace

__all__ = ["Program", "compile"]

MOST = 256  # kinds of arguments that are remembered


def compile(f: Callable[..., Any]) -> Program:
    """Derive a NumPy program from a function on tensors, and run it in the function's place.

    f: takes arrays and tensors (also inside lists, tuples and dicts), computes with parameters that
    it finds in its closure or its globals, may call `backward()`, and returns tensors.

    The first call with arguments of some shapes and dtypes runs f and records it. Later calls run
    the derived program: they return what f would return, as tensors without history, and add to the
    `.grad` of the parameters what f would add. Parameters and tensors from outside are read as they
    are at each call; a number, an array or an object that f has from outside and that is another
    one than before makes f be recorded anew.

    Sequences may have any length, if time is the first axis of the arguments: the program is
    derived from their first few steps, and at each new length f runs once as it is, to see that the
    program does what it does. Where that is not so, f is recorded at this length.

    What f does besides, such as printing or appending to a list, happens when it runs, and that is
    at each new kind of arguments, and more than once. The masks of `nn.Dropout` are drawn anew at
    each call, as f would draw them; other random numbers stay those of the recording. f must not
    read a value of a tensor (`.item()`, `if loss > 3`): that is a RuntimeError. Inside another
    compiled function, in `trace_errors`, or fed a tensor that was computed from parameters, it is f
    that runs.
    """
    if not callable(f):
        raise TypeError(f"compile: {type(f).__name__} is not a function")
    return Program(f)


class Program:
    """A compiled function, called as the function is.

    source: the program of the last call, as text that runs by itself.
    """

    def __init__(self, f: Callable[..., Any]) -> None:
        functools.update_wrapper(self, f, updated=())
        self._f = f
        self._derived: dict[Any, Derived] = {}
        self._any_length: dict[Any, AnyLength] = {}
        self._last: Derived | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if recorder.draws is not None or recorder.tracing:  # part of what another one records
            return self._f(*args, **kwargs)
        given: list[Any] = [*args]
        key: list[Any] = [recorder.enabled]
        arrays = None if kwargs else _arrays_of(given, key)
        if arrays is not None:  # arrays and nothing else, as most calls have them: the short way
            args = self._places(len(args))
        else:
            given, key = [], [recorder.enabled]
            args, kwargs = flatten(args, given), flatten(kwargs, given)
            arrays = _arrays_of(given, key) or []
            key += [key_of(args), key_of(kwargs)]
        of_call = tuple(key)
        derived = self._derived.get(of_call)
        if derived is None or not derived.outside.unchanged():
            if any(map(_is_computed, given)):  # part of a larger graph
                return self._f(*fill(args, given), **fill(kwargs, given))
            with one_at_a_time:
                derived = self._derive(of_call, args, kwargs, given)
        self._last = derived
        if derived.prepare is None:
            return self._run_itself(args, kwargs, given)
        arrays += [sample(rng) for rng, sample in derived.drawn]
        try:
            results = derived.run(*arrays)
        except IndexError:  # a class that is none, say
            results = None
        if results is None:  # f can tell which, and where
            return self._run_itself(args, kwargs, given)
        tensors = from_arrays(results)
        if derived.gradients:
            with one_at_a_time:
                self._leave(derived.gradients, given, tensors)
        return fill(derived.result, tensors)

    def _run_itself(self, args: Any, kwargs: Any, given: list[Any]) -> Any:
        """What f returns, as a program would return it."""
        leaves: list[Any] = []
        tree = flatten(self._f(*fill(args, given), **fill(kwargs, given)), leaves)
        return fill(tree, [x.detach() if isinstance(x, Tensor) else x for x in leaves])

    @staticmethod
    def _leave(gradients: list[Gradient], given: list[Any], tensors: list[Tensor]) -> None:
        for gradient in gradients:
            at = gradient.argument
            leaf: Any = gradient.tensor if at is None else given[at]
            if gradient.output is None:
                leaf.grad = None
            else:
                g = tensors[gradient.output]
                leaf.grad = g if leaf.grad is None or not gradient.added else leaf.grad + g

    @staticmethod
    @functools.cache
    def _places(count: int) -> tuple[Place, ...]:
        return tuple(map(Place, range(count)))

    def _derive(self, key: Any, args: Any, kwargs: Any, given: list[Any]) -> Derived:
        name = getattr(self._f, "__name__", "program")
        name = name if name.isidentifier() else "program"
        derived = self._for_any_length(key, args, kwargs, given, name)
        if derived is None:
            try:
                derived = derive(trace(self._f, args, kwargs, given), name)
            except Unsupported as why:
                derived = Derived.nothing(self._f, str(why))
        for remembered in (self._derived, self._any_length):
            if len(remembered) >= MOST:
                remembered.clear()
        self._derived[key] = derived
        return derived

    def _for_any_length(
        self, key: Any, args: Any, kwargs: Any, given: list[Any], name: str
    ) -> Derived | None:
        """The program that serves all numbers of steps, if there is one and it serves this."""
        for T, places in sequences(given):
            kind = _without_length(key, given, places)
            known = self._any_length.get(kind)
            if known is None or not known.derived.outside.unchanged():
                known = of_any_length(T, places, self._f, args, kwargs, given, name)
                if known is None:
                    continue
                self._any_length[kind] = known
            try:
                return known.at(T, self._f, args, kwargs, given)
            except Unsupported:
                continue
        return None

    @property
    def source(self) -> str:
        """The program of the last call as the text of a module with one NumPy function."""
        derived = self._called()
        if derived.source is None:
            raise RuntimeError(f"no program was derived, and the function runs: {derived.why}")
        return derived.source

    def report(self, times: bool = False) -> str:
        """What the program of the last call consists of, and what its parts compute, as a table.

        times: also how long they take, next to what the matrix products of this machine allow. The
        text is run for that, on other numbers of the same shapes: two dozen times, or more often
        in a quarter of a second.
        """
        return report(self._called(), times)

    def _called(self) -> Derived:
        if self._last is None:
            raise RuntimeError("call the program first: it is derived from a call's recording")
        return self._last


def _arrays_of(given: Sequence[Any], key: list[Any]) -> list[Any] | None:
    """The arrays of arguments; None if one is neither an array nor a tensor.

    What a recording depends on is added to the key.
    """
    arrays: list[Any] = []
    for x in given:
        if isinstance(x, Tensor):
            key.append("computed" if _is_computed(x) else x.requires_grad)
            array = x.array
        elif isinstance(x, np.ndarray):
            array = np.asarray(x)
        else:
            return None
        key.append(array.shape)
        key.append(array.dtype)
        arrays.append(array)
    return arrays


def _is_computed(x: Any) -> bool:
    """Whether x is a tensor that was computed from something that requires a gradient."""
    return isinstance(x, Tensor) and x.primitive is not None and x.requires_grad


def _without_length(key: Any, given: list[Any], places: Sequence[int]) -> Any:
    """A key that is the same for all numbers of steps of the arguments at these places."""
    free: list[Any] = [key[0]]
    for i, x in enumerate(given):
        _arrays_of([x], free)
        if i in places:
            free[-2] = free[-2][1:]
    return places, *free, *key[len(free) :]
