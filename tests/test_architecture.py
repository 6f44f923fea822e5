"""Architecture: layers, no unpickling, module docstrings, and light imports."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
SOURCE = REPOSITORY / "src" / "okrcell"
FILES = [pytest.param(path, id=path.relative_to(SOURCE).as_posix()) for path in sorted(SOURCE.rglob("*.py"))]
PICKLERS = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
PICKLING_CALLS = {"read_pickle", "to_pickle"}
HEAVY = {"torch", "transformers", "lightning_fabric", "scanpy", "matplotlib", "anndata"}
"""Packages that take half a second or more to import."""


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def loads_more_than_weights(call: ast.Call) -> bool:
    """Whether a call may run code from the file that it reads."""
    name = ast.unparse(call.func)
    options = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    if name.startswith("torch.") and name.endswith(".load"):
        return options.get("weights_only") != "True"
    return options.get("allow_pickle") == "True" or name.rpartition(".")[2] in PICKLING_CALLS


@pytest.mark.parametrize("path", FILES)
def test_no_file_unpickles_anything(path: Path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not {name.partition(".")[0] for name in imported(tree)} & PICKLERS
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and loads_more_than_weights(node)]
    assert [f"line {call.lineno}: {ast.unparse(call)}" for call in calls] == []


@pytest.mark.parametrize(
    ("code", "unsafe"),
    [
        ("torch.load(path)", True),
        ("torch.load(path, weights_only=False)", True),
        ("torch.load(path, weights_only=True)", False),
        ("np.load(path, allow_pickle=True)", True),
        ("np.load(path)", False),
        ("pd.read_pickle(path)", True),
        ("safetensors.torch.load_file(path)", False),
    ],
)
def test_the_search_for_unpickling_finds_what_it_should(code: str, unsafe: bool):
    call = ast.parse(code, mode="eval").body
    assert isinstance(call, ast.Call)
    assert loads_more_than_weights(call) == unsafe


@pytest.mark.parametrize("path", FILES)
def test_every_file_opens_with_one_sentence(path: Path):
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    first = docstring.partition("\n\n")[0]
    assert first.endswith((".", "?", "!")), f"{path.name} opens with: {first!r}"


def test_a_layer_imports_only_layers_below_it():
    script = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    command = [sys.executable, "-c", script]
    ended = subprocess.run(command, cwd=REPOSITORY, check=False, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def modules_after(script: str) -> set[str]:
    """Run code in a new Python; return the names of the top-level packages it imported."""
    ended = subprocess.run(
        [sys.executable, "-c", f"{script}\nimport json, sys\nprint(); print(json.dumps(list(sys.modules)))"],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return {name.partition(".")[0] for name in json.loads(ended.stdout.splitlines()[-1])}


def test_importing_okrcell_imports_nothing_heavy():
    assert not modules_after("import okrcell") & HEAVY


@pytest.mark.parametrize("arguments", [["--help"], ["annotate", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]):
    script = f"""
import sys
sys.argv = ["okrcell", *{arguments!r}]
from okrcell.cli import main
try:
    main()
except SystemExit as ended:
    assert not ended.code, ended.code
"""
    assert not modules_after(script) & HEAVY
