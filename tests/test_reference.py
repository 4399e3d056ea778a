"""The pages of the reference are what the docstrings say, and no public name is missing there."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import runpy
from pathlib import Path
from typing import Any

import pytest

import tinygrad_rnn

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "docs" / "reference"
MAKER: dict[str, Any] = runpy.run_path(str(ROOT / "demos" / "reference.py"))
FILES: dict[str, str] = MAKER["Reference"]().files()


def modules_with_all() -> list[Any]:
    """The modules of the package that say which names are public."""
    names = [info.name for info in pkgutil.walk_packages(tinygrad_rnn.__path__, "tinygrad_rnn.")]
    found = [importlib.import_module(name) for name in names if not name.endswith("__main__")]
    return [tinygrad_rnn, *(module for module in found if hasattr(module, "__all__"))]


@pytest.mark.parametrize("file", FILES)
def test_a_page_is_what_the_docstrings_say(file: str) -> None:
    assert (PAGES / file).read_text("utf-8") == FILES[file], "run demos/reference.py"


def test_no_other_page_is_there() -> None:
    assert {path.name for path in PAGES.iterdir()} == set(FILES)


@pytest.mark.parametrize("module", modules_with_all(), ids=lambda module: module.__name__)
def test_every_public_name_is_in_the_index(module: Any) -> None:
    listed = set(re.findall(r"\[`[\w.]*?(\w+)`\]\(", FILES["README.md"]))
    names = {name for name in module.__all__ if not inspect.ismodule(getattr(module, name))}
    assert names - listed == set()


def test_every_public_function_class_and_method_has_a_docstring() -> None:
    silent = []
    for name in MAKER["public"]():
        found = {name.title: name.object}
        if inspect.isclass(name.object):
            for method, _, _ in MAKER["members"](name.object):
                found[f"{name.title}.{method}"] = getattr(name.object, method)
        silent += [title for title, x in found.items() if not inspect.getdoc(x)]
    assert silent == []


def test_a_name_without_a_place_is_told_where_to_go(monkeypatch: pytest.MonkeyPatch) -> None:
    title, sections = MAKER["PAGES"]["networks"]
    fewer = {section: files for section, files in sections.items() if files != ["optim"]}
    monkeypatch.setitem(MAKER["PAGES"], "networks", (title, fewer))
    with pytest.raises(LookupError, match=r"tg\.optim\.\w+, of .*: add 'optim' to a section"):
        MAKER["placed"](MAKER["public"]())


DOCSTRING = """What it does: y = a *b.

    Prose with h_t, _x, `a_*b*` and <b>, on
    two lines.

        y_t = x_t V

    x: (B, D)   y: (B,)

    x: the input.
    n, m: two numbers,
        in one item.
    *xs: more.

    Source: a book.

    >>> f(1)
    2
    """


def test_a_docstring_as_markdown() -> None:
    assert "\n".join(MAKER["markdown"](DOCSTRING)) == (
        "What it does: y = a \\*b.\n\n"
        "Prose with h_t, \\_x, `a_*b*` and \\<b>, on\ntwo lines.\n\n"
        "    y_t = x_t V\n\n"
        "    x: (B, D)   y: (B,)\n\n"
        "- `x`: the input.\n- `n`, `m`: two numbers,\n  in one item.\n- `*xs`: more.\n\n"
        "Source: a book.\n\n"
        "    >>> f(1)\n    2"
    )


def test_the_script_writes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["reference", "--out", str(tmp_path / "new")])
    MAKER["main"]()
    assert {path.name for path in (tmp_path / "new").iterdir()} == set(FILES)
    assert f"{len(FILES)} pages are in" in capsys.readouterr().out
