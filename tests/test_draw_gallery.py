"""The pictures of the documentation are those that the gallery makes."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
GALLERY: dict[str, Any] = runpy.run_path(str(ROOT / "demos" / "gallery.py"))


@pytest.mark.parametrize("name", GALLERY["PICTURES"])
def test_a_picture_of_the_docs_is_what_is_drawn_today(name: str) -> None:
    source = GALLERY["PICTURES"][name]().source
    assert (IMAGES / f"{name}.dot").read_bytes() == source.encode(), "run demos/gallery.py"


def test_every_picture_has_its_text_and_no_other_is_there() -> None:
    names = {path.stem for path in IMAGES.glob("*.dot")}
    assert names == set(GALLERY["PICTURES"])
    assert all((IMAGES / f"{name}.png").read_bytes().startswith(b"\x89PNG") for name in names)


def test_the_gallery_writes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    few = {name: GALLERY["PICTURES"][name] for name in ("folded", "cells")}
    monkeypatch.setattr("sys.argv", ["gallery", "--out", str(tmp_path / "new")])
    monkeypatch.setitem(GALLERY["main"].__globals__, "PICTURES", few)
    GALLERY["main"]()
    assert {path.stem for path in (tmp_path / "new").iterdir()} == set(few)
    assert "2 pictures are in" in capsys.readouterr().out
