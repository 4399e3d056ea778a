"""Real-time recurrent learning: the same gradient, in the direction of time.

Backwards, one number comes back for each state. Forwards, one number per weight goes along with
each state: how the state has been moved by the weight so far. Nothing of the past need be kept, but
there are as many of these numbers as weights times states. Williams and Zipser 1989, "A learning
algorithm for continually running fully recurrent neural networks".
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ..engine.gradients import AT_ONCE, push_forward
from ..engine.tensor import Tensor, from_array, seed
from .uses import listed


def rtrl(loss: Tensor, parameters: Iterable[Tensor]) -> tuple[Tensor, ...]:
    """dL/dθ for each parameter, found by forward mode through the recording; the graph is kept.

    The recording is of all steps, so this shows that the gradient is the same; that nothing of the
    past need be kept is for code that records nothing, such as `by_hand.forward_mode`.

    loss: one element.

    Each element of each parameter is moved, 256 of them in a pass. Against one backward pass, it
    costs as many forward ones as there are weights. A parameter that the loss does not depend on
    gets zeros.
    """
    seed(loss, function="rtrl")  # refuses what is not one element
    gradients = []
    for parameter in listed("rtrl", parameters):
        g = np.zeros(parameter.size, parameter.dtype)
        for first in range(0, parameter.size, AT_ONCE):
            count = min(AT_ONCE, parameter.size - first)
            moved = np.eye(count, parameter.size, first, parameter.dtype)
            tangents = {parameter: moved.reshape(count, *parameter.shape)}
            found = push_forward([loss], tangents, many=True)
            if loss in found:
                g[first : first + count] = found[loss].reshape(count)
        gradients.append(from_array(g.reshape(parameter.shape)))
    return tuple(gradients)
