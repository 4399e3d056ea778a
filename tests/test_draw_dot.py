import os
import re
import subprocess
import sys

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.draw import draw
from tinygrad_rnn.draw.render import GraphvizNotFound, find_engine, render
from tinygrad_rnn.draw.words import contrast, width_of

PROGRAM = """
import numpy as np
import tinygrad_rnn as tg
from tinygrad_rnn.draw import draw
W, U = tg.Parameter(np.eye(2)), tg.Parameter(np.eye(2))
h, total = tg.tensor(np.zeros((1, 2))), 0
for t, x in tg.steps(np.ones((3, 1, 2))):
    h = np.tanh(x + h @ W)
    total = total + np.sum(h @ U)
print(draw([total, h]).source)
"""

AWKWARD = {
    "quotes": 'say "hi"', "slash": "a\\", "slash n": "\\n\\N", "html": "<b>W</b>", "record": "{|}",
    "port": "a:b", "edge": "a->b", "entity": "&amp;", "accents": "Größe ŵ", "comment": "//*",
    "end": '"];}',
}  # fmt: skip


def svg_of(picture):
    try:
        find_engine()
    except GraphvizNotFound:
        pytest.skip("no Graphviz engine")
    return render(picture.source, ".svg").decode()


def text_of(svg):
    import html

    return [html.unescape(text) for text in re.findall(r"<text[^>]*>([^<]*)</text>", svg)]


def test_the_text_is_the_same_in_every_process():
    seen = set()
    for seed in ("0", "1", "77"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        ran = subprocess.run(
            [sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=environment,
            encoding="utf-8", check=True,
        )  # fmt: skip
        seen.add(ran.stdout)
    assert len(seen) == 1
    assert "n1 [" in seen.pop()


def test_identifiers_are_running_numbers_and_colours_have_six_digits():
    x = tg.tensor([1.0], requires_grad=True)
    source = draw(np.tanh(x) * x).source
    identifiers = re.findall(r"^\t(n\d+) \[", source, re.M)
    assert identifiers == ["n1", "n2", "n3"]
    colors = re.findall(r"#\w+", source)
    assert colors
    assert all(re.fullmatch(r"#[0-9A-F]{6}", color) for color in colors)


@pytest.mark.parametrize("name", AWKWARD.values(), ids=AWKWARD)
def test_awkward_names_are_drawn_as_text(name):
    w = tg.Parameter(np.ones(2), name=name)
    y = np.tanh(w)
    y.name = name
    svg = svg_of(draw(y, title=name))
    shown = "".join(text_of(svg)).replace("\xa0", " ")
    assert shown.count(name) == 3  # the parameter, the value, the title


def test_control_characters_are_shown_as_escapes():
    w = tg.Parameter(np.ones(2), name="a\nb\x00\x1b\ud800")
    source = draw(np.tanh(w)).source
    assert all(c.isprintable() or c in "\n\t" for c in source)
    assert any("a\\nb\\x00\\x1b\\ud800" in text for text in text_of(svg_of(draw(np.tanh(w)))))


def test_a_name_of_500_characters_is_shortened():
    w = tg.Parameter(np.ones(2), name="w" * 500)
    source = draw(np.tanh(w)).source
    assert "w" * 25 not in source
    assert "w" * 23 + "…" in source


def test_parameters_are_written_in_the_colour_that_can_be_read():
    weights = [tg.Parameter(1.0) for _ in range(8)]
    source = draw(tg.engine.rules.add_n(*weights)).source
    pairs = re.findall(r'fillcolor="(#\w+)" fontcolor="(#\w+)"', source)
    assert len(pairs) == 8
    assert all(contrast(fill, ink) >= 4.5 for fill, ink in pairs)
    assert dict(pairs)["#E69F00"] == "#000000"


def test_text_fits_its_box():
    w = tg.Parameter(np.ones((100, 200)), name="recurrent_weights")
    source = draw(np.tanh(w)).source
    (width,) = re.findall(r"recurrent.*? width=([\d.]+)", source)
    # Helvetica's widths are about 0.56 em for a lower-case letter; the estimate must not be below.
    assert float(width) * 72 > 0.56 * 12 * len("recurrent_weights  100×200")
    assert width_of("MMM") > width_of("iii")


def test_positions_survive_the_engine():
    x = tg.tensor([1.0], requires_grad=True)
    svg = svg_of(draw(np.tanh(x) * x))
    assert svg.count('class="node"') == 3
    assert svg.count('class="edge"') == 3
