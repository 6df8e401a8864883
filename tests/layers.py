"""The rules of the package's shape: which module may know which, who owns each kind of I/O, how large a file may grow.

The tables are the contract. A new top-level module fails until it is placed in LAYERS; an edge inside one layer fails
until SIDEWAYS names it. Each rule is a function from a package directory to the sentences it has against that package.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

# A module is known by its first component below the package: `store` stands for store.py and for everything in store/.
LAYERS: dict[str, int] = {
    # words: errors, types, names
    "errors": 0,
    "model": 0,
    "layout": 0,
    # pure: values in, values out
    "canonical": 1,
    "dropped": 1,
    "pointer": 1,
    "snapshot": 1,
    "message": 1,
    "series": 1,
    "frame": 1,
    "draft": 1,
    "params": 1,
    "labels": 1,
    "names": 1,
    "secret": 1,
    "tabular": 1,
    "address": 1,
    "lookup": 1,
    "facts": 1,
    "folding": 1,
    "merge": 1,
    "admission": 1,
    "artifact_choice": 1,
    "query": 1,
    "compare": 1,
    "cause": 1,
    "verdict": 1,
    "group": 1,
    "importance": 1,
    "figure": 1,
    "guard": 1,
    "baseline": 1,
    "vouching": 1,
    # one owner of each kind of I/O
    "git": 2,
    "gitconfig": 2,
    "repository": 2,
    "settings": 2,
    "store": 2,
    "digest": 2,
    "content": 2,
    "content_remote": 2,
    "transport": 2,
    "journal": 2,
    "scrub": 2,
    "source": 2,
    "environment": 2,
    "inputs": 2,
    "background": 2,
    "attachment": 2,
    "delivery": 2,
    "checkout": 2,
    # what the branches and journals say, together
    "history": 3,
    "revision": 3,
    "checkpoint": 3,
    "stored_run": 3,
    "run_table": 3,
    "live": 3,
    "collection": 3,
    "readers": 3,
    "redaction": 3,
    "epoch": 3,
    "garbage": 3,
    "verification": 3,
    "usage": 3,
    "index": 3,
    "sync": 3,
    # the one door to recorded runs
    "tracker": 4,
    # what is made of recorded runs
    "plotting": 5,
    "follower": 5,
    "deletion": 5,
    "integrity": 5,
    "reproduction": 5,
    # a live run
    "recording": 5,
    "run_artifacts": 5,
    "place": 5,
    "sink": 5,
    "recorder": 5,
    # the public API
    "__init__": 6,
    "shortcuts": 6,
    "hook": 6,
    # other doors
    "server": 7,
    "integrations": 7,
    "exchange": 7,
    # terminals
    "cli": 8,
    "__main__": 8,
}

# Edges between two modules of one layer; together they must not form a cycle.
SIDEWAYS: set[tuple[str, str]] = {
    ("layout", "errors"),
    ("address", "canonical"),
    ("cause", "compare"),
    ("verdict", "compare"),
    ("baseline", "frame"),
    ("baseline", "group"),
    ("baseline", "query"),
    ("guard", "query"),
    ("vouching", "guard"),
    ("group", "compare"),
    ("importance", "compare"),
    ("importance", "group"),
    ("draft", "snapshot"),
    ("dropped", "canonical"),
    ("figure", "canonical"),
    ("figure", "group"),
    ("frame", "series"),
    ("merge", "snapshot"),
    ("message", "canonical"),
    ("message", "snapshot"),
    ("query", "compare"),
    ("query", "frame"),
    ("snapshot", "canonical"),
    ("snapshot", "pointer"),
    ("checkout", "content"),
    ("checkout", "git"),
    ("checkout", "repository"),
    ("checkout", "store"),
    ("content", "digest"),
    ("content", "repository"),
    ("content", "store"),
    ("content_remote", "content"),
    ("content_remote", "digest"),
    ("content_remote", "git"),
    ("content_remote", "gitconfig"),
    ("content_remote", "repository"),
    ("content_remote", "store"),
    ("content_remote", "transport"),
    ("gitconfig", "git"),
    ("journal", "content"),
    ("journal", "repository"),
    ("journal", "scrub"),
    ("repository", "git"),
    ("repository", "gitconfig"),
    ("settings", "gitconfig"),
    ("settings", "repository"),
    ("source", "git"),
    ("source", "repository"),
    ("source", "scrub"),
    ("source", "settings"),
    ("source", "store"),
    ("store", "git"),
    ("store", "repository"),
    ("sync", "checkpoint"),
    ("sync", "epoch"),
    ("sync", "garbage"),
    ("sync", "history"),
    ("sync", "index"),
    ("sync", "revision"),
    ("transport", "content"),
    ("transport", "git"),
    ("transport", "gitconfig"),
    ("checkpoint", "history"),
    ("checkpoint", "revision"),
    ("facts", "frame"),
    ("lookup", "address"),
    ("lookup", "frame"),
    ("lookup", "query"),
    ("index", "history"),
    ("run_table", "stored_run"),
    ("live", "checkpoint"),
    ("live", "history"),
    ("live", "readers"),
    ("live", "stored_run"),
    ("collection", "history"),
    ("collection", "index"),
    ("collection", "live"),
    ("collection", "readers"),
    ("collection", "run_table"),
    ("collection", "stored_run"),
    ("readers", "checkpoint"),
    ("readers", "history"),
    ("readers", "stored_run"),
    ("revision", "history"),
    ("redaction", "history"),
    ("redaction", "revision"),
    ("epoch", "history"),
    ("epoch", "redaction"),
    ("epoch", "revision"),
    ("garbage", "history"),
    ("verification", "history"),
    ("usage", "history"),
    ("usage", "index"),
    ("recorder", "recording"),
    ("recorder", "place"),
    ("recording", "run_artifacts"),
    ("recording", "sink"),
    ("__init__", "shortcuts"),
    ("__main__", "cli"),
}

# Libraries (and the standard library's doors to the outside) with the only modules that may import them, by path below
# the package. A name with a slash at its end stands for a whole directory.
OWNERS: dict[str, set[str]] = {
    "dulwich": {"store/", "store", "content"},
    "pyarrow": {
        "content_remote/filesystem",
        "series/",
        "figure/points",
        "follower",
        "frame/",
        "facts",
        "lookup",
        "run_table",
        "collection",
        "query",
        "query/",
        "index",
        "index/",
        "journal/tables",
        "checkpoint",
        "readers",
        "stored_run",
        "exchange/",
        "hook/evidence",
        "tabular",
        "attachment/table",
        "inputs/bucket",
        "inputs/memory",
    },
    "duckdb": {"exchange/sql"},
    "plotly": {"figure/plotly"},
    "plotext": {"figure/plotext"},
    "kaleido": {"attachment/"},
    "lark": {"query/parser"},
    "click": {"cli/"},
    "rich": {"cli/"},
    "subprocess": {"git", "background", "index/share", "cli/process", "cli/terminal", "cli/witness"},
    "multiprocessing": set(),
    "requests": {"transport"},
    "urllib3": {"content_remote/lfs_http"},
    "urllib.request": {"content_remote/lfs_http", "inputs/web"},
    "http.client": {"transport", "inputs/web"},
    "http.server": {"server/"},
    "socketserver": {"server/"},
}

# Never imported, wherever: its fetch starts a gc and its pack_refs loses commits under concurrency.
BANNED_IMPORTS = {"dulwich.porcelain"}

ENVIRONMENT_READERS = {
    "git",
    "repository",
    "tracker",
    "recorder",
    "place",
    "cli/terminal",
    "cli/process",
    "inputs/bucket",
}

# What a pure module (layers 0 and 1) must not reach for: files, clocks, chance, processes, the network.
PURE_PARTS_OF_OS = {"PathLike", "fspath"}
IMPURE_IMPORTS = {
    "shutil",
    "tempfile",
    "time",
    "random",
    "secrets",
    "uuid",
    "socket",
    "subprocess",
    "threading",
    "mmap",
}
IMPURE_CALLS = {"open", "input", "print"}
IMPURE_METHODS = {"now", "utcnow", "today", "read_text", "read_bytes", "write_text", "write_bytes"}

STARTS_A_PROCESS = re.compile(r"os\.(system|popen|spawn\w+|exec\w+|posix_spawnp?)|asyncio\.create_subprocess_\w+")

MAX_LINES = 450
BANNED_STEMS = re.compile(r"(?i)_?(utils?|helpers?|managers?|misc|common|stuff)|.*_(utils?|helpers?|manager)")


@dataclass(frozen=True)
class Source:
    """One file of a package: its path below the package without `.py`, its module key, its text and its syntax tree."""

    path: str
    key: str
    text: str
    tree: ast.Module

    @property
    def place(self) -> tuple[str, ...]:
        """The dotted components of the package this file's relative imports start from, the root package excluded."""
        return tuple(self.path.split("/")[:-1])

    def owned_by(self, owners: set[str]) -> bool:
        """Tell whether owners names this file or a directory above it."""
        return any(self.path == owner or (owner.endswith("/") and self.path.startswith(owner)) for owner in owners)


