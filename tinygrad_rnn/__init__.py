"""An autograd engine on NumPy, small enough to read in an evening.

A recurrent network is written as its equations in a loop over `steps`; generic reverse-mode
differentiation of what the loop recorded is backpropagation through time.
"""

from . import bptt, nn, optim
from .draw import GraphvizNotFound, draw
from .engine import composed as _composed  # noqa: F401 (enters NumPy's functions into the table)
from .engine.check import check_gradients
from .engine.describe import describe
from .engine.functions import add_n, concatenate, gelu, stack, where
from .engine.gradients import grad, hvp, jacobian, jvp, vjp
from .engine.record import no_grad, scope, steps, trace_errors
from .engine.rules import (
    cross_entropy,
    embedding,
    log_softmax,
    logsumexp,
    one_hot,
    relu,
    sigmoid,
    softmax,
    softplus,
)
from .engine.tensor import Parameter, Tensor, tensor
from .fold import fold
from .program import Program, compile

__version__ = "0.1.0"

__all__ = [
    "GraphvizNotFound",
    "Parameter",
    "Program",
    "Tensor",
    "add_n",
    "bptt",
    "check_gradients",
    "compile",
    "concatenate",
    "cross_entropy",
    "describe",
    "draw",
    "embedding",
    "fold",
    "gelu",
    "grad",
    "hvp",
    "jacobian",
    "jvp",
    "log_softmax",
    "logsumexp",
    "nn",
    "no_grad",
    "one_hot",
    "optim",
    "relu",
    "scope",
    "sigmoid",
    "softmax",
    "softplus",
    "stack",
    "steps",
    "tensor",
    "trace_errors",
    "vjp",
    "where",
]
