"""The documents are run: what an example prints is what the page says that it prints.

Of the fenced blocks in README.md, CONTRIBUTING.md and docs/*.md, `python` is run, `text` is what
the `python` block directly above it prints, and `bash` is for a terminal and is not run. There is
no other tag and no fence without one, so that a slip of the tag is an error and not an example that
nobody runs.
"""

import contextlib
import doctest
import importlib
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from unittest import mock
from urllib.parse import unquote

import numpy as np
import pytest
from sybil import Document, Example, Region
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.markdown.lexers import RawFencedCodeBlockLexer

import tinygrad_rnn
from tinygrad_rnn.draw import GraphvizNotFound
from tinygrad_rnn.engine import record

ROOT = Path(__file__).resolve().parents[1]
CHAPTERS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [p for p in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *CHAPTERS) if p.exists()]
INDEXES = [ROOT / "docs" / "README.md"]  # pages that have no examples to run
MODULES = [
    p for p in sorted((ROOT / "tinygrad_rnn").rglob("*.py")) if ">>>" in p.read_text("utf-8")
]


ANY_TAG = re.compile(r"(?P<tag>[^\n]*)$\n", re.MULTILINE)


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


# --------------------------------------------------------------------------------------- the blocks


def fences(document: Document) -> Iterable[Region]:
    """A parser for sybil: every fenced block, whatever its tag."""
    for region in RawFencedCodeBlockLexer(ANY_TAG)(document):
        region.parsed = region.lexemes["source"]
        region.evaluator = evaluate
        yield region


def evaluate(example: Example) -> str | None:
    """Run or compare one block; returns what is wrong with it."""
    text, region = example.document.text, example.region
    blocks = [r for _, r in example.document.regions]
    at = blocks.index(region)
    tag = region.lexemes["tag"]
    if text[region.start] not in "`~":
        return "a fence stands at the margin, so that its text can be compared exactly"
    if tag == "python":
        after = blocks[at + 1] if at + 1 < len(blocks) else None
        shown = body(text, after) if after and is_output(text, region, after) else ""
        printed = run(example)
        if printed != shown:
            return f"it prints\n{printed}\nand the page says\n{shown}"
    elif tag == "text":
        if not at or not is_output(text, blocks[at - 1], region):
            return "a `text` block is the output of the `python` block directly above it"
    elif tag != "bash":
        return f"the fence is tagged {tag!r}; a block is python, text or bash"
    return None


def is_output(text: str, code: Region, block: Region) -> bool:
    tags = code.lexemes["tag"], block.lexemes["tag"]
    return tags == ("python", "text") and not text[code.end : block.start].strip()


def body(text: str, block: Region) -> str:
    """What is between the fences, to the letter."""
    return "".join(text[block.start : block.end].splitlines(keepends=True)[1:-1])


def run(example: Example) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        PythonEvaluator()(example)
    return out.getvalue()


def run_page(path: Path) -> int:
    """Evaluate all blocks of a page in one namespace; returns how many were run."""
    document = Document.parse(str(path), fences)
    no_engine = None
    for example in document.examples():
        try:
            example.evaluate()
        except GraphvizNotFound as error:  # the rest of the page is run all the same
            no_engine = error
    if no_engine:
        pytest.skip(f"{path.name} draws, but {no_engine}")
    return sum(region.lexemes["tag"] == "python" for _, region in document.regions)


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A temporary working directory; a primitive that a page adds is gone afterwards."""
    monkeypatch.chdir(tmp_path)
    with (
        mock.patch.dict(record.primitives),
        mock.patch.dict(record.composites),
        np.printoptions(),
    ):
        yield tmp_path


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_the_examples_of_a_page_print_what_it_says(path: Path, elsewhere: Path) -> None:
    count = run_page(path)
    assert count or path in INDEXES, f"{name(path)} has no example that is run"


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_the_examples_in_docstrings(path: Path, elsewhere: Path) -> None:
    module = importlib.import_module(name(path)[:-3].removesuffix("/__init__").replace("/", "."))
    failed, tried = doctest.testmod(module, extraglobs={"np": np, "tg": tinygrad_rnn})
    assert tried
    assert not failed


# ---------------------------------------------------------------------------------------- the links


def dead_links(path: Path) -> list[str]:
    """The relative links and images of a page that lead to no file, or to no heading of it."""
    text = prose(path)
    found = [a or b or c for a, b, c in LINK.findall(text)]
    return [
        target for target in found if not re.match(r"[a-z]+:|//", target) and dead(path, target)
    ]


LINK = re.compile(
    r"""\]\(\s*<?([^)>\s]+)  |  ^\s*\[[^\]]+\]:\s*<?([^>\s]+)  |  \b(?:src|href)=["']([^"']+)""",
    re.MULTILINE | re.VERBOSE,
)


