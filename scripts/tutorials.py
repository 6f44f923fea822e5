"""Run the code blocks of the tutorials and insert their output and figures.

    python scripts/tutorials.py                          # all of docs/tutorials, updated in place
    python scripts/tutorials.py docs/tutorials/describe.md
    python scripts/tutorials.py --into /tmp/tutorials    # do not change docs

A tutorial is a Markdown file. Its ``python`` blocks run in order in one Python process, its ``bash`` blocks in the same
temporary folder, so that blocks can share files. The output and figures of a block follow it between ``<!-- output -->``
and ``<!-- /output -->``; this part is generated and replaced on every run.
"""

import argparse
import ast
import contextlib
import io
import os
import re
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

HOME = Path(__file__).parents[1] / "docs" / "tutorials"
BLOCK = re.compile(r"^```(python|bash)\n(.*?)^```\n", re.MULTILINE | re.DOTALL)
OUTPUT = re.compile(r"\n<!-- output -->\n.*?<!-- /output -->\n", re.DOTALL)
LONGEST = 60
"""Maximum number of output lines that are shown."""


def written(source: Path, target: Path) -> int:
    """Run one tutorial, write it with its outputs to ``target`` and return the number of blocks."""
    from matplotlib import pyplot as plt

    plt.close("all")  # figures of a previous page
    text = OUTPUT.sub("", source.read_text(encoding="utf-8"))
    pictures = target.parent / "pictures"
    for old in pictures.glob(f"{source.stem}-*.png"):
        old.unlink()
    namespace: dict[str, object] = {"__name__": "tutorial"}
    parts, end, number = [], 0, 0
    with tempfile.TemporaryDirectory(prefix="okrcell-tutorial-") as folder, contextlib.chdir(folder):
        for block in BLOCK.finditer(text):
            number += 1
            kind, code = block.groups()
            try:
                said = _ran_python(code, namespace) if kind == "python" else _ran_bash(code)
            except Exception as error:
                raise SystemExit(f"{source.name}, block {number}: {type(error).__name__}: {error}") from error
            drawn = _drawn(pictures, f"{source.stem}-{number}") if kind == "python" else []
            parts += [text[end : block.end()], _output(said, drawn)]
            end = block.end()
    target.write_text("".join([*parts, text[end:]]), encoding="utf-8")
    return number


def _ran_python(code: str, namespace: dict[str, object]) -> str:
    """Run a block and return what it prints, including the value of its last expression, as in a notebook."""
    tree = ast.parse(code)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    said = io.StringIO()
    with contextlib.redirect_stdout(said), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(compile(tree, "tutorial", "exec"), namespace)  # noqa: S102 - our own pages
        if last is not None:
            value = eval(compile(ast.Expression(last.value), "tutorial", "eval"), namespace)  # noqa: S307
            first = value[0] if isinstance(value, tuple) and value else value
            # The repr of axes is not informative; their figure is shown instead.
            if value is not None and not type(first).__module__.startswith("matplotlib"):
                print(_shown(value))
    return said.getvalue()


def _shown(value: object) -> str:
    import pandas as pd

    with pd.option_context("display.width", 120, "display.max_columns", 12, "display.max_colwidth", 60):
        return str(value) if isinstance(value, str) else repr(value)


def _ran_bash(code: str) -> str:
    """Run a block with the ``okrcell`` command of the current Python environment."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    ended = subprocess.run(
        ["bash", "-ec", code],  # noqa: S607 - the user's own shell
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": path},
    )
    if ended.returncode:
        raise RuntimeError(ended.stderr.strip() or f"ended with {ended.returncode}")
    return ended.stdout


def _drawn(pictures: Path, name: str) -> list[str]:
    """Save all open figures as PNG files, close them and return the file names."""
    from matplotlib import pyplot as plt

    names = []
    for place, figure in enumerate(plt.get_fignums(), start=1):
        names.append(f"{name}.png" if place == 1 else f"{name}-{place}.png")
        pictures.mkdir(exist_ok=True)
        plt.figure(figure).savefig(pictures / names[-1], dpi=110, bbox_inches="tight")
    plt.close("all")
    return names


def _output(said: str, drawn: list[str]) -> str:
    lines = [line.rstrip() for line in said.rstrip().splitlines()]
    if len(lines) > LONGEST:
        lines = [*lines[:LONGEST], f"… and {len(lines) - LONGEST} lines more"]
    shown = "```text\n" + "\n".join(lines) + "\n```\n" if lines else ""
    shown += "".join(f"![What the code drew](pictures/{name})\n" for name in drawn)
    return f"\n<!-- output -->\n{shown}<!-- /output -->\n" if shown else ""


def main() -> None:
    """Run the given tutorials, or all."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("tutorials", nargs="*", type=Path)
    options.add_argument("--into", type=Path, help="folder to write to, instead of beside the sources")
    given = options.parse_args()
    import matplotlib as mpl
    import scanpy as sc

    mpl.use("Agg")
    sc.settings.autoshow = False
    for source in given.tutorials or sorted(path for path in HOME.glob("*.md") if path.name != "README.md"):
        target = (given.into.resolve() if given.into else source.resolve().parent) / source.name
        target.parent.mkdir(parents=True, exist_ok=True)
        print(f"{source.name}: {written(source.resolve(), target)} blocks, written to {target}", flush=True)


if __name__ == "__main__":
    main()
