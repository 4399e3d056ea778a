import os
import re
import stat
import sys
import time

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.draw import GraphvizNotFound, Picture, draw
from tinygrad_rnn.draw import render as rendering  # the module

posix = pytest.mark.skipif(os.name != "posix", reason="the stand-in engines are scripts")


def square():
    x = tg.tensor([1.0, 2.0], requires_grad=True, name="x")
    return x * x


@pytest.fixture
def engine(tmp_path, monkeypatch):
    """Make a stand-in engine from the body of a Python program."""

    def make(body, name="dot", folder="bin"):
        path = tmp_path / folder
        path.mkdir(exist_ok=True)
        script = path / name
        script.write_text(f"#!{sys.executable}\nimport sys, time\n{body}\n")
        script.chmod(script.stat().st_mode | stat.S_IEXEC)
        return script

    monkeypatch.delenv("GRAPHVIZ_DOT", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(rendering.sysconfig, "get_path", lambda name: str(tmp_path / "scripts"))
    return make


def real_engine():
    try:
        return rendering.find_engine()
    except GraphvizNotFound:
        pytest.skip("no Graphviz engine")


@posix
def test_the_engine_is_looked_for_in_order(engine, monkeypatch):
    with pytest.raises(GraphvizNotFound):
        rendering.find_engine()
    in_scripts = engine("", "graphviz-pure", "scripts")
    assert rendering.find_engine() == str(in_scripts)
    pure = engine("", "graphviz-pure")
    assert rendering.find_engine() == str(pure)
    dot = engine("", "dot")
    assert rendering.find_engine() == str(dot)
    monkeypatch.setenv("GRAPHVIZ_DOT", str(pure))
    assert rendering.find_engine() == str(pure)
    monkeypatch.setenv("GRAPHVIZ_DOT", "/no/such/program")
    with pytest.raises(GraphvizNotFound, match="GRAPHVIZ_DOT"):
        rendering.find_engine()


def test_without_an_engine_the_text_is_saved_and_one_error_names_both_remedies(engine, tmp_path):
    with pytest.raises(GraphvizNotFound) as caught:
        draw(square()).save(tmp_path / "rnn.png")
    message = str(caught.value)
    assert 'pip install "tinygrad_rnn[png]"' in message
    assert "install Graphviz" in message
    assert "rnn.dot" in message
    assert (tmp_path / "rnn.dot").read_text(encoding="utf-8") == draw(square()).source
    assert not (tmp_path / "rnn.png").exists()


def test_dot_text_needs_no_engine(engine, tmp_path):
    picture = draw(square())
    assert picture.save(tmp_path / "rnn.dot") == tmp_path / "rnn.dot"
    assert (tmp_path / "rnn.dot").read_text(encoding="utf-8") == picture.source


@posix
def test_the_engine_gets_the_text_and_the_options(engine, tmp_path):
    engine("sys.stdout.write('<svg' + repr(sys.argv[1:]) + sys.stdin.read())")
    picture = draw(square())
    said = picture.save(str(tmp_path / "a.svg"), dpi=110).read_text(encoding="utf-8")
    assert said == "<svg['-Kneato', '-n2', '-Tsvg']" + picture.source
    engine("sys.stdout.buffer.write(b'\\x89PNG' + repr(sys.argv[1:]).encode())")
    drawn = picture.save(str(tmp_path / "a.png"), dpi=110).read_bytes()
    assert drawn == b"\x89PNG['-Kneato', '-n2', '-Tpng', '-Gdpi=110']"


@posix
@pytest.mark.parametrize(
    "body", ["sys.exit('bad graph')", "pass", "print(sys.argv)", "time.sleep(60)"]
)
def test_a_failing_engine_leaves_the_old_file_and_no_other(engine, tmp_path, monkeypatch, body):
    engine(body)
    monkeypatch.setattr(rendering, "SECONDS", 0.5)
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "a.svg").write_text("old")
    start = time.monotonic()
    with pytest.raises(RuntimeError, match=r"bad graph|made no SVG|stopped"):
        draw(square()).save(folder / "a.svg")
    assert time.monotonic() - start < 20
    assert [p.name for p in folder.iterdir()] == ["a.svg"]
    assert (folder / "a.svg").read_text() == "old"


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    def fail(*args):
        raise OSError(28, "full", "a temporary file")

    (tmp_path / "a.dot").write_text("old")
    monkeypatch.setattr(rendering.os, "replace", fail)
    with pytest.raises(OSError, match="full") as caught:
        draw(square()).save(tmp_path / "a.dot")
    assert caught.value.filename == str(tmp_path / "a.dot")
    assert [p.name for p in tmp_path.iterdir()] == ["a.dot"]
    assert (tmp_path / "a.dot").read_text() == "old"


@posix
def test_an_engine_that_can_t_be_run_is_said(tmp_path, monkeypatch):
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x7fno program")
    broken.chmod(0o755)
    monkeypatch.setenv("GRAPHVIZ_DOT", str(broken))
    with pytest.raises(RuntimeError, match=r"broken can't be run: "):
        draw(square()).save(tmp_path / "a.png")
    assert [p.name for p in tmp_path.iterdir()] == ["broken"]


@posix
def test_graphviz_pure_writes_no_pdf(engine, tmp_path):
    engine("sys.exit('unreachable')", "graphviz-pure")
    with pytest.raises(RuntimeError, match=r"no PDF; save the picture as \.svg, or install"):
        draw(square()).save(tmp_path / "a.pdf")


