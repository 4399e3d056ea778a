"""The table of functions, as data: a row says all that the tests need to know about one of them.

`ROWS` has a row for each primitive, each composite, and each function of `engine/functions.py`.
`tests/test_rules.py` walks it; `tests/programs.py` draws random programs from it. What a row says
is not read off the engine: the reference is NumPy's function or a formula written down here.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn.engine import rules

Function = Callable[..., Any]
Shape = tuple[int, ...]
Generator = np.random.Generator
rng = np.random.default_rng(0)
INF, NAN = np.inf, np.nan
CLASSES = np.array([[2, 0], [1, 1]])
NO_IDS = np.zeros((0, 2), int)


# ------------------------------------------------------------------------------------- domains


@dataclass(frozen=True)
class Domain:
    """Where a function is defined and smooth.

    inside: a smooth map of all reals into the domain. It is written with operators only, so it
        takes arrays, complex arrays, and the tensors of any library.
    two_sided: whether the mirror image of what it maps to belongs to the domain too.
    """

    inside: Function
    two_sided: bool = False

    def draw(self, *shape: int) -> np.ndarray:
        x = np.asarray(self.inside(rng.standard_normal(shape)))
        return np.asarray(x * rng.choice([-1.0, 1.0], shape)) if self.two_sided else x


REALS = Domain(lambda x: x)
POSITIVE = Domain(lambda x: 0.5 + 1.5 * x * x / (1 + x * x))
NONZERO = Domain(lambda x: -0.5 - x * x / (1 + x * x), two_sided=True)
normal, positive, nonzero = REALS.draw, POSITIVE.draw, NONZERO.draw


# --------------------------------------------------------------------------------------- calls


@dataclass(frozen=True)
class Call:
    """A call: the arguments, arrays or lists of them, the keywords, and how it is spelled.

    spelled: an operator or a method instead of the row's own function. Fed arrays, it is NumPy's.
    """

    arguments: tuple[Any, ...]
    keywords: dict[str, Any] = field(default_factory=dict)
    spelled: Function | None = None

    @property
    def arrays(self) -> list[np.ndarray]:
        """The arrays among the arguments, in order."""
        flat = itertools.chain(*(x if isinstance(x, list) else [x] for x in self.arguments))
        return [x for x in flat if isinstance(x, np.ndarray)]

    def on(self, function: Function, *given: Any) -> Any:
        """The call of a function, with what is given in the places of the arrays."""
        rest = iter(given)

        def filled(x: Any) -> Any:
            if isinstance(x, list):
                return [filled(part) for part in x]
            return next(rest) if isinstance(x, np.ndarray) else x

        return (self.spelled or function)(*map(filled, self.arguments), **self.keywords)


def at(*arguments: Any, **keywords: Any) -> Call:
    """The row's function, called."""
    return Call(arguments, keywords)


def by(spelled: Function, *arguments: Any) -> Call:
    """The row's function, in another spelling."""
    return Call(arguments, {}, spelled)


def method(name: str) -> Function:
    """A tensor's method that arrays lack."""
    return lambda x: getattr(x, name)() if isinstance(x, tg.Tensor) else getattr(np, name)(x)


@dataclass(frozen=True)
class Kink:
    """A call at a kink, its value, and the slope promised there for each argument."""

    call: Call
    value: Any
    slopes: tuple[Any, ...]


def kink(value: Any, slopes: tuple[Any, ...], *arguments: Any, **keywords: Any) -> Kink:
    """Lists of numbers are arguments; anything else is an attribute."""
    arrays = (np.array(x, float) if isinstance(x, list) else x for x in arguments)
    return Kink(Call(tuple(arrays), keywords), value, slopes)


@dataclass(frozen=True)
class Bad:
    """A call that is refused, and how: arrays are tensors called x, y and z in it."""

    call: Call
    error: type[Exception]
    message: str  # a regular expression


def bad(error: type[Exception], message: str, *arguments: Any, **keywords: Any) -> Bad:
    if arguments and callable(arguments[0]):
        return Bad(Call(arguments[1:], keywords, arguments[0]), error, message)
    return Bad(Call(arguments, keywords), error, message)


def ones(*shape: int) -> np.ndarray:
    return np.ones(shape)


X23 = r"\(x: float64 of shape \(2, 3\)"  # how messages begin, behind the function's name
X23Y4 = X23 + r", y: float64 of shape \(4,\)\)"


# ---------------------------------------------------------------------------------------- rows


@dataclass(frozen=True)
class Row:
    """One function, and all that the tests know about it.

    function: the key in the engine's table.
    called: how people call it, if not as that.
    reference: the value on arrays; NumPy's own function where it is NumPy's.
    complex: the value on complex arrays, whose imaginary part carries the derivative. The rule is
        analytic where the reference is that; where it isn't (abs), this is a stand-in.
    differentiable: whether anything flows back.
    domains: by argument; the last one counts for all further ones.
    program: for shapes of arguments, further arguments and keywords of a call in a random program.
        A ValueError or an IndexError, there or in the call, is no call.
    takes: how many arguments; a negative number says a list of so many.
    least: how far from 0 the value is in a program. The slope of a root near 0 is one rounding
        error divided by another.
    """

    function: Function
    samples: list[Call]
    errors: list[Bad] = field(default_factory=list)
    kinks: list[Kink] = field(default_factory=list)
    called: Function | None = None
    reference: Function | None = None
    complex: Function | None = None
    differentiable: bool = True
    domains: tuple[Domain, ...] = (REALS,)
    program: Function | None = None
    takes: int = 1
    least: float = 0.0

    @property
    def name(self) -> str:
        """The function's name, with the module where it is the name of two."""
        module = "tg." if self.function in OURS else "np." if self.function is np.einsum else ""
        return module + self.function.__name__

    @property
    def call(self) -> Function:
        return self.called or self.function

    @property
    def plain(self) -> Function:
        return self.reference or self.call

    @property
    def analytic(self) -> bool:
        return self.differentiable and self.complex is None

    def domain(self, slot: int) -> Domain:
        return self.domains[min(slot, len(self.domains) - 1)]


OURS = {tg.add_n, tg.stack, tg.concatenate, tg.where, tg.gelu}  # all of engine/functions.py
SHAPES: list[Shape] = [(2, 3), (), (0, 3)]
PAIRS: list[tuple[Shape, Shape]] = [
    ((2, 3), (2, 3)), ((2, 3), (3,)), ((3,), (2, 3)), ((2, 1), (1, 3)), ((), (2, 3)),
    ((2, 3), ()), ((), ()), ((0, 3), (3,)), ((1, 3), (0, 1)), ((2, 3), (1, 1, 1)),
]  # fmt: skip


def one(function: Function, domain: Domain = REALS, *samples: Call, **facts: Any) -> Row:
    """An elementwise function of one argument."""
    standard = [at(domain.draw(*shape)) for shape in SHAPES]
    facts.setdefault("program", as_it_is)
    refused = rf"{function.__name__} of tensors does not take where="
    if not isinstance(function, np.ufunc):
        refused = rf"{function.__name__}.*unexpected keyword argument 'where'"
    facts["errors"] = [bad(TypeError, refused, ones(2, 3), where=True), *facts.get("errors", [])]
    return Row(function, standard + list(samples), domains=(domain,), **facts)


