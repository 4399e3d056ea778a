"""Networks: modules that hold parameters, and the loop over time."""

from . import init
from .cells import GRUCell, LSTMCell, RNNCell, unroll
from .layers import Dropout, Embedding, LayerNorm, Linear
from .module import Module
from .recurrent import GRU, LSTM, RNN

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "Dropout",
    "Embedding",
    "GRUCell",
    "LSTMCell",
    "LayerNorm",
    "Linear",
    "Module",
    "RNNCell",
    "init",
    "unroll",
]