@pytest.mark.parametrize("name", ["a.gif", "a", "a.png.txt"])
def test_an_unknown_ending_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match=r"\.png, \.svg, \.pdf or \.dot"):
        draw(square()).save(tmp_path / name)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        draw(square()).save(tmp_path / "nowhere" / "a.png")


def test_a_path_that_can_t_be_a_file_is_one_clear_error(tmp_path):
    picture = draw(square())
    (tmp_path / "folder.dot").mkdir()
    with pytest.raises(IsADirectoryError, match="folder"):
        picture.save(tmp_path / "folder.dot")
    with pytest.raises(ValueError, match="NUL"):
        picture.save(tmp_path / "a\0b.dot")
    with pytest.raises(OSError, match="xxx") as caught:
        picture.save(tmp_path / f"{'x' * 300}.dot")
    assert str(caught.value).count("/") <= str(tmp_path / "x").count("/")  # no other path
    assert [p.name for p in tmp_path.iterdir()] == ["folder.dot"]


@pytest.mark.parametrize("dpi", [float("nan"), float("inf"), 0, -1, "a", None])
def test_a_dpi_that_is_no_number_of_pixels_is_refused(tmp_path, dpi):
    with pytest.raises(ValueError, match="1 or more"):
        draw(square()).save(tmp_path / "a.png", dpi=dpi)


def test_a_bitmap_that_is_too_large_is_refused_before_rendering(engine, tmp_path):
    with pytest.raises(ValueError, match=r"32,767.*\.svg.*fewer steps.*lower dpi"):
        draw(square()).save(tmp_path / "a.png", dpi=50_000)
    w, h = tg.Parameter(1.0), 0
    for _, x in tg.steps(range(300)):
        h = np.tanh(w * x + h)
    with pytest.raises(ValueError, match="32,767"):
        draw(h, steps=(150, 150)).save(tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


def test_too_many_boxes_are_refused_at_once_with_the_remedy():
    y = tg.tensor([1.0], requires_grad=True)
    for _ in range(100_000):
        y = np.tanh(y)
    start = time.monotonic()
    for options in ({}, {"detail": "cells"}, {"folded": True}):
        with pytest.raises(ValueError, match=r"100,001 boxes .* 5,000.*steps=\(3, 2\)"):
            draw(y, **options)
    assert time.monotonic() - start < 5


def test_what_is_not_recorded_is_a_clear_error():
    with pytest.raises(RuntimeError, match="no operation is recorded"):
        draw(tg.tensor([1.0]))
    with pytest.raises(RuntimeError, match="no operation is recorded"):
        draw([])
    with pytest.raises(TypeError, match="ndarray is not a tensor"):
        draw([np.ones(2)])
    with pytest.raises(TypeError, match="NoneType is not a tensor"):
        draw(None)
    with pytest.raises(TypeError, match="title is int, and should be str"):
        draw(square(), title=5)
    y = np.sum(square())
    y.backward()
    with pytest.raises(RuntimeError, match="released"):
        draw(y)


@pytest.mark.parametrize("name", ["rnn.png", "a picture.svg", "Bild größe ŷ.png"])
def test_pictures_are_made(tmp_path, name):
    real_engine()
    folder = tmp_path / "with space, ünïcode; $(echo)"
    folder.mkdir()
    path = draw(square(), title="A square").save(folder / name)
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG" if name.endswith("png") else b"<?xml")
    assert [p.name for p in folder.iterdir()] == [name]


@pytest.mark.parametrize("name", ["dot", "graphviz-pure"])
def test_each_engine_draws_every_box_and_line(name, monkeypatch):
    import shutil
    import sysconfig

    found = shutil.which(name) or shutil.which(name, path=sysconfig.get_path("scripts"))
    if found is None:
        pytest.skip(f"no {name}")
    monkeypatch.setenv("GRAPHVIZ_DOT", found)
    h = tg.tensor(np.ones(2), requires_grad=True, name="h")
    for _ in tg.steps(range(3)):
        h = np.tanh(h)
    picture = draw(h, folded=True, backward=True, legend=True, show="gradients")
    svg = picture._repr_svg_()
    assert svg.count('class="edge"') == picture.source.count(" -> ")
    assert svg.count('class="node"') == len(re.findall(r"^\t[nkw]\d+ \[", picture.source, re.M))
    assert "<title>black square: 1 step later</title>" in svg


def test_dpi_sets_the_number_of_pixels(tmp_path):
    real_engine()
    picture = draw(square())
    wide = [
        int.from_bytes(picture.save(tmp_path / "a.png", dpi=dpi).read_bytes()[16:20], "big")
        for dpi in (72, 144)
    ]
    assert wide[1] == pytest.approx(2 * wide[0], rel=0.05)


def test_a_picture_shows_itself_in_a_notebook():
    real_engine()
    picture = draw([square()])
    assert isinstance(picture, Picture)
    assert "<svg" in picture._repr_svg_()


def test_importing_the_package_starts_nothing():
    import subprocess

    code = (
        "import sys, tinygrad_rnn.draw; "
        "assert not {'graphviz', 'matplotlib', 'subprocess'} & set(sys.modules) - before"
    )
    code = f"import sys, numpy; before = set(sys.modules); {code}"
    subprocess.run([sys.executable, "-c", code], check=True)
