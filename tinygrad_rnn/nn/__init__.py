"""Networks: modules that hold parameters, and the loop over time."""

from .cells import RNNCell, unroll
from .layers import Embedding, Linear
from .module import Module

__all__ = ["Embedding", "Linear", "Module", "RNNCell", "unroll"]