def read_package(root: Path) -> list[Source]:
    """Return every Python file below root."""
    sources = []
    for file in sorted(root.rglob("*.py")):
        path = file.relative_to(root).with_suffix("").as_posix()
        text = file.read_text(encoding="utf-8")
        sources.append(Source(path, path.split("/")[0], text, ast.parse(text, str(file))))
    return sources


def find_imports(source: Source, package: str) -> Iterator[tuple[int, str]]:
    """Yield line and absolute dotted name of all that source imports, also inside functions and by import_module."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = source.place[: len(source.place) - (node.level - 1)]
                base = ".".join((package, *above, *(base.split(".") if base else ())))
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("import_module", "__import__"):
            first = node.args[0] if node.args else None
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                name = first.value
                yield node.lineno, package + name if name.startswith(".") else name


def find_edges(root: Path) -> dict[tuple[str, str], str]:
    """Return the edges between root's module keys, each with a `file:line` where it is drawn."""
    edges: dict[tuple[str, str], str] = {}
    sources = read_package(root)
    keys = {source.key for source in sources}
    for source in sources:
        for line, name in find_imports(source, root.name):
            parts = name.split(".")
            if parts[0] != root.name:
                continue
            target = parts[1] if len(parts) > 1 and parts[1] in keys else "__init__"
            if target != source.key:
                edges.setdefault((source.key, target), f"{source.path}.py:{line}")
    return edges


