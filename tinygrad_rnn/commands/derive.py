"""`tinygrad-rnn derive`."""

from __future__ import annotations

from typing import Any

from ..networks import NETWORKS
from ..program import compile
from .options import of_a_network, whole

DESCRIPTION = """\
Print the program that is derived from one recorded training step of a network:
loss and gradients, backpropagation through time and all, as a function in plain
NumPy. It runs by itself when it is pasted into a file:

  tinygrad-rnn derive > step.py
"""


def add(commands: Any) -> None:
    """Add the command to a parser's."""
    summary = "print a training step, with its gradient, as a NumPy program"
    parser = of_a_network(commands, "derive", summary, DESCRIPTION)
    # fmt: off
    parser.add_argument("--steps", type=whole(1, 10**4), default=12, metavar="T",
                        help="how many time steps the network makes; from 9 on, the program is for "
                        "any number of them, and below 4 it has no loop (default: 12)")
    # fmt: on
    parser.set_defaults(command=run)


def run(given: dict[str, Any]) -> int:
    """Run the command and return its exit status."""
    step = NETWORKS[given["network"]].step(given["steps"])
    program = compile(step.f)
    program(*step.arguments)
    print(program.source, end="")
    return 0
