"""Names and sizes: no private vocabulary, unique class names, few small modules, no long file."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
SOURCE = REPOSITORY / "src" / "okrcell"
FILES = [
    pytest.param(path, id=path.relative_to(REPOSITORY).as_posix())
    for folder in (SOURCE, *(REPOSITORY / name for name in ("tests", "experiments", "scripts")))
    for path in sorted(folder.rglob("*.py"))
]
PRIVATE_WORDS = frozenset({"some", "told", "asked", "said", "mine", "theirs", "kept", "heard", "whom"})
MIN_LINES, MAX_LINES = 100, 600
"""A module with fewer lines and a single importer belongs to its importer; a longer file is split."""
MAX_SMALL_FRACTION = 0.05


@cache
def parse_file(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def count_lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def identifiers(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of every identifier: definitions, parameters, variables, attributes, keywords and import aliases.

    The names of test functions are sentences, not identifiers.
    """
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) if name.startswith("test_"):
                continue
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield node.lineno, name
            case ast.Name(id=name) | ast.arg(arg=name) | ast.Attribute(attr=name):
                yield node.lineno, name
            case ast.keyword(arg=str(name)):
                yield node.value.lineno, name
            case ast.alias(name=name, asname=alias):
                yield node.lineno, alias or name.rpartition(".")[2]
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield node.lineno, name
            case _:
                continue


def private_identifiers(source: str, allowed: frozenset[str] = frozenset()) -> list[str]:
    names = ((line, name) for line, name in identifiers(ast.parse(source)) if name not in allowed)
    return [f"line {line}: {name}" for line, name in names if PRIVATE_WORDS & set(name.lower().strip("_").split("_"))]


@cache
def glossary_terms() -> frozenset[str]:
    """Identifiers that docs/glossary.md defines: `code` in the first column of a table or in a heading."""
    text = (REPOSITORY / "docs" / "glossary.md").read_text(encoding="utf-8")
    return frozenset(re.findall(r"^(?:#+|\|) *`(\w+)`", text, flags=re.MULTILINE))


@pytest.mark.parametrize("path", FILES)
def test_no_identifier_uses_the_private_vocabulary(path: Path):
    assert private_identifiers(path.read_text(encoding="utf-8"), glossary_terms()) == []


@pytest.mark.parametrize(
    "source",
    [
        "some = 1",
        "def f(told): pass",
        "def said(): pass",
        "x = [kept for kept in y]",
        "f(asked=1)",
        "self.heard",
        "import numpy as mine",
        "SOME_CELLS = 1",
        "from okrcell.cells import some_cells",
    ],
)
def test_the_search_for_private_words_finds_them(source: str):
    assert len(private_identifiers(source)) >= 1


@pytest.mark.parametrize(
    "source", ["something = 1", "def awesome(): pass", "keeps = 'told'", "def test_all_cells_are_kept(): pass"]
)
def test_the_search_for_private_words_reads_whole_words_of_names_only(source: str):
    assert private_identifiers(source) == []


def test_class_names_are_unique_over_the_package():
    files_of_class = defaultdict(list)
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(parse_file(path)):
            if isinstance(node, ast.ClassDef):
                files_of_class[node.name].append(path.relative_to(SOURCE).as_posix())
    assert {name: files for name, files in files_of_class.items() if len(files) > 1} == {}


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts).removesuffix(".__init__")


def importers() -> dict[str, set[str]]:
    """Modules of the package that import each module, also inside functions and in tables such as "module:name"."""
    modules = {module_name(path): path for path in SOURCE.rglob("*.py")}
    importers_of: dict[str, set[str]] = {name: set() for name in modules}
    for name, path in modules.items():
        for node in ast.walk(parse_file(path)):
            if isinstance(node, ast.ImportFrom) and node.module:
                targets = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            elif isinstance(node, ast.Import):
                targets = [alias.name for alias in node.names]
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("okrcell."):
                targets = [node.value.partition(":")[0]]
            else:
                continue
            for target in targets:
                if target in importers_of and target != name:
                    importers_of[target].add(name)
    return importers_of


def test_few_small_modules_have_a_single_importer():
    paths = [path for path in SOURCE.rglob("*.py") if path.name not in ("__init__.py", "__main__.py")]
    importers_of = importers()
    small = [
        module_name(path)
        for path in paths
        if count_lines(path) < MIN_LINES and len(importers_of[module_name(path)]) == 1
    ]
    assert len(small) <= MAX_SMALL_FRACTION * len(paths), sorted(small)


def test_no_file_is_too_long():
    lengths = {module_name(path): count_lines(path) for path in SOURCE.rglob("*.py")}
    assert {name: lines for name, lines in lengths.items() if lines > MAX_LINES} == {}
