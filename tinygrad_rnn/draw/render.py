"""Rendering: hands DOT text to a Graphviz engine and puts the file in its place.

This is the only file that runs another program: without a shell, with a time limit, and writing
beside the target first, so that a picture is there whole or not at all.
"""

from __future__ import annotations

import html
import math
import os
import re
import shutil
import sysconfig
import tempfile
from pathlib import Path

FORMATS = (".png", ".svg", ".pdf", ".dot")
MARKS = {".png": b"\x89PNG", ".svg": b"<svg", ".pdf": b"%PDF"}  # no picture is without
SECONDS = 120
MOST_BOXES = 5000
MOST_PIXELS = 32767


class GraphvizNotFound(RuntimeError):  # noqa: N818 (it reads as one)
    """There is no Graphviz engine to draw a PNG, SVG or PDF with; the message says what to install.

    The DOT text needs none.
    """


def find_engine() -> str:
    """The program to call: $GRAPHVIZ_DOT, dot, or graphviz-pure."""
    chosen = os.environ.get("GRAPHVIZ_DOT")
    if chosen:
        found = shutil.which(chosen)
        if found is None:
            raise GraphvizNotFound(f"GRAPHVIZ_DOT={chosen!r} is not a program")
        return found
    here = sysconfig.get_path("scripts")
    for name, path in (("dot", None), ("graphviz-pure", None), ("graphviz-pure", here)):
        found = shutil.which(name, path=path)
        if found is not None:
            return found
    raise GraphvizNotFound(
        "no Graphviz engine was found; "
        'pip install "tinygrad_rnn[png]" for PNG and SVG, or install Graphviz (graphviz.org)'
    )


def check_target(path: str | os.PathLike[str]) -> Path:
    """The path of a picture that can be written, or an error that says why not."""
    target = Path(path)
    if target.suffix.lower() not in FORMATS:
        raise ValueError(
            f"save: {target.name!r} ends in {target.suffix or 'nothing'!r}; "
            "a picture is .png, .svg, .pdf or .dot"
        )
    if "\0" in str(target):
        raise ValueError(f"save: {str(target)!r} is no path of a file: it has a NUL in it")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"save: there is no folder {str(target.parent)!r}")
    if target.is_dir():
        raise IsADirectoryError(f"save: {str(target)!r} is a folder; give the path of a file")
    return target


def check_dpi(dpi: float) -> None:
    """Refuse what is no number of pixels per inch."""
    try:
        sound = 1 <= dpi < math.inf
    except TypeError:
        sound = False
    if not sound:
        raise ValueError(f"save: dpi={dpi!r}; it is a number of pixels per inch, 1 or more")


def check_size(kind: str, boxes: int, width: float, height: float, dpi: float) -> None:
    """Refuse a picture that no engine or viewer can take. Width and height are in points."""
    if boxes > MOST_BOXES:
        raise ValueError(
            f"save: {boxes} boxes are more than an engine can draw (at most {MOST_BOXES}); "
            "record fewer steps, or save the DOT text as .dot"
        )
    pixels = round(max(width, height) * dpi / 72)
    if kind == ".png" and pixels > MOST_PIXELS:
        raise ValueError(
            f"save: the picture would be {pixels:,} pixels long, and a PNG has at most "
            f"{MOST_PIXELS:,}; save it as .svg, record fewer steps, or lower dpi={dpi:g}"
        )


def render(source: str, kind: str, dpi: float = 96) -> bytes:
    """The picture that an engine makes of DOT text; `kind` is ".png", ".svg" or ".pdf"."""
    import subprocess

    engine = find_engine()
    if kind == ".pdf" and "graphviz-pure" in os.path.basename(engine):
        raise RuntimeError(
            "graphviz-pure writes no PDF; save the picture as .svg, or install Graphviz "
            "(graphviz.org)"
        )
    command = [engine, "-Kneato", "-n2", f"-T{kind[1:]}"]
    if kind == ".png":
        command.append(f"-Gdpi={dpi:g}")
    try:
        done = subprocess.run(command, input=source.encode(), capture_output=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        raise RuntimeError(
            f"{engine} was stopped after {SECONDS} s; record fewer steps, or save as .dot"
        ) from None
    except OSError as error:
        raise RuntimeError(f"{engine} can't be run: {error.strerror}") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        raise RuntimeError(f"{engine} failed with code {done.returncode}: {said[-500:]}")
    if MARKS[kind] not in done.stdout:
        raise RuntimeError(f"{engine} made no {kind[1:].upper()}; it is no Graphviz engine")
    return done.stdout


def with_titles(svg: str, titles: dict[str, str]) -> str:
    """An SVG that says, to screen readers and as tooltips, what its boxes and lines are."""

    def said(found: re.Match[str]) -> str:
        name = html.unescape(found[1])
        return f"<title>{html.escape(titles[name])}</title>" if name in titles else found[0]

    return re.sub(r"<title>([^<]*)</title>", said, svg)


def write(target: Path, data: bytes) -> None:
    """Put a file in its place, whole or not at all."""
    try:
        descriptor, name = tempfile.mkstemp(dir=target.parent, suffix=target.suffix)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            os.chmod(name, 0o666 & ~_umask())
            os.replace(name, target)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:  # about the path that was asked for, not about the one beside it
        raise OSError(error.errno, error.strerror, str(target)) from None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