def two(function: Function, domains: tuple[Domain, Domain], *samples: Call, **facts: Any) -> Row:
    """An elementwise function of two arguments, which are broadcast."""
    standard = [at(domains[0].draw(*a), domains[1].draw(*b)) for a, b in PAIRS]
    facts.setdefault("program", as_it_is)
    name = function.__name__
    facts["errors"] = [
        bad(ValueError, rf"^{name}{X23Y4}: operands could not be broadcast", ones(2, 3), ones(4)),
        bad(TypeError, rf"^{name}: 'a' is not a number, an array or a tensor", ones(2, 3), "a"),
        bad(TypeError, rf"^{name}: 1j is not a number, an array or a tensor", ones(2, 3), 1j),
        *facts.get("errors", []),
    ]
    return Row(function, standard + list(samples), domains=domains, takes=2, **facts)


def flat(function: Function, *samples: Call, errors: Any = (), **facts: Any) -> Row:
    """A function that nothing flows back through."""
    return Row(function, list(samples), list(errors), differentiable=False, **facts)


def flat_one(function: Function, *samples: Call) -> Row:
    wrong = bad(TypeError, rf"^np\.{function.__name__} of tensors does not take where=",
                ones(2, 3), where=True)  # fmt: skip
    calls = [at(normal(*shape)) for shape in SHAPES]
    return flat(function, *calls, at(np.array([0.0, -0.5, 2.5, NAN, INF, -INF])), *samples,
                errors=[wrong])  # fmt: skip


def flat_two(function: Function, *samples: Call) -> Row:
    wrong = bad(ValueError, rf"^{function.__name__}{X23Y4}: operands could not be broadcast",
                ones(2, 3), ones(4))  # fmt: skip
    calls = [at(normal(*a), nonzero(*b)) for a, b in PAIRS]
    ties = at(np.array([1.0, 2.0, 0.0, NAN]), np.array([1.0, 3.0, -1.0, NAN]))
    return flat(function, *calls, ties, *samples, errors=[wrong])


def axis_errors(name: str, several: bool = True) -> list[Bad]:
    """What every function with an axis refuses."""
    found = [
        bad(ValueError, rf"^{name}{X23}\): .*axis 2 is out of bounds", ones(2, 3), axis=2),
        bad(ValueError, rf"^{name}{X23}\): .*axis -3 is out of bounds", ones(2, 3), axis=-3),
    ]
    if several:
        twice = rf"^{name}{X23}\): .*(duplicate|repeated)"
        found.append(bad(ValueError, twice, ones(2, 3), axis=(0, -2)))
    return found


def reductions(draw: Function = normal, empty: bool = True) -> list[Call]:
    """Samples over all axes, one, a negative one, several, with and without keepdims."""
    calls = [
        at(draw(2, 3)), at(draw(2, 3), axis=1), at(draw(2, 3), axis=-2, keepdims=True),
        at(draw(2, 3, 2), axis=(0, 2), keepdims=True), at(draw(2, 3, 2), axis=(0, -1)),
        at(draw(2, 3), keepdims=True), at(draw(2, 0, 3), axis=0), at(draw(0, 3), axis=1),
    ]  # fmt: skip
    return calls + [at(draw(0, 3)), at(draw(2, 0), axis=-1)] * empty


# ------------------------------------------------------------- how a call in a program is arranged
#
# Each takes the generator and the shapes of the arguments, and gives further arguments and
# keywords.


def as_it_is(r: Generator, *shapes: Shape) -> Any:
    return (), {}


def of_one_shape(r: Generator, *shapes: Shape) -> Any:
    if len(set(shapes)) > 1:
        raise ValueError
    return (), {}


def an_axis(r: Generator, *shapes: Shape) -> Any:
    return (), {"axis": int(r.integers(-len(shapes[0]), len(shapes[0])))}


def a_new_axis(r: Generator, *shapes: Shape) -> Any:
    return (), {"axis": int(r.integers(-len(shapes[0]) - 1, len(shapes[0]) + 1))}


def some_axes(r: Generator, shape: Shape) -> Any:
    keepdims = bool(r.integers(2))
    count = int(r.integers(0, len(shape) + 1))
    if not count:
        return (), {"keepdims": keepdims}
    axes = tuple(_signed(r, shape)[:count])
    return (), {"axis": axes if len(axes) > 1 else axes[0], "keepdims": keepdims}


def some_clip(r: Generator, shape: Shape) -> Any:
    a_min, a_max = sorted(r.uniform(-1.5, 1.5, 2).tolist())
    return ((a_min, a_max), (a_min, None), (None, a_max))[r.integers(3)], {}


def some_shape(r: Generator, shape: Shape) -> Any:
    if not shape:
        return ((1, 1),), {}
    shapes = [(-1,), (shape[-1], -1), tuple(int(n) for n in r.permutation(shape))]
    return (shapes[r.integers(3)],), {}


def some_wider_shape(r: Generator, shape: Shape) -> Any:
    return ((*[2] * int(r.integers(2)), *(2 if n == 1 else n for n in shape)),), {}


def some_order(r: Generator, shape: Shape) -> Any:
    return (tuple(_signed(r, shape)),), {}


def _signed(r: Generator, shape: Shape) -> list[int]:
    """All axes in any order, some of them counted from the end."""
    n = len(shape)
    return [int(i) - n * int(r.integers(2)) for i in r.permutation(n)]


def two_axes(r: Generator, shape: Shape) -> Any:
    return tuple(int(i) for i in r.integers(-len(shape), len(shape), 2)), {}


def some_index(r: Generator, shape: Shape) -> Any:
    if not shape:
        return (), {"index": (None, ...)}
    n = shape[0]
    rows = r.integers(-n, n, int(r.integers(1, 4)))
    picks: list[Any] = [
        (rows,), (slice(None, None, -1),), (..., None), (int(rows[0]), ...), (slice(1, None), ...),
        (slice(None, None, 2), None), (r.random(n) < 0.7,), (rows[:, None], ...),
        (..., r.integers(0, shape[-1], 2)),
    ]  # fmt: skip
    return (), {"index": picks[r.integers(len(picks))]}


def some_ids(r: Generator, shape: Shape) -> Any:
    rows, _columns = shape
    return (r.integers(0, rows, tuple(int(n) for n in r.integers(1, 4, r.integers(0, 3)))),), {}


def some_rows(r: Generator, shape: Shape) -> Any:
    target = (int(r.integers(1, 4)), *shape[1:])
    return (r.integers(0, target[0], shape[0]),), {"index": rules.LOOKUP, "shape": target}


def some_classes(r: Generator, shape: Shape) -> Any:
    reduction = ("mean", "sum", "none")[r.integers(3)]
    return (r.integers(0, shape[-1], shape[:-1]),), {"reduction": reduction}


def some_condition(r: Generator, a: Shape, b: Shape) -> Any:
    return (r.random(np.broadcast_shapes(a, b)) < 0.5,), {}


