"""What importing costs, and which floor stands on which."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import tinygrad_rnn

PACKAGE = Path(tinygrad_rnn.__file__).parent

# A file may import from its own floor, and from the floors before it.
FLOORS = [
    ["engine"],
    ["fold"],
    ["tables", "progress", "threads"],
    ["program"],
    ["nn", "optim"],
    ["saving"],
    ["networks"],
    ["bptt"],
    ["draw"],
    ["text"],
    ["study"],
    ["cli"],
    ["__init__", "__main__"],
]


def imports(path: Path) -> set[str]:
    """The modules of the package that a file imports, anywhere in it, as dotted paths."""
    here = ["tinygrad_rnn", *path.relative_to(PACKAGE).with_suffix("").parts]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            base = here[: -node.level] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found |= {module} | {f"{module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    files = {".".join(["tinygrad_rnn", *p.relative_to(PACKAGE).with_suffix("").parts])
             .removesuffix(".__init__") for p in PACKAGE.rglob("*.py")}  # fmt: skip
    return (found & files) - {".".join(here).removesuffix(".__init__")}


def test_imports_run_downward_and_in_no_circle() -> None:
    floor = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}
    graph = {}
    for path in PACKAGE.rglob("*.py"):
        name = ".".join(["tinygrad_rnn", *path.relative_to(PACKAGE).with_suffix("").parts])
        graph[name.removesuffix(".__init__")] = imports(path)
        room = path.relative_to(PACKAGE).with_suffix("").parts[0]
        for module in imports(path) - {"tinygrad_rnn"}:
            assert floor[module.split(".")[1]] <= floor[room], f"{name} imports {module}"
    graph.pop("tinygrad_rnn")
    while graph:
        ground = [name for name, needs in graph.items() if not needs & set(graph)]
        assert ground, f"a circle of imports among {sorted(graph)}"
        for name in ground:
            del graph[name]


def test_the_engine_needs_numpy_and_nothing_else() -> None:
    for path in (PACKAGE / "engine").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            for name in names:
                top = name.split(".")[0]
                assert top == "numpy" or top in sys.stdlib_module_names, f"{path}: {name}"


def test_the_derivation_by_hand_imports_nothing_of_ours() -> None:
    assert imports(PACKAGE / "bptt" / "by_hand.py") == set()


def test_importing_loads_no_extra_and_starts_no_program() -> None:
    code = "import sys, tinygrad_rnn; print(*sys.modules)"
    loaded = set(subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split())  # fmt: skip
    assert not loaded & {"matplotlib", "tqdm", "graphviz", "sqlite3", "pydoc_data.topics", "torch"}


def test_every_public_name_is_there_and_documented() -> None:
    for name in tinygrad_rnn.__all__:
        assert getattr(tinygrad_rnn, name).__doc__, name