def check_layers(
    root: Path, layers: Mapping[str, int] = LAYERS, sideways: set[tuple[str, str]] = SIDEWAYS
) -> list[str]:
    """Every module has a layer, and imports point down, or sideways where that is allowed."""
    keys = {source.key for source in read_package(root)}
    problems = [f"{key}: not placed in LAYERS" for key in sorted(keys - layers.keys())]
    for (here, there), where in sorted(find_edges(root).items()):
        if here not in layers or there not in layers:
            continue
        if layers[there] > layers[here]:
            problems.append(f"{where}: {here} (layer {layers[here]}) imports {there} (layer {layers[there]})")
        elif layers[there] == layers[here] and (here, there) not in sideways:
            problems.append(f"{where}: {here} imports {there} of its own layer, which SIDEWAYS does not allow")
    return problems


def check_no_cycle(sideways: set[tuple[str, str]]) -> list[str]:
    """The edges allowed inside the layers form no cycle."""
    graph: dict[str, set[str]] = {}
    for here, there in sideways:
        graph.setdefault(here, set()).add(there)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return [f"SIDEWAYS has a cycle: {' -> '.join(error.args[1])}"]
    return []


def check_owners(root: Path, owners: Mapping[str, set[str]] = OWNERS) -> list[str]:
    """Each library with an owner is imported by its owner alone."""
    problems = []
    for source in read_package(root):
        for line, name in find_imports(source, root.name):
            for library, allowed in owners.items():
                if _is_below(name, library) and not source.owned_by(allowed):
                    problems.append(
                        f"{source.path}.py:{line}: imports {name}; only {sorted(allowed)} may import {library}"
                    )
            problems += [f"{source.path}.py:{line}: imports {ban}" for ban in BANNED_IMPORTS if _is_below(name, ban)]
    return problems


