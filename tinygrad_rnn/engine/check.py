"""Gradients against central differences: the witness that knows no calculus."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from .gradients import grad
from .record import recording
from .tensor import Tensor

STEP = 1e-5  # balances the truncation error, O(h²), against the rounding error, O(ε/h), in float64


def check_gradients(
    f: Callable[..., Tensor],
    *inputs: Tensor,
    order: int = 2,
    rtol: float = 1e-6,
    atol: float = 1e-8,
) -> None:
    """Compare the gradients of f(*inputs) with central differences.

    An AssertionError names the element that differs most, and both its values.

    f: takes the inputs, returns one tensor. Its elements are weighted at random and summed.
    inputs: float64 tensors; those with requires_grad are checked, element by element.
    order: 2 checks the gradients of the gradients too.
    """
    for i, x in enumerate(inputs):
        if x.requires_grad and x.dtype != np.float64:
            raise TypeError(
                f"check_gradients: input {i} is {x.dtype}; differences of step {STEP} need float64"
            )
    checked = [i for i, x in enumerate(inputs) if x.requires_grad]
    if not checked:
        raise ValueError("check_gradients: no input has requires_grad=True")

    def weighted(y: Tensor) -> Tensor:
        weights = np.random.default_rng(0).uniform(0.5, 1.5, y.shape)  # the same at each call
        total: Tensor = (y * weights).sum()
        return total

    def scalar(*xs: Tensor) -> Tensor:
        return weighted(f(*xs))

    _compare(scalar, inputs, checked, "", rtol, atol)
    if order >= 2:
        for i in checked:

            def slope(*xs: Tensor, i: int = i) -> Tensor:
                with recording():
                    y = scalar(*xs)
                g = None
                if y.requires_grad:
                    (g,) = grad(y, [xs[i]], create_graph=True, allow_unused=True)
                return xs[i].sum() * 0 if g is None else weighted(g)

            _compare(slope, inputs, checked, f" of the gradient for argument {i}", rtol, atol)


def _compare(
    f: Callable[..., Tensor],
    inputs: tuple[Tensor, ...],
    checked: list[int],
    what: str,
    rtol: float,
    atol: float,
) -> None:
    fresh = [_like(x.data, x) for x in inputs]
    with recording():
        y = f(*fresh)
    if y.requires_grad:
        found = grad(y, [fresh[i] for i in checked], allow_unused=True)
    else:
        found = (None,) * len(checked)
    for i, g in zip(checked, found, strict=True):
        ours = np.zeros(inputs[i].shape) if g is None else g.data
        theirs = differences(f, inputs, i)
        wrong = ~np.isclose(ours, theirs, rtol, atol, equal_nan=True)
        if wrong.any():
            gap = np.where(wrong, np.nan_to_num(np.abs(ours - theirs), nan=np.inf), -1)
            place = tuple(int(k) for k in np.unravel_index(np.argmax(gap), gap.shape))
            raise AssertionError(
                f"check_gradients: the derivative{what} for argument {i}"
                f"{f' ({inputs[i].name})' if inputs[i].name else ''} at {place} is "
                f"{ours[place]:.10g}; central differences give {theirs[place]:.10g} "
                f"({int(wrong.sum())} of {wrong.size} elements differ)"
            )


def _like(array: npt.NDArray[Any], x: Tensor) -> Tensor:
    return Tensor(array, requires_grad=x.requires_grad, name=x.name)


def differences(
    f: Callable[..., Tensor], inputs: tuple[Tensor, ...], slot: int
) -> npt.NDArray[np.float64]:
    """(f(x + h) − f(x − h)) / 2h for every element of input `slot` of a scalar function."""
    arrays = [x.data.copy() for x in inputs]
    slopes = np.zeros(arrays[slot].shape)
    for place in np.ndindex(*slopes.shape):
        middle = arrays[slot][place]
        ends = []
        for x in (middle + STEP, middle - STEP):
            arrays[slot][place] = x
            ends.append(f(*map(_like, arrays, inputs)).item())
        arrays[slot][place] = middle
        slopes[place] = (ends[0] - ends[1]) / (2 * STEP)
    return slopes