def prose(path: Path) -> str:
    """A page without its fenced blocks and without code in a line."""
    document = Document.parse(str(path), fences)
    text = document.text
    for _, region in reversed(document.regions):
        text = text[: region.start] + text[region.end :]
    return re.sub(r"(`+)[^`]+\1", "", text)


def dead(path: Path, target: str) -> bool:
    file, _, heading = unquote(target).partition("#")
    end = (path.parent / file).resolve() if file else path
    if not end.exists():
        return True
    return bool(heading) and end.suffix == ".md" and heading not in anchors(end)


def anchors(path: Path) -> list[str]:
    """What leads to the headings of a page; those with the same letters are numbered."""
    count: Counter[str] = Counter()
    found = []
    for heading in re.findall(r"^#+ +(.+)$", path.read_text("utf-8"), re.MULTILINE):
        anchor = re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-")
        found.append(f"{anchor}-{count[anchor]}" if count[anchor] else anchor)
        count[anchor] += 1
    return found


LINKING = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("path", LINKING, ids=name)
def test_the_links_of_a_page_lead_somewhere(path: Path) -> None:
    assert dead_links(path) == []


@pytest.mark.parametrize("path", INDEXES, ids=name)
def test_the_index_lists_every_chapter(path: Path) -> None:
    text = path.read_text("utf-8")
    assert [p.name for p in CHAPTERS if p not in INDEXES and f"({p.name})" not in text] == []


# ------------------------------------------------------------------------------- the tests of these

RIGHT = "```python\nprint(1 + 1)\n```\n\n```text\n2\n```\n"


@pytest.mark.parametrize(
    ("page", "complaint"),
    [
        (RIGHT.replace("2", "3"), "the page says"),
        (RIGHT.replace("\n2", "\n  2"), "the page says"),
        (RIGHT[: RIGHT.index("```text")], "it prints"),
        (RIGHT.replace("print(1 + 1)", "pass"), "the page says"),
        (RIGHT.replace("```text", "That is\n```text"), "it prints"),
        (RIGHT + "```text\n2\n```\n", "directly above"),
        (RIGHT + "```\nprint(2)\n```\n", "tagged ''"),
        (RIGHT + "```Python\nprint(2)\n```\n", "tagged 'Python'"),
        (RIGHT + "``` python\nprint(2)\n```\n", "tagged ' python'"),
        (RIGHT + "~~~py\nprint(2)\n~~~\n", "tagged 'py'"),
        (RIGHT + "- ```python\n  print(2)\n  ```\n", "margin"),
    ],
)
def test_a_wrong_page_is_noticed(elsewhere: Path, page: str, complaint: str) -> None:
    path = elsewhere / "page.md"
    path.write_text(RIGHT, "utf-8")
    assert run_page(path) == 1
    path.write_text(page, "utf-8")
    with pytest.raises(AssertionError, match=complaint):
        run_page(path)


def test_a_fence_left_open_is_noticed(elsewhere: Path) -> None:
    path = elsewhere / "page.md"
    path.write_text(RIGHT.replace("1)\n```", "1)"), "utf-8")
    with pytest.raises((AssertionError, SyntaxError, ValueError)):
        run_page(path)


def test_an_error_in_an_example_names_the_line_of_the_page(elsewhere: Path) -> None:
    path = elsewhere / "page.md"
    path.write_text("A page.\n\n```python\nx = 1\nx / 0\n```\n", "utf-8")
    with pytest.raises(ZeroDivisionError) as caught:
        run_page(path)
    assert (str(caught.traceback[-1].path), caught.traceback[-1].lineno + 1) == (str(path), 5)


def test_a_page_without_python_runs_nothing(elsewhere: Path) -> None:
    path = elsewhere / "page.md"
    path.write_text("```bash\npytest\n```\n", "utf-8")
    assert run_page(path) == 0


def test_dead_links_are_noticed(elsewhere: Path) -> None:
    path = elsewhere / "page.md"
    (elsewhere / "a b.png").touch()
    (elsewhere / "other.md").write_text("# One, two\n", "utf-8")
    path.write_text(
        "# Here\n\n[![a](a%20b.png)](other.md) [b](other.md#one-two) [c](https://example.org/no)\n"
        "[d](#here) `x[0](no.md)` [e](mailto:a@example.org)\n\n```python\nx[0](no)\n```\n",
        "utf-8",
    )
    assert dead_links(path) == []
    path.write_text(
        '[a](no.md) ![b](no.png "title") [![c](c.png)](d.md) [e](other.md#two) [f](#no)\n'
        '<img src="no.svg">\n\n[g]: no/g.md\n',
        "utf-8",
    )
    assert dead_links(path) == [
        "no.md", "no.png", "c.png", "d.md", "other.md#two", "#no", "no.svg", "no/g.md",
    ]  # fmt: skip
