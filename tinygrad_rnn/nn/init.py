"""What parameters start from."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def uniform(
    shape: tuple[int, ...], bound: float, dtype: npt.DTypeLike, rng: np.random.Generator | None
) -> npt.NDArray[Any]:
    """Uniform in [−bound, bound). The same generator gives the same numbers."""
    rng = np.random.default_rng() if rng is None else rng
    return rng.uniform(-bound, bound, shape).astype(dtype)
