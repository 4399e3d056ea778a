"""`tinygrad-rnn draw`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..draw import draw
from ..draw.options import CHOICES
from ..networks import NETWORKS
from .options import BadInput, file, of_a_network, whole

DESCRIPTION = """\
Draw one training step of a network: time to the right, layers upwards, each
parameter once. Or its loop, folded. PNG, SVG and PDF need a Graphviz engine
(pip install graphviz-pure); DOT text needs none.
"""


def add(commands: Any) -> None:
    """Add the command to a parser's."""
    summary = "draw a recurrent network, unrolled or folded"
    parser = of_a_network(commands, "draw", summary, DESCRIPTION)
    option = parser.add_argument
    # fmt: off
    option("--steps", type=whole(1, 10**4), default=4, metavar="T",
           help="how many time steps are recorded (default: 4)")
    option("--folded", action="store_true", help="the loop instead of its steps")
    option("--ends", type=whole(1), nargs=2, metavar=("A", "B"),
           help="show the first A steps and the last B (default: up to 24 steps, all)")
    option("--show", action="append", choices=CHOICES["show"], default=[],
           help="write this into the boxes; may be given several times")
    option("--backward", action="store_true", help="draw the way of the gradient, too")
    option("--legend", action="store_true", help="explain the kinds of boxes below the picture")
    for name in ("detail", "notation", "direction", "theme"):
        option(f"--{name}", choices=CHOICES[name], default=CHOICES[name][0],
               help=f"(default: {CHOICES[name][0]})")
    option("--title", help="written above the picture")
    option("--dpi", type=whole(1, 10**4), default=150, metavar="N",
           help="pixels per inch of a PNG (default: 150)")
    option("--out", type=file, metavar="FILE",
           help="where to save it: .png, .svg, .pdf or .dot (default: NETWORK.png)")
    # fmt: on
    parser.set_defaults(command=run)


def run(given: dict[str, Any]) -> int:
    """Run the command and return its exit status."""
    network, T, out = (given.pop(name) for name in ("network", "steps", "out"))
    dpi, ends = given.pop("dpi"), given.pop("ends")
    out = Path(f"{network}.png") if out is None else out
    try:
        picture = draw(NETWORKS[network](T), steps=ends and tuple(ends), **given)
        picture.save(out, dpi)
    except (ValueError, RuntimeError, OSError) as error:
        raise BadInput(str(error)) from None
    print(out)
    return 0
