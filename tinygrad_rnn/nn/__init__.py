"""Networks: modules that hold parameters, and the loop over time."""

from . import init
from .cells import RNNCell, unroll
from .layers import Dropout, Embedding, LayerNorm, Linear
from .module import Module

__all__ = [
    "Dropout",
    "Embedding",
    "LayerNorm",
    "Linear",
    "Module",
    "RNNCell",
    "init",
    "unroll",
]