def check_processes(root: Path, owners: set[str] = OWNERS["subprocess"]) -> list[str]:
    """Nobody but the owners of subprocess starts a process by another door, and nobody at all starts a shell."""
    problems = []
    for source in read_package(root):
        for node in ast.walk(source.tree):
            if not isinstance(node, ast.Call):
                continue
            if STARTS_A_PROCESS.fullmatch(ast.unparse(node.func)) and not source.owned_by(owners):
                problems.append(f"{source.path}.py:{node.lineno}: starts a process with {ast.unparse(node.func)}")
            if any(word.arg == "shell" and ast.unparse(word.value) != "False" for word in node.keywords):
                problems.append(f"{source.path}.py:{node.lineno}: starts a shell")
    return problems


def check_environment(root: Path, readers: set[str] = ENVIRONMENT_READERS) -> list[str]:
    """The process's environment variables are read and set by their few readers alone."""
    problems = []
    for source in read_package(root):
        if source.owned_by(readers):
            continue
        for node in ast.walk(source.tree):
            name = ""
            if isinstance(node, ast.Attribute):
                name = ast.unparse(node)
            elif isinstance(node, ast.ImportFrom) and node.module == "os":
                name = next(
                    (f"os.{alias.name}" for alias in node.names if alias.name in ("environ", "environb", "getenv")), ""
                )
            if name in ("os.environ", "os.environb", "os.getenv", "os.putenv", "os.unsetenv"):
                problems.append(f"{source.path}.py:{node.lineno}: touches {name}; only {sorted(readers)} may")
    return problems


def check_purity(root: Path, layers: Mapping[str, int] = LAYERS) -> list[str]:
    """The modules of layers 0 and 1 reach for no file, clock, chance, process or network."""
    problems = []
    for source in read_package(root):
        if layers.get(source.key, 9) > 1:
            continue
        for line, name in find_imports(source, root.name):
            first, _, rest = name.partition(".")
            if first in IMPURE_IMPORTS or (first == "os" and rest and rest not in PURE_PARTS_OF_OS):
                problems.append(f"{source.path}.py:{line}: a pure module imports {name}")
        for node in ast.walk(source.tree):
            if (
                isinstance(node, ast.Attribute)
                and ast.unparse(node.value) == "os"
                and node.attr not in PURE_PARTS_OF_OS
            ):
                problems.append(f"{source.path}.py:{node.lineno}: a pure module uses os.{node.attr}")
            if not isinstance(node, ast.Call):
                continue
            called = node.func
            if (isinstance(called, ast.Name) and called.id in IMPURE_CALLS) or (
                isinstance(called, ast.Attribute) and called.attr in IMPURE_METHODS
            ):
                problems.append(f"{source.path}.py:{node.lineno}: a pure module calls {ast.unparse(called)}")
    return problems


def check_shape(root: Path) -> list[str]:
    """Every file says what it owns, fits in a head, and is named for a noun of the domain."""
    problems = []
    for source in read_package(root):
        lines = source.text.count("\n")
        if lines > MAX_LINES:
            problems.append(f"{source.path}.py: {lines} lines, more than {MAX_LINES}")
        if not ast.get_docstring(source.tree):
            problems.append(f"{source.path}.py: no module docstring")
        problems += [
            f"{source.path}.py: named {part}" for part in source.path.split("/") if BANNED_STEMS.fullmatch(part)
        ]
    return problems


def _is_below(name: str, library: str) -> bool:
    return name == library or name.startswith(library + ".")


RULES = [check_layers, check_owners, check_processes, check_environment, check_purity, check_shape]
