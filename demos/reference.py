"""The reference: a page for each part of the package, written from its docstrings.

Writes docs/reference/: the public names with their signatures, and what their docstrings say. It
stands beside the gallery, which writes docs/images: what makes files of the documentation is here.
The tests compare the pages with what this file makes.

What is public: the names in the `__all__` of a module, those without an underscore in a module that
is itself such a name, and the classes that these return. Where a name stands is said in `PAGES`, by
the file that defines it.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import pkgutil
import re
import types
import typing
from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn.engine.record import composites, primitives

DOCS = Path(__file__).resolve().parents[1] / "docs"
WIDTH = 92  # characters of a signature on one line
MOST = 3  # more functions than this return something of every day, and are not listed

# Page, title, and sections: each a title, and the modules whose public names it has, in this order.
# "text" stands for all the files in tinygrad_rnn/text that are not named before.
PAGES: dict[str, tuple[str, dict[str, list[str]]]] = {
    "tensors": ("Tensors and gradients", {
        "Tensors": ["engine.tensor"],
        "Functions": ["engine.functions", "engine.rules"],
        "Gradients": ["engine.gradients", "engine.check"],
        "Time steps, and what is recorded": ["engine.record", "engine.describe"],
    }),
    "recordings": ("The loop, the pictures, the program", {
        "The loop in a recording": ["fold"],
        "Pictures": ["draw"],
        "The derived program": ["program"],
    }),
    "networks": ("Networks and their training", {
        "Modules and layers": ["nn.module", "nn.layers"],
        "Cells, and the loop over time": ["nn.cells"],
        "Recurrent layers": ["nn.recurrent"],
        "What parameters start from": ["nn.init"],
        "Optimizers": ["optim"],
        "Files": ["saving"],
    }),
    "bptt": ("Backpropagation through time, taken apart", {
        "The sum over time": ["bptt.contributions", "bptt.uses", "bptt.triangle"],
        "The product of Jacobians": ["bptt.jacobians"],
        "Paths, vertical and horizontal": ["bptt.paths"],
        "Forward mode": ["bptt.forward_mode"],
        "Truncation": ["bptt.truncation"],
        "By hand": ["bptt.by_hand"],
    }),
    "text": ("Text", {
        "Text": ["text.vocabulary", "text.corpus", "text"],
    }),
}  # fmt: skip

ABOUT = """\
Every public name, with what its docstring says. `tg` stands for `import tinygrad_rnn as tg`; a name
that begins with `tinygrad_rnn` is imported from there. `Array` is a NumPy array, and an argument
without a type is one of several kinds, which its description names. The
[chapters](../README.md) explain; these pages are for looking up. What the commands are made of,
`tinygrad_rnn.tasks`, is not in them: [chapter 11](../11-a-language-model.md) and
[chapter 12](../12-a-tagger.md) show it at work.
"""


# ---------------------------------------------------------------------------------- what is public


class Name(NamedTuple):
    """A public function or class, and what it is called."""

    title: str
    object: Any
    others: list[str]  # other names that it has

    @property
    def module(self) -> str:
        """The file that defines it, as a dotted path inside the package."""
        return str(self.object.__module__).removeprefix("tinygrad_rnn").removeprefix(".")

    @property
    def line(self) -> int:
        return inspect.findsource(inspect.unwrap(self.object))[1]


def modules() -> dict[str, types.ModuleType]:
    """The modules with public names, by how they are written: those that say which names these are,
    and those that are such a name."""
    found = {"tg": tg}
    waiting = ["tg"]
    for path in waiting:  # the list grows as we walk it
        for name in getattr(found[path], "__all__", ()):
            if inspect.ismodule(getattr(found[path], name)):
                found[f"{path}.{name}"] = getattr(found[path], name)
                waiting.append(f"{path}.{name}")
    for info in pkgutil.walk_packages(tg.__path__, "tinygrad_rnn."):
        if not info.name.endswith("__main__"):
            module = importlib.import_module(info.name)
            if hasattr(module, "__all__") and module not in found.values():
                found[info.name] = module
    return found


def public() -> list[Name]:
    """All public names, each object once."""
    found: dict[Any, Name] = {}
    for prefix, module in modules().items():
        for name in getattr(module, "__all__", None) or _defined_in(module):
            x = getattr(module, name)
            if inspect.ismodule(x):
                continue
            title = f"{prefix}.{name}"
            if x not in found:
                found[x] = Name(title, x, [])
            elif found[x].title.rpartition(".")[0] == prefix:
                found[x].others.append(title)
    waiting = list(found)
    for x in waiting:  # the list grows as we walk it
        for cls in results_of(x):
            # What a public class is a kind of is part of it: a Node is a Tensor.
            if not any(inspect.isclass(known) and issubclass(known, cls) for known in found):
                found[cls] = Name(cls.__name__, cls, [])
                waiting.append(cls)
    return list(found.values())


def _defined_in(module: types.ModuleType) -> list[str]:
    return [
        name for name, x in vars(module).items()
        if not name.startswith("_") and (inspect.isfunction(x) or inspect.isclass(x))
        and x.__module__ == module.__name__
    ]  # fmt: skip


def results_of(x: Any) -> list[type]:
    """The classes of ours that a function says it returns, or that a class has to do with: what its
    methods return, its fields, what it is a sequence of."""
    said = [(getattr(x, "__annotations__", {}).get("return"), inspect.unwrap(x))]
    if inspect.isclass(x):
        said = [(f.__annotations__.get("return"), f) for _, _, f in members(x)]
        said += [(text, x) for text in vars(x).get("__annotations__", {}).values()]
        said += [(base, x) for base in vars(x).get("__orig_bases__", ())]
    found = []
    for text, owner in said:
        for word in re.findall(r"\w+", str(text)):
            cls = vars(inspect.getmodule(owner)).get(word)
            if inspect.isclass(cls) and cls.__module__.startswith("tinygrad_rnn"):
                found.append(cls)
    return found


def members(cls: type) -> Iterator[tuple[str, Any, Any]]:
    """The public methods and properties that a class adds to the public class it is a kind of:
    name, attribute, and the function that it is, or that computes it."""
    seen = set()
    for base in cls.__mro__:
        if (base is not cls and base in _TOP) or not base.__module__.startswith("tinygrad_rnn"):
            break
        for name, x in vars(base).items():
            function = getattr(x, "fget", None) or getattr(x, "func", None) or x
            function = getattr(function, "__func__", function)
            if not name.startswith("_") and name not in seen and inspect.isfunction(function):
                seen.add(name)
                yield name, x, function


_TOP = {x for module in (tg, tg.nn, tg.optim) for x in vars(module).values() if inspect.isclass(x)}


def placed(names: list[Name]) -> dict[str, dict[str, list[Name]]]:
    """The names by page and section; a LookupError for one that has no place."""
    order: dict[str, tuple[str, str, int]] = {}
    found: dict[str, dict[str, list[Name]]] = {}
    for page, (_, sections) in PAGES.items():
        found[page] = {section: [] for section in sections}
        for section, files in sections.items():
            for file in files:
                order[file] = (page, section, len(order))
    ranks = {}
    for name in names:
        file = name.module
        while file not in order and "." in file:
            file = file.rpartition(".")[0]
        if file not in order:
            raise LookupError(
                f"{name.title}, of tinygrad_rnn.{name.module}, has no place in the reference: add "
                f"{name.module!r} to a section of PAGES in demos/reference.py, and run it"
            )
        page, section, rank = order[file]
        ranks[name.title] = (rank, name.module, name.line)
        found[page][section].append(name)
    for sections in found.values():
        for listed in sections.values():
            listed.sort(key=lambda name: ranks[name.title])
    return found


# --------------------------------------------------------------------------------------- signatures


def signature(title: str, function: Any, typed: bool = True) -> str:
    """A call as a reader would write it; one parameter a line, if it is long."""
    found = inspect.signature(function)
    words, kind = [], None
    for p in found.parameters.values():
        if p.name == "self":
            continue
        if p.kind is p.KEYWORD_ONLY and kind not in (p.KEYWORD_ONLY, p.VAR_POSITIONAL):
            words.append("*")
        kind = p.kind
        stars = {p.VAR_POSITIONAL: "*", p.VAR_KEYWORD: "**"}.get(p.kind, "")
        known = in_words(p.annotation, function) if typed else ""
        word = f"{stars}{p.name}" + (f": {known}" if known else "")
        if p.default is not p.empty:
            word += (" = " if known else "=") + _default(p.default)
        words.append(word)
    result = in_words(found.return_annotation, function)
    after = f" -> {result}" if result and not inspect.isclass(function) else ""
    if is_context(function):
        title, after = f"with {title}", ":"
    line = f"{title}({', '.join(words)}){after}"
    if not typed or len(line) <= WIDTH:
        return line
    return "\n".join([f"{title}(", *(f"    {word}," for word in words), f"){after}"])


def is_context(function: Any) -> bool:
    """Whether a function is made for a `with` statement."""
    result = getattr(function, "__annotations__", {}).get("return", "")
    wraps = function is not inspect.unwrap(function)
    return "ContextManager" in str(result) or (wraps and "Iterator" in str(result))


def in_words(annotation: Any, owner: Any) -> str:
    """An annotation as written, arrays under one name; nothing for Any."""
    annotation = getattr(annotation, "__forward_arg__", annotation)
    if annotation in (inspect.Signature.empty, None, "Any", "None"):
        return ""
    text = re.sub(r"npt\.NDArray\[[^]]*\]", "Array", annotation)
    for word in set(re.findall(r"\b[A-Z]\w+\b", text)):
        alias = vars(inspect.getmodule(inspect.unwrap(owner))).get(word)
        if typing.get_origin(alias) is np.ndarray:
            text = re.sub(rf"\b{word}\b", "Array", text)
        elif typing.get_origin(alias) in (types.UnionType, typing.Union):
            whole = re.sub(r"tinygrad_rnn[\w.]*\.", "", str(alias))
            text = re.sub(rf"\b{word}\b", whole, text)
    return re.sub(r"\b(npt|os)\.(?=[A-Z])", "", text)


def _default(x: Any) -> str:
    if inspect.isclass(x) and issubclass(x, np.generic):
        return f"np.{x.__name__}"
    return "{}" if repr(x) == "<factory>" else repr(x)


# ------------------------------------------------------------------------------------------ writing

_ITEM = re.compile(r"(?P<names>(?:[A-Z]|[a-z_*]\w*)(?:, (?:[A-Z]|[a-z_*]\w*))*): +(?=\S)")
_TABLE = re.compile(r"\S {2,}\S")


def markdown(doc: str) -> list[str]:
    """A docstring as Markdown: prose, lists of arguments; equations and shapes as they stand."""
    out: list[str] = []
    for i, paragraph in enumerate(re.split(r"\n\s*\n", inspect.cleandoc(doc))):
        lines = paragraph.split("\n")
        if lines[0].startswith((" ", ">>>")) or any(_TABLE.search(line) for line in lines):
            out += [f"    {line}" for line in inspect.cleandoc("\n" + paragraph).split("\n")]
        elif i and _ITEM.match(lines[0]):
            for line in lines:
                item = _ITEM.match(line)
                if item:
                    names = re.sub(r"[*\w]+", r"`\g<0>`", item["names"])
                    out.append(f"- {names}: {escaped(line[item.end() :])}")
                else:
                    out.append(f"  {escaped(line.strip())}")
        else:
            out += [escaped(line) for line in lines]
        out.append("")
    return out[:-1]


def escaped(line: str) -> str:
    """Prose whose characters mean themselves in Markdown; code in it stays as it is."""
    parts = re.split(r"(`[^`]*`)", line)
    for i in range(0, len(parts), 2):
        parts[i] = re.sub(r"([*$]|<(?=\w)|(?<!\w)_)", r"\\\1", parts[i])
    return re.sub(r"^([-+#>]|\d+[.)])(?= )", r"\\\1", "".join(parts))


def summary(doc: str) -> str:
    """The first paragraph of a docstring on one line, for a table."""
    return escaped(inspect.cleandoc(doc).split("\n\n")[0].replace("\n", " ")).replace("|", "\\|")


class Reference:
    """The pages, as text."""

    def __init__(self) -> None:
        self.pages = placed(public())
        self.at: dict[Any, tuple[str, str]] = {}  # the page of an object, and where on it
        self.title: dict[Any, str] = {}
        self.makers: dict[Any, list[Any]] = {}  # the functions that return a class
        for page, sections in self.pages.items():
            anchors: Counter[str] = Counter()
            for name in [name for listed in sections.values() for name in listed]:
                self.title[name.object] = name.title
                anchor = re.sub(r"[^\w\- ]", "", name.title).lower()
                again = anchors[anchor]  # the host of the pages counts equal headings so
                self.at[name.object] = (page, f"{anchor}-{again}" if again else anchor)
                anchors[anchor] += 1
                if inspect.isfunction(name.object):
                    for cls in dict.fromkeys(results_of(name.object)):
                        self.makers.setdefault(cls, []).append(name.object)

    def files(self) -> dict[str, str]:
        """The text of each file in docs/reference."""
        return {"README.md": self.index()} | {f"{page}.md": self.page(page) for page in self.pages}

    def index(self) -> str:
        out = ["# Reference", "", ABOUT]
        for page, sections in self.pages.items():
            out += [f"## [{PAGES[page][0]}]({page}.md)", "", "| name | what it is |", "|---|---|"]
            for listed in sections.values():
                for name in listed:
                    at = "{}.md#{}".format(*self.at[name.object])
                    links = ", ".join(f"[`{title}`]({at})" for title in [name.title, *name.others])
                    out.append(f"| {links} | {summary(name.object.__doc__ or '')} |")
            out.append("")
        return "\n".join(out)

    def page(self, page: str) -> str:
        title, sections = PAGES[page]
        out = [f"# {title}", "", "[All names](README.md)", ""]
        for section, files in sections.items():
            if len(sections) > 1:
                out += [f"## {section}", ""]
            for path, module in modules().items():
                file = module.__name__.removeprefix("tinygrad_rnn.")
                if path.startswith("tg.") and file in files:
                    out += [*markdown(module.__doc__ or ""), ""]
            for name in self.pages[page][section]:
                out += self.entry(name, page)
            if section == "Functions":
                out += numpy_functions()
        return "\n".join(out)

    def entry(self, name: Name, page: str) -> list[str]:
        x = name.object
        out = [f"### `{name.title}`", ""]
        makers = self.makers.get(x, [])
        returned = inspect.isclass(x) and 0 < len(makers) <= MOST
        error = inspect.isclass(x) and issubclass(x, Exception)
        if not error and (not returned or hasattr(x, "__match_args__")):
            call = signature(name.title, x)
            out += [*(f"    {line}" for line in call.split("\n")), ""]
        out += [*markdown(x.__doc__ or ""), ""]
        facts = []
        if name.others:
            facts.append(f"Also called {', '.join(f'`{other}`' for other in name.others)}.")
        if inspect.isclass(x):
            bases = [self.link(base, page) for base in x.__mro__[1:] if base in self.at][:1]
            facts += [
                f"Is a {base}." for base in bases or ([f"`{x.__base__.__name__}`"] if error else [])
            ]
        if returned:
            facts.append(f"Returned by {', '.join(self.link(maker, page) for maker in makers)}.")
        treated = chapters_about(name.title)
        if treated:
            facts.append(f"In the chapters: {', '.join(treated)}.")
        if facts:
            out += [" ".join(facts), ""]
        if inspect.isclass(x):
            found = [member for member in members(x) if member[1].__doc__]
            if found:
                out += ["Its methods and properties:", ""]
            for member in found:
                out += self.member(*member)
        return out

    def member(self, called: str, attribute: Any, function: Any) -> list[str]:
        """A method or a property as a bullet."""
        if not isinstance(attribute, (property, cached_property)):
            called = signature(called, function, typed=False)
        first, *rest = markdown(attribute.__doc__)
        return [f"- `{called}`: {first}", *(f"  {line}".rstrip() for line in rest), ""]

    def link(self, x: Any, page: str) -> str:
        file, anchor = self.at[x]
        return f"[`{self.title[x]}`]({'' if file == page else f'{file}.md'}#{anchor})"


def chapters_about(title: str) -> list[str]:
    """Links to the chapters that have a quarter or more of all that the chapters say of a name."""
    if "." not in title:
        word = re.compile(rf"\b{title}\b")
    else:
        word = re.compile(r"\b" + r"\.".join(title.split(".")[-2:]) + r"\b")
    counts = {path: len(word.findall(text)) for path, text in CHAPTERS.items()}
    total = sum(counts.values())
    return [
        f"[{CHAPTERS[path].splitlines()[0].removeprefix('# ')}](../{path})"
        for path, count in counts.items()
        if count and count * 4 >= total
    ]


CHAPTERS = {
    path.name: path.read_text("utf-8")
    for path in sorted(DOCS.glob("[0-9]*.md"), key=lambda path: int(path.name.split("-")[0]))
}


def numpy_functions() -> list[str]:
    """What the table of primitives has of NumPy's functions."""

    def listed(functions: Any) -> str:
        names = sorted({f.__name__ for f in functions if getattr(np, f.__name__, None) is f})
        return ", ".join(f"`{name}`" for name in names)

    smooth = [f for f, entry in primitives.items() if entry.vjps]
    return [
        "### NumPy's functions", "",
        "Operators, indexing and these functions of NumPy's take tensors, and are recorded:", "",
        f"{listed([*smooth, *composites])}.", "",
        "These, too, but nothing flows back through them:", "",
        f"{listed(f for f in primitives if f not in smooth)}.", "",
    ]  # fmt: skip


def main() -> None:
    """Write all of them."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--out", type=Path, default=DOCS / "reference", metavar="FOLDER",
                        help="where to write them (default: docs/reference)")  # fmt: skip
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    files = Reference().files()
    for name, text in files.items():
        (out / name).write_text(text, "utf-8")
    print(f"{len(files)} pages are in {out}")


if __name__ == "__main__":
    main()
