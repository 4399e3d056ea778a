"""How many threads NumPy's products of matrices use."""

from __future__ import annotations

import ctypes
import os


def one_blas_thread() -> None:
    """Keep NumPy's BLAS to one thread, unless the environment says how many.

    For products as small as these, a second thread gains little on an idle machine. On a busy one
    it waits at every product for a core, which makes the job ten times slower; and rounding, hence
    the report, would depend on the number of cores.
    """
    if any(f"{library}_NUM_THREADS" in os.environ for library in ("OPENBLAS", "OMP", "MKL")):
        return
    from numpy.linalg import _umath_linalg

    try:
        blas = ctypes.CDLL(_umath_linalg.__file__)  # finds what the module is linked with, too
    except OSError:
        return
    for name in ("scipy_openblas_set_num_threads64_", "openblas_set_num_threads"):
        if hasattr(blas, name):
            getattr(blas, name)(1)
            return