def some_subscripts(r: Generator, a: Shape, b: Shape) -> Any:
    of_a, of_b = "ijkl"[: len(a)], ""
    for n, fresh in zip(b, "pqrs", strict=False):
        same = [c for c, m in zip(of_a, a, strict=True) if m == n and c not in of_b]
        of_b += same[r.integers(len(same))] if same and r.random() < 0.7 else fresh
    letters = sorted(set(of_a + of_b))
    kept = [letters[i] for i in r.permutation(len(letters))[: r.integers(0, 4)]]
    return (), {"subscripts": f"{of_a},{of_b}->{''.join(kept)}"}


def some_pairs(r: Generator, a: Shape, b: Shape) -> Any:
    pairs = [(i, j - len(b)) for i, n in enumerate(a) for j, m in enumerate(b) if n == m]
    if not pairs:
        return (0,), {}
    i, j = pairs[r.integers(len(pairs))]
    return (((i,), (j,)),), {}


def some_indices(r: Generator, shape: Shape) -> Any:
    if r.random() < 0.3:
        return (r.integers(0, max(int(np.prod(shape)), 1), (2, 2)).tolist(),), {"axis": None}
    axis = int(r.integers(-len(shape), len(shape)))
    return (r.integers(-shape[axis], shape[axis], 3).tolist(),), {"axis": axis}


def some_places(r: Generator, shape: Shape) -> Any:
    axis = int(r.integers(-len(shape), len(shape)))
    wanted = list(shape)
    wanted[axis] = 2
    return (r.integers(0, shape[axis], wanted), axis), {}


def some_repeats(r: Generator, shape: Shape) -> Any:
    if not shape or r.random() < 0.3:
        return (2,), {}
    axis = int(r.integers(-len(shape), len(shape)))
    return (r.integers(0, 3, shape[axis]).tolist(), axis), {}


def some_counts(r: Generator, shape: Shape) -> Any:
    return (tuple(int(n) for n in r.integers(1, 3, r.integers(1, 4))),), {}


def some_shift(r: Generator, shape: Shape) -> Any:
    if not shape or r.random() < 0.3:
        return (int(r.integers(-3, 4)),), {}
    return (int(r.integers(-3, 4)), int(r.integers(-len(shape), len(shape)))), {}


def some_parts(r: Generator, shape: Shape) -> Any:
    axis = int(r.integers(-len(shape), len(shape)))
    return ([int(r.integers(0, shape[axis]))], axis), {}


def some_widths(r: Generator, shape: Shape) -> Any:
    if not shape:
        raise ValueError
    widths = tuple((int(a), int(b)) for a, b in r.integers(0, 2, (len(shape), 2)))
    return (widths,), {"constant_values": float(r.integers(2))}


def cast(r: Generator, shape: Shape) -> Any:
    return (np.float64,), {}


# ------------------------------------------- formulas for what NumPy hasn't, and complex stand-ins


def plain_softmax(x: Any, axis: int = -1) -> Any:
    return np.exp(x) / np.exp(x).sum(axis, keepdims=True)


def plain_logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return np.log(np.exp(x).sum(axis, keepdims=keepdims))


def plain_cross_entropy(
    z: Any, classes: Any, reduction: str = "mean", ignore_index: Any = None
) -> Any:
    losses = np.zeros(classes.shape, z.dtype)
    counted = classes != ignore_index
    for place in np.argwhere(counted):
        at = tuple(place)
        losses[at] = plain_logsumexp(z[at]) - z[at][classes[at]]
    return losses if reduction == "none" else getattr(losses[counted], reduction)()


def plain_scatter(g: Any, *arrays: Any, index: Any, shape: Shape) -> Any:
    rest = iter(arrays)
    real = tuple(next(rest) if part is rules.ARRAY else part for part in index)
    places = np.arange(np.prod(shape, dtype=int)).reshape(shape)[real]
    out = np.zeros(np.prod(shape, dtype=int), g.dtype)
    for place, x in zip(places.ravel(), g.ravel(), strict=True):
        out[place] += x
    return out.reshape(shape)


def plain_einsum(*operands: Any, subscripts: str) -> Any:
    inputs, out = subscripts.split("->")
    letters = sorted(set(inputs) - {","})
    pairs = list(zip(inputs.split(","), operands, strict=True))
    size = {c: n for word, x in pairs for c, n in zip(word, x.shape, strict=True)}
    y = np.zeros([size[c] for c in out], np.result_type(*operands))
    for numbers in itertools.product(*(range(size[c]) for c in letters)):
        i = dict(zip(letters, numbers, strict=True))
        y[tuple(i[c] for c in out)] += np.prod([x[tuple(i[c] for c in w)] for w, x in pairs])
    return y


def plain_gelu(x: Any) -> Any:
    """½ (1 + tanh u) is 1 / (1 + e^−2u)."""
    return x / (1 + np.exp(-np.sqrt(8 / np.pi) * (x + 0.044715 * x**3)))


def complex_maximum(a: Any, b: Any) -> Any:
    ra, rb = np.real(a), np.real(b)
    return np.where(ra == rb, (a + b) / 2, np.where(ra > rb, a, b))


def complex_max(z: Any, axis: Any = None, keepdims: bool = False) -> Any:
    here = z.real == z.real.max(axis, keepdims=True)
    return (z * here).sum(axis, keepdims=keepdims) / here.sum(axis, keepdims=keepdims)


def complex_clip(z: Any, low: Any = None, high: Any = None) -> Any:
    z = z if low is None else np.where(z.real < low, low, z)
    return z if high is None else np.where(z.real > high, high, z)


def complex_var(z: Any, axis: Any = None, ddof: int = 0, keepdims: bool = False) -> Any:
    square = ((z - z.mean(axis, keepdims=True)) ** 2).sum(axis, keepdims=keepdims)
    return square / (z.size / max(square.size, 1) - ddof)


def complex_std(z: Any, *arguments: Any, **keywords: Any) -> Any:
    return np.sqrt(complex_var(z, *arguments, **keywords))


def complex_norm(z: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return np.sqrt((z * z).sum(axis, keepdims=keepdims))


# fmt: off
# ------------------------------------------------------------------------------------- arithmetic

ROWS: list[Row] = [
    two(np.add, (REALS, REALS), by(lambda x: x + x, normal(3)),
        by(lambda x: sum([x, x]), normal(3)),
        by(lambda x: 1 + x, normal(3))),
    two(np.subtract, (REALS, REALS), by(lambda x: 1.0 - x, normal(3)),
        by(lambda x: x - x, normal(3))),
    two(np.multiply, (REALS, REALS), by(lambda x: x * x, normal(3)),
        by(lambda x: 2 * x, normal(3))),
    two(np.divide, (REALS, NONZERO), by(lambda x: 1 / x, positive(3)),
        by(lambda x: x / 2, normal(3))),
    two(np.power, (POSITIVE, REALS), by(lambda x: x**3, normal(3)), by(lambda x: x**0, np.zeros(2)),
        by(lambda x: x**-2, nonzero(3)), by(lambda x: x**0.5, positive(3)),
        by(lambda x: 2.0**x, normal(3)), at(positive(3), np.zeros(3)),
        kinks=[kink([1], ([0],), [0], 0), kink([1], ([0], [0]), [0], [0]),
               kink([0], ([0],), 0.0, [2]), kink([0], ([0],), [0], 2),
               kink([NAN], ([NAN],), [NAN], 2)]),
    two(np.maximum, (REALS, REALS),
        complex=complex_maximum,
        kinks=[kink([1, 3, 3], ([0.5, 0, 1], [0.5, 1, 0]), [1, 2, 3], [1, 3, 2]),
               kink([NAN], ([1],), [NAN], 0.0)]),
    two(np.minimum, (REALS, REALS),
        complex=lambda a, b: -complex_maximum(-a, -b),
        kinks=[kink([1, 2], ([0.5, 1], [0.5, 0]), [1, 2], [1, 3]),
               kink([NAN], ([1],), [NAN], 0.0)]),
    two(np.remainder, (REALS, NONZERO), by(lambda x: x % 1, normal(3)),
        by(lambda x: 2.0 % x, positive(3)),
        complex=lambda a, b: a - b * np.floor(np.real(a) / np.real(b))),
    Row(np.where,
        [at(np.eye(2) > 0, normal(2, 2), normal(2)), at(np.eye(3) > 0, normal(3, 1), normal()),
         at(np.array(True), normal(2, 3), normal(3)), at(np.ones((0, 1)) > 0, normal(3), normal(1)),
         by(lambda a: np.where([True, False], a, 1.0), normal(2))],
        [bad(ValueError, r"^where\(.*y: float64 of shape \(2, 3\).*broadcast",
             ones(5) > 0, ones(2, 3), 1.0),
         bad(ValueError, r"^where\(.*y: float64 of shape \(2, 3\).*either both or neither",
             np.array(True), ones(2, 3))],
        [kink([0, 1.5], ([1, 0], [0, 1]), np.array([True, False]), [0, NAN], [NAN, 1.5])],
        program=some_condition, takes=2),
    Row(tg.where, [at(np.eye(2) > 0, normal(2, 2), normal(2)),
                   at(np.array(False), normal(), normal(0))],
        [bad(ValueError, r"^where\(.*y: float64 of shape \(2, 3\).*broadcast",
             ones(5) > 0, ones(2, 3), 1.0)],
        reference=np.where, program=some_condition, takes=2),
    Row(rules.add_n, [at(normal(2, 3), normal(2, 3), normal(2, 3)), at(normal()),
                      at(normal(0), normal(0)),
                      by(lambda x: rules.add_n(x, x, x), normal(2))],
        [bad(ValueError, rf"^add_n{X23Y4}", ones(2, 3), ones(4))],
        reference=lambda *xs: sum(xs), program=of_one_shape, takes=2),
    Row(tg.add_n, [at([normal(2, 3)] * 3), at([normal(0, 3)]), at([normal(), normal()])],
        [bad(ValueError, r"^add_n.*one shape.*\(2, 3\)", [ones(2, 3), ones(4)]),
         bad(ValueError, r"^add_n: one or more terms", [])],
        reference=sum, program=of_one_shape, takes=-2),

# ---------------------------------------------------------------------------------- one argument

    one(np.negative, REALS, by(lambda x: -x, normal(3))),
    one(np.positive, REALS, by(lambda x: +x, normal(3))),
    one(np.exp, REALS, by(method("exp"), normal(3))),
    one(np.expm1),
    one(np.log, POSITIVE, by(method("log"), positive(3))),
    one(np.log1p, POSITIVE),
    one(np.sqrt, POSITIVE, by(method("sqrt"), positive(3)), kinks=[kink([0], ([INF],), [0])]),
    one(np.square),
    one(np.reciprocal, NONZERO),
    one(np.absolute, REALS, by(abs, normal(3)),
        complex=lambda z: z * np.sign(np.real(z)),
        kinks=[kink([0, 2, 1], ([0, -1, 1],), [0, -2, 1]), kink([NAN], ([NAN],), [NAN])]),
    one(np.sin),
    one(np.cos),
    one(np.tanh, REALS, by(method("tanh"), normal(3))),
    one(rules.sigmoid, reference=lambda x: 1 / (1 + np.exp(-x))),
    one(rules.relu, REALS,
        reference=lambda x: x * (x > 0),
        complex=lambda z: z * (np.real(z) > 0),
        kinks=[kink([0, 0, 1], ([0, 0, 1],), [0, -1, 1]), kink([NAN, INF], ([1, 1],), [NAN, INF])]),
    one(rules.softplus, reference=lambda x: np.log(1 + np.exp(x))),
    one(tg.gelu, reference=plain_gelu, called=tg.gelu),
    Row(np.clip, [at(normal(5), -0.5, 0.5), at(normal(2, 3), None, 0.5),
                  at(normal(2, 3), -0.5, None),
                  at(normal(), 0.0, 1.0), at(normal(0, 3), 0, 1),
                  by(lambda x: np.clip(x, np.array([-1, 0, 0.5], np.float16), 2), normal(2, 3))],
        [bad(ValueError, rf"^clip{X23}.*\): operands could not be broadcast",
             lambda x: np.clip(x, np.ones(4), None), ones(2, 3)),
         bad(TypeError, r"^np\.clip: a_min is a tensor", ones(2, 3), ones(3), None)],
        [kink([0, 0.5, 1, 1, 0], ([1, 1, 1, 0, 0],), [0, 0.5, 1, 2, -1], 0, 1),
         kink([NAN], ([1],), [NAN], 0, 1)],
        complex=complex_clip, program=some_clip),
    Row(rules.astype, [by(lambda x: x.astype(x.dtype), normal(2, 3)),
                       by(lambda x: x.astype(x.dtype), normal()),
                       by(lambda x: x.astype(x.dtype), normal(0)),
                       by(lambda x: x.astype(np.float64).astype(x.dtype), normal(3))],
        [bad(TypeError, r"complex128", ones(2, 3), complex),
         bad(TypeError, r"rubbish", ones(2, 3), "rubbish")],
        called=lambda x, dtype: x.astype(dtype), complex=lambda z, dtype: z, program=cast),

# ------------------------------------------------------------------------------------ reductions

    Row(np.sum, [*reductions(), by(lambda x: x.sum(axis=-1), normal(2, 3)), at(normal()),
                 at(normal(2, 3), axis=())],
        [*axis_errors("sum"),
         bad(TypeError, r"^np\.sum of tensors does not take dtype=", ones(2, 3), dtype=float)],
        program=some_axes),
    Row(np.mean, [*reductions(empty=False),
                  by(lambda x: x.mean(axis=1, keepdims=True), normal(2, 3)), at(normal())],
        axis_errors("mean"), program=some_axes),
    Row(np.max, [*reductions(empty=False), by(lambda x: x.max(axis=1), normal(2, 3)), at(normal())],
        [*axis_errors("max"),
         bad(ValueError, r"^max\(x: float64 of shape \(0, 3\)\): zero-size", ones(0, 3))],
        [kink(3, ([0.5, 0, 0.5],), [3, 1, 3]),
         kink([1, 1], ([[0.5, 0.5], [0, 1]],), [[1, 1], [0, 1]], axis=1)],
        complex=complex_max, program=some_axes),
    Row(np.min, [*reductions(empty=False), by(lambda x: x.min(axis=0, keepdims=True), normal(2, 3)),
                 at(normal())],
        [*axis_errors("min"),
         bad(ValueError, r"^min\(x: float64 of shape \(0, 3\)\): zero-size", ones(0, 3))],
        [kink(1, ([0.5, 0, 0.5],), [1, 3, 1])],
        complex=lambda z, axis=None, keepdims=False: -complex_max(-z, axis, keepdims),
        program=some_axes),
    Row(np.cumsum, [at(normal(2, 3)), at(normal(2, 3), axis=1), at(normal(2, 3), axis=-2),
                    at(normal(0, 3), axis=1),
                    at(normal(2, 0)), at(normal())],
        axis_errors("cumsum", several=False), program=an_axis),
    Row(np.prod, [*reductions(nonzero), at(np.array([[1.0, 0.0, 2.0], [3.0, 4.0, 0.5]])),
                  at(normal(2, 5), axis=1, keepdims=True), at(normal())],
        [*axis_errors("prod"),
         bad(TypeError, r"^np\.prod of tensors does not take dtype=", ones(2, 3), dtype=float)],
        [kink(0, ([6, 0, 0],), [0, 2, 3]), kink(0, ([0, 0, 0],), [0, 0, 3])],
        program=some_axes),
    Row(np.var, [*reductions(empty=False), at(normal(2, 3), axis=1, ddof=1), at(normal())],
        [*axis_errors("var"),
         bad(TypeError, r"^np\.var of tensors does not take dtype=", ones(2, 3), dtype=float)],
        [kink(0, ([0, 0],), [2, 2])],
        complex=complex_var, program=some_axes),
    Row(np.std, [at(normal(2, 3)), at(normal(2, 3), axis=1, ddof=1),
                 at(normal(2, 3, 2), axis=(0, -1)),
                 at(normal(2, 3), axis=-2, keepdims=True), at(normal(0, 3), axis=1)],
        [*axis_errors("std"),
         bad(TypeError, r"^np\.std of tensors does not take dtype=", ones(2, 3), dtype=float)],
        [kink(0, ([0, 0],), [2, 2]),
         kink([0, 1], ([[0, 0], [-0.5, 0.5]],), [[1, 1], [1, 3]], axis=1),
         kink(0, (0,), np.array(3.0))],
        complex=complex_std, program=some_axes, least=1e-3),
    Row(np.linalg.norm,
        [at(nonzero(2, 3)), at(normal(2, 3), axis=1, keepdims=True),
         at(normal(2, 3, 2), axis=(0, -1)),
         at(normal(2, 3), axis=-2), at(normal(0, 3), axis=1)],
        [*axis_errors("norm", several=False),
         bad(TypeError, r"^np\.linalg\.norm of tensors does not take ord=", ones(2, 3), 1)],
        [kink(0, ([0, 0],), [0, 0]), kink([2, 0], ([[0, -1], [0, 0]],), [[0, -2], [0, 0]], axis=1)],
        complex=complex_norm, program=some_axes, least=1e-3),
    Row(rules.softmax, [at(normal(2, 3)), at(normal(2, 3), 0), at(normal(2, 3), axis=-2),
                        at(normal(0, 3)), at(normal(2, 3, 2), axis=1)],
        [*axis_errors("softmax", several=False),
         bad(TypeError, r"^softmax: takes 2 arguments, not 3", ones(2, 3), 0, 1),
         bad(ValueError, r"^softmax\(x: float64 of shape \(2, 0\)\): zero-size", ones(2, 0))],
        [kink([0, 0, 1], ([0, 0, 0],), [-INF, -INF, 0]),
         kink([0, 0], ([0, 0],), [-INF, -INF])],
        reference=plain_softmax, program=an_axis),
    Row(rules.log_softmax,
        [at(normal(2, 3)), at(normal(2, 3), 0), at(normal(2, 3), axis=-2), at(normal(0, 3))],
        axis_errors("log_softmax", several=False),
        reference=lambda x, axis=-1: x - plain_logsumexp(x, axis, True), program=an_axis),
    Row(rules.logsumexp, [*reductions(empty=False), at(normal())],
        axis_errors("logsumexp"),
        [kink(-INF, ([0, 0],), [-INF, -INF]),
         kink([-INF, 0], ([[0, 0], [0, 1]],), [[-INF, -INF], [-INF, 0]], axis=1)],
        reference=plain_logsumexp, program=some_axes),
    Row(rules.cross_entropy,
        [at(normal(2, 2, 3), CLASSES), at(normal(2, 2, 3), CLASSES, "sum"),
         at(normal(2, 2, 3), CLASSES, reduction="none"),
         at(normal(3), np.array(1)), at(normal(0, 2, 3), NO_IDS, "sum"),
         at(normal(0, 2, 3), NO_IDS, "none"),
         at(normal(2, 2, 3), CLASSES, ignore_index=1),
         at(normal(4, 3), np.array([0, -1, 2, -1]), "mean", -1),
         at(normal(4, 3), np.array([0, 3, 2, 3]), "sum", 3),
         at(normal(4, 3), np.array([0, 3, 2, 3]), "none", 3),
         at(normal(2, 3), np.array([3, 3]), "sum", 3)],
        [bad(ValueError,
             rf"^cross_entropy{X23}.*\): logits \(2, 3\) want classes \(2,\), not \(3,\)",
             ones(2, 3), np.array([0, 1, 2])),
         bad(IndexError, rf"^cross_entropy{X23}.*class 3 at \(1,\) is not in 0 … 2", ones(2, 3),
             np.array([0, 3])),
         bad(IndexError, rf"^cross_entropy{X23}.*class -1 at \(0,\)", ones(2, 3),
             np.array([-1, 0])),
         bad(TypeError, rf"^cross_entropy{X23}.*class: integers are wanted, not float64",
             ones(2, 3), np.array([0.0, 1.0])),
         bad(ValueError, rf"^cross_entropy{X23}.*reduction='total'", ones(2, 3), np.array([0, 1]),
             "total"),
         bad(IndexError, rf"^cross_entropy{X23}.*class -1 at \(1,\)", ones(2, 3),
             np.array([-2, -1]), ignore_index=-2),
         bad(ValueError, rf"^cross_entropy{X23}.*all classes are -1, which is ignored", ones(2, 3),
             np.array([-1, -1]), ignore_index=-1)],
        reference=plain_cross_entropy, program=some_classes),

# -------------------------------------------------------------------------------------- products

    Row(np.matmul, [at(normal(2, 3), normal(3, 4)), at(normal(3), normal(3)),
                    at(normal(2, 3), normal(3)), at(normal(3), normal(3, 2)),
                    at(normal(2, 1, 2, 3), normal(3, 3, 2)), at(normal(2, 2, 3), normal(3)),
                    at(normal(3), normal(2, 3, 2)),
                    at(normal(2, 0), normal(0, 2)), at(normal(0), normal(0)),
                    at(normal(0, 2), normal(2, 3)), at(normal(0, 2, 3), normal(3, 2)),
                    at(normal(3, 2, 1), normal(1, 2)), by(lambda x: x @ x, normal(2, 2)),
                    by(lambda x: x @ x.T, normal(2, 3))],
        [bad(ValueError, rf"^matmul{X23Y4}: .*size 4 is different from 3", ones(2, 3), ones(4)),
         bad(TypeError, rf"^matmul{X23}", ones(2, 3), 2.0)],
        program=as_it_is, takes=2),
    Row(np.dot, [at(normal(2, 3), normal(3, 2)), at(normal(3), normal(3)),
                 at(normal(2, 3), normal(2, 3, 2)), at(normal(2, 2, 3), normal(2, 3, 2)),
                 at(normal(2), 2.0), at(normal(), normal(2)), at(normal(2, 0), normal(0, 3))],
        [bad(ValueError, rf"^dot{X23Y4}", ones(2, 3), ones(4)),
         bad(ValueError, rf"^dot{X23}, y: float64 of shape \(2, 4, 2\)\)", ones(2, 3),
             ones(2, 4, 2))],
        program=as_it_is, takes=2),
    Row(np.outer, [at(normal(2), normal(3)), at(normal(2, 2), normal(3)), at(normal(), normal(3)),
                   at(normal(0), normal(3))],
        [bad(TypeError, r"^outer.*'a'", ones(2, 3), "a")],
        program=as_it_is, takes=2),
    Row(rules.einsum, [at(normal(2, 3), normal(3, 2), subscripts="ij,jk->ik"),
                       at(normal(2, 3, 2), normal(2, 2), subscripts="bij,bj->bi"),
                       at(normal(2, 3), normal(2), subscripts="ij,k->k"),
                       at(normal(2), normal(2, 3), normal(3), subscripts="i,ij,j->"),
                       at(normal(2, 3, 2), subscripts="ijk->kj"),
                       at(normal(0, 3), normal(3), subscripts="ij,j->i"),
                       at(normal(), normal(2), subscripts=",i->i")],
        [bad(ValueError, r"^einsum\(x: float64 of shape \(2, 3\), y: float64 of shape \(2, 2\)\)",
             ones(2, 3), ones(2, 2), subscripts="ij,jk->ik")],
        reference=plain_einsum, program=some_subscripts, takes=2),
    Row(np.einsum, [at("ij->ji", normal(2, 3)), at("ij,jk->ik", normal(2, 3), normal(3, 2)),
                    at("bij, bj", normal(2, 3, 2), normal(2, 2)),
                    at("ij,k->k", normal(2, 3), normal(2)),
                    at("i,ij,j->", normal(2), normal(2, 3), normal(3)),
                    at("ijk->kj", normal(2, 3, 2)),
                    at("ij,jk", normal(2, 0), normal(0, 3))],
        [bad(ValueError, r"^einsum\(x: float64 of shape \(2, 3\), y: float64 of shape \(2, 2\)\)",
             "ij,jk->ik", ones(2, 3), ones(2, 2)),
         bad(TypeError, r"^np\.einsum of tensors: 'ii->i' has an ellipsis or a diagonal", "ii->i",
             ones(2, 2)),
         bad(TypeError, r"^np\.einsum of tensors: '\.\.\.i->i' has an ellipsis", "...i->i",
             ones(2, 3)),
         bad(ValueError, rf"^einsum{X23}\)", "ijk->i", ones(2, 3)),
         bad(TypeError, r"^np\.einsum of tensors takes its subscripts as a string first",
             ones(2, 3), [0, 1], [0])],
        program=None),
    Row(np.tensordot, [at(normal(2, 3, 4), normal(3, 4, 2)), at(normal(2, 3), normal(3, 2), 1),
                       at(normal(2, 3, 4), normal(4, 2), ((0, -1), (1, 0))),
                       at(normal(2), normal(3), 0), at(normal(2, 0), normal(0, 2), 1),
                       at(normal(2, 3), normal(2, 3), (0, 0)), at(normal(), normal(2), 0)],
        [bad(ValueError, rf"^tensordot{X23Y4}", ones(2, 3), ones(4), 1),
         bad(ValueError, rf"^tensordot{X23}, y: float64 of shape \(2, 3\)\)", ones(2, 3),
             ones(2, 3), ((0,), (1,))),
         bad(ValueError, rf"^tensordot{X23}, y: float64 of shape \(2, 3\)\)", ones(2, 3),
             ones(2, 3), 3),
         bad(ValueError, rf"^tensordot{X23}, y: .*axis 5", ones(2, 3), ones(2, 3),
             ((0, 5), (0, 1))),
         bad(ValueError, rf"^tensordot{X23}, y: float64 of shape \(3, 2\)\)", ones(2, 3),
             ones(3, 2), ((0, 1), (0, 1)))],
        program=some_pairs, takes=2),

# ---------------------------------------------------------------------------------------- shapes

    Row(np.reshape, [by(lambda x: x.reshape(3, -1), normal(2, 3)), at(normal(2, 3), 6),
                     at(normal(), (1, 1)), at(normal(1), ()),
                     at(normal(0, 3), (3, 0)), at(normal(2, 3), (3, 2))],
        [bad(ValueError, rf"^reshape{X23}\): cannot reshape array of size 6 into shape \(4,",
             ones(2, 3), (4, -1)),
         bad(TypeError, r"^np\.reshape of tensors does not take order=", ones(2, 3), 6, order="F")],
        program=some_shape),
    Row(np.ravel, [at(normal(2, 3)), at(normal()), at(normal(0, 3))],
        [bad(TypeError, r"^np\.ravel of tensors does not take order=", ones(2, 3), order="F")],
        program=as_it_is),
    Row(np.squeeze, [at(normal(2, 1)), by(lambda x: x.squeeze(0), normal(1, 2, 1)),
                     at(normal(2, 1), axis=-1), at(normal(1, 0, 1), axis=(0, -1)), at(normal())],
        [bad(ValueError, rf"^squeeze{X23}\): cannot select an axis", ones(2, 3), axis=0)],
        program=as_it_is),
    Row(np.expand_dims,
        [at(normal(2, 3), 1), at(normal(2, 3), -1), at(normal(2, 3), (0, -1)), at(normal(), 0),
         at(normal(0, 3), 0)],
        [bad(ValueError, rf"^expand_dims{X23}\): axis 5 is out of bounds", ones(2, 3), 5)],
        program=a_new_axis),
    Row(np.broadcast_to,
        [at(normal(2, 1), (4, 2, 3)), at(normal(), (2, 3)), at(normal(2, 1), (2, 0)),
         at(normal(2, 3), (2, 3)), at(normal(0), (2, 0))],
        [bad(ValueError, rf"^broadcast_to{X23}\): .*requested shape \(3,3\)", ones(2, 3), (3, 3))],
        program=some_wider_shape),
    Row(np.transpose, [by(lambda x: x.T, normal(2, 3)),
                       by(lambda x: x.transpose(2, 0, 1), normal(2, 3, 4)),
                       at(normal(2, 3, 4), (1, -1, 0)),
                       at(normal()), at(normal(0, 3)), at(normal(2, 3), [1, 0])],
        [bad(ValueError, rf"^transpose{X23}\): repeated axis", ones(2, 3), (0, 0)),
         bad(ValueError, rf"^transpose{X23}\): axes don't match", ones(2, 3), (0, 1, 2))],
        program=some_order),
    Row(np.swapaxes, [by(lambda x: x.mT, normal(2, 3, 2)),
                      by(lambda x: x.swapaxes(0, 2), normal(2, 3, 2)), at(normal(2, 3), -1, -2),
                      at(normal(0, 3), 0, 1)],
        [bad(ValueError, rf"^swapaxes{X23}\): axis2: axis 2 is out of bounds", ones(2, 3), 0, 2)],
        program=two_axes),
    Row(np.moveaxis, [at(normal(2, 3, 2), 0, -1), at(normal(2, 3, 4), (0, 1), (-1, 0)),
                      at(normal(2, 0, 4), -1, 0)],
        [bad(ValueError, rf"^moveaxis{X23}\): destination: axis 2 is out of bounds", ones(2, 3), 0,
             2)], program=two_axes),
    Row(np.flip, [at(normal(2, 3)), at(normal(2, 3), 1), at(normal(2, 3), (0, -1)), at(normal()),
                  at(normal(0, 3), axis=-1)],
        [bad(ValueError, rf"^flip{X23}\): axis 2 is out of bounds", ones(2, 3), 2)],
        program=an_axis),
    Row(np.concatenate,
        [at([normal(2, 3), normal(2, 1)], axis=-1),
         by(lambda x: tg.concatenate([x, np.ones((1, 3), np.float16), x]), normal(2, 3)),
         at([normal(2, 3), normal(2)], axis=None), at([normal(0, 3), normal(2, 3)]),
         at([normal(2, 3)], axis=1), at([normal(2, 1), normal(2, 0)], 1)],
        [bad(ValueError, rf"^concatenate{X23Y4}", [ones(2, 3), ones(4)]),
         bad(ValueError, rf"^concatenate{X23}.*axis 2 is out of bounds", [ones(2, 3), ones(2, 3)],
             axis=2),
         bad(TypeError, r"^np\.concatenate of tensors does not take dtype=", [ones(2, 3)],
             dtype=float)],
        program=an_axis, takes=-2),
    Row(tg.concatenate,
        [at([normal(2, 3), normal(2, 1)], -1), at([normal(2, 3), normal(0, 3)]),
         at([normal(2, 3), normal()], None)],
        [bad(ValueError, rf"^concatenate{X23Y4}", [ones(2, 3), ones(4)])],
        reference=np.concatenate, program=an_axis, takes=-3),
    Row(np.stack, [at([normal(2, 3), normal(2, 3)], axis=-1), at([normal(), normal()]),
                   at([normal(0, 3)] * 3, axis=1), at([normal(3)], -2)],
        [bad(ValueError, rf"^stack{X23Y4}: all input arrays must have the same shape",
             [ones(2, 3), ones(4)]),
         bad(ValueError, rf"^stack{X23}.*axis 3 is out of bounds", [ones(2, 3), ones(2, 3)],
             axis=3)],
        program=a_new_axis, takes=-2),
    Row(tg.stack, [at([normal(2, 3), normal(2, 3)], -1), at([normal()]), at([normal(0, 3)] * 2)],
        [bad(ValueError, rf"^stack{X23Y4}: all input arrays must have the same shape",
             [ones(2, 3), ones(4)])],
        reference=np.stack, program=as_it_is, takes=-2),

# -------------------------------------------------------------------------------------- by index

    Row(rules.getitem, [at(normal(3, 2), index=np.s_[1:, ::-1]),
                        at(normal(3, 2), index=np.s_[..., None, 0]),
                        at(normal(3, 2), index=([2, 0, 0, -1],)),
                        at(normal(3, 2), index=(np.array([0, 1]), slice(1, None))),
                        by(lambda x: x[np.array([[True, False], [True, True]])], normal(2, 2)),
                        at(normal(3, 2), index=-1), at(normal(), index=None),
                        at(normal(), index=()), at(normal(0, 3), index=slice(None, None, -2)),
                        at(normal(3, 2), index=([],)),
                        at(normal(3, 4, 2), index=([0, 1], slice(None), [1, 1])),
                        at(normal(3, 2), index=(np.zeros(3, bool),)),
                        at(normal(3, 4), index=(np.array([[0], [2]]), np.array([1, 1, 3]))),
                        at(normal(3, 2), index=(True, ...))],
        [bad(IndexError, rf"^getitem{X23}\): index 2 is out of bounds for axis 0 with size 2",
             ones(2, 3), index=2),
         bad(IndexError, rf"^getitem{X23}, \(2,\)\): index 2 is out of bounds", ones(2, 3),
             index=([0, 2],)),
         bad(IndexError, rf"^getitem{X23}\): too many indices", ones(2, 3), index=(0, 0, 0)),
         bad(IndexError, rf"^getitem{X23}, \(3,\)\): boolean index did not match", ones(2, 3),
             index=np.ones(3, bool)),
         bad(TypeError, r"^index: 1\.0 is not an integer", ones(2, 3), index=1.0),
         bad(TypeError, r"^index: float64 array", ones(2, 3), index=np.array([1.0]))],
        called=lambda x, index: x[index], program=some_index),
    Row(rules.embedding,
        [at(normal(3, 2), CLASSES), at(normal(3, 2), np.array(1)), at(normal(3, 2), NO_IDS),
         at(normal(3, 0), CLASSES)],
        [bad(ValueError, r"^embedding\(x: float64 of shape \(4,\).*\(K, D\)", ones(4),
             np.array([0])),
         bad(IndexError, rf"^embedding{X23}.*id 5 at \(0, 1\) is not in 0 … 1", ones(2, 3),
             np.array([[0, 5]])),
         bad(IndexError, rf"^embedding{X23}.*id -1 at \(0,\)", ones(2, 3), np.array([-1])),
         bad(TypeError, rf"^embedding{X23}.*integers are wanted, not float64", ones(2, 3),
             np.array([0.5]))],
        reference=lambda table, ids: table[ids], program=some_ids),
    Row(rules.scatter, [at(normal(2), index=(1, slice(None)), shape=(3, 2)),
                        at(normal(2, 2), np.array([1, 1]), index=rules.LOOKUP, shape=(3, 2)),
                        at(normal(2, 2), np.array([-1, 0]), index=rules.LOOKUP, shape=(3, 2)),
                        at(normal(0, 2), np.zeros(0, int), index=rules.LOOKUP, shape=(3, 2)),
                        at(normal(), index=(2,), shape=(3,)),
                        at(normal(2), np.array([0, 0]), np.array([1, 1]),
                           index=(rules.ARRAY, rules.ARRAY), shape=(2, 2)),
                        at(normal(2), np.array([True, False, True]), index=rules.LOOKUP,
                           shape=(3,)),
                        at(normal(2, 2, 2), CLASSES, index=rules.LOOKUP, shape=(3, 2))],
        [bad(IndexError, rf"^scatter{X23}\): index 5 is out of bounds", ones(2, 3), index=(5,),
             shape=(3,)),
         bad(ValueError, rf"^scatter{X23}\): could not broadcast", ones(2, 3), index=(slice(None),),
             shape=(2, 2))],
        reference=plain_scatter, program=some_rows),
    Row(np.take, [at(normal(2, 3), [3, 0, 3]), at(normal(2, 3), [[0, -1]], axis=1),
                  at(normal(2, 3), 1, axis=-1), at(normal(0, 3), [0, 2], axis=1),
                  at(normal(2, 3), [], axis=0), at(normal(2, 3), np.array([0, 1]), -2),
                  at(normal(), [0, 0])],
        [bad(IndexError, rf"^take{X23}.*index 6 is out of bounds", ones(2, 3), [6]),
         bad(IndexError, rf"^take{X23}.*index 2 is out of bounds", ones(2, 3), [0, 2], axis=0),
         bad(ValueError, rf"^take{X23}.*axis 2 is out of bounds", ones(2, 3), [0], axis=2),
         bad(TypeError, r"float64", ones(2, 3), [0.5]),
         bad(TypeError, r"^np\.take of tensors does not take mode=", ones(2, 3), [9], mode="clip")],
        program=some_indices),
    Row(np.take_along_axis,
        [at(normal(2, 3), np.array([[2, 2], [0, 1]]), 1), at(normal(2, 3), np.array([4, 4]), None),
         at(normal(2, 3), np.array([[0, -1, 0]]), -2),
         at(normal(0, 3), np.zeros((0, 2), int), 1)],
        [bad(IndexError, rf"^take_along_axis{X23}.*index 5 is out of bounds", ones(2, 3),
             np.array([[5]]), 1),
         bad(ValueError, rf"^take_along_axis{X23}.*axis 2 is out of bounds", ones(2, 3),
             np.array([[0]]), 2),
         bad(ValueError, rf"^take_along_axis{X23}", ones(2, 3), np.array([0]), 1)],
        program=some_places),
    Row(np.repeat, [at(normal(2, 3), 2), at(normal(2, 3), [1, 0, 2], axis=-1), at(normal(), 3),
                    at(normal(0, 3), 2, axis=1), at(normal(2, 3), 0, 0)],
        [bad(ValueError, rf"^repeat{X23}.*broadcast", ones(2, 3), [1, 2]),
         bad(ValueError, rf"^repeat{X23}.*axis 2 is out of bounds", ones(2, 3), 2, axis=2),
         bad(ValueError, rf"^repeat{X23}.*negative", ones(2, 3), -1)],
        program=some_repeats),
    Row(np.tile, [at(normal(2, 3), 2), at(normal(2, 3), (2, 1, 3)), at(normal(2, 3), (2, 0)),
                  at(normal(), 2), at(normal(0, 3), (1, 2)), at(normal(2, 3), ()),
                  at(normal(2), np.int64(2)), at(normal(2, 3), [2, 1])],
        [bad(ValueError, rf"^tile{X23}.*negative", ones(2, 3), -1),
         bad(TypeError, rf"^tile{X23}", ones(2, 3), 1.5)],
        program=some_counts),
    Row(np.roll, [at(normal(2, 3), 2), at(normal(2, 3), (1, -1), (0, 1)), at(normal(2, 3), -1, -1),
                  at(normal(0, 3), 1, 0), at(normal(), 1), at(normal(3, 2), (1, 1), 0)],
        [bad(ValueError, rf"^roll{X23}.*axis 2 is out of bounds", ones(2, 3), 1, 2),
         bad(ValueError, rf"^roll{X23}", ones(2, 3), (1, 2, 3), (0, 1))],
        program=some_shift),
    Row(np.split, [by(lambda x: np.split(x, 2, axis=1)[1], normal(2, 4)),
                   by(lambda x: np.split(x, [1, 3])[1], normal(4, 2)),
                   by(lambda x: np.split(x, [1, 5], -1)[2], normal(2, 3)),
                   by(lambda x: np.split(x, [-1], 1)[0], normal(2, 3)),
                   by(lambda x: np.split(x, 1)[0], normal(0, 3)),
                   by(lambda x: np.split(x, [2, 1])[2], normal(4))],
        [bad(ValueError, rf"^split{X23}.*equal division", ones(2, 3), 2, axis=1),
         bad(ValueError, rf"^split{X23}.*axis 2 is out of bounds", ones(2, 3), 2, axis=2)],
        called=lambda x, cuts, axis=0: np.split(x, cuts, axis)[-1], program=some_parts),
    Row(np.pad, [at(normal(2, 3), 1), at(normal(2, 3), ((0, 1), (2, 0)), constant_values=5.0),
                 at(normal(2, 3), (1, 2)), at(normal(0, 3), ((1, 0), (0, 0))), at(normal(2, 3), 0),
                 at(normal(2, 3), ((1, 2),), constant_values=-2)],
        [bad(ValueError, rf"^pad{X23}.*negative", ones(2, 3), -1),
         bad(ValueError, rf"^pad{X23}", ones(2, 3), (1, 2, 3)),
         bad(TypeError, rf"^pad{X23}", ones(2, 3), 1.5),
         bad(TypeError, r"^np\.pad of tensors does not take mode=", ones(2, 3), 1, mode="edge")],
        program=some_widths),

# --------------------------------------------------------------------------- without a derivative

    *map(flat_one, [np.sign, np.floor, np.ceil, np.rint, np.trunc, np.isnan, np.isinf, np.isfinite,
                    np.logical_not]),
    *map(flat_two, [np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal,
                    np.logical_and, np.logical_or, np.logical_xor]),
    flat(np.floor_divide, *(at(normal(*a), nonzero(*b)) for a, b in PAIRS),
         by(lambda x: x // 0.3, normal(3)),
         errors=[bad(ValueError, rf"^floor_divide{X23Y4}: operands could not be broadcast",
                     ones(2, 3), ones(4))]),
    *(flat(f, at(normal(2, 3)), at(normal(2, 3), axis=0), at(normal(2, 3), axis=-1), at(normal()),
           at(np.array([1.0, 1.0])), at(normal(0, 3), axis=1),
           errors=[*axis_errors(f.__name__, several=False),
                   bad(ValueError, rf"^{f.__name__}\(x: float64 of shape \(0,\)\): attempt",
                       ones(0))])
      for f in (np.argmax, np.argmin)),
    flat(np.argsort, at(normal(2, 3)), at(normal(2, 3), axis=0), at(normal(2, 3), axis=None),
         at(normal(0, 3)), at(normal(4), kind="stable"),
         errors=axis_errors("argsort", several=False)),
    flat(rules.one_hot, at(CLASSES, size=3), at(CLASSES, 3, np.float32), at(np.array(1), 2),
         at(NO_IDS, size=3),
         errors=[bad(IndexError,
                     r"^one_hot\(x: int64 of shape \(1,\)\): class 3 at \(0,\) is not in 0 … 2",
                     np.array([3]), 3),
                 bad(TypeError,
                     r"^one_hot\(x: float64 of shape \(1,\)\): class: integers are wanted", ones(1),
                     3)],
         reference=lambda classes, size, dtype=np.float64: np.eye(size, dtype=dtype)[classes]),
]
# fmt: on
