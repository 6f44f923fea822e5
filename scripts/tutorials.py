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

TUTORIALS = Path(__file__).parents[1] / "docs" / "tutorials"
BLOCK = re.compile(r"^```(python|bash)\n(.*?)^```\n", re.MULTILINE | re.DOTALL)
OUTPUT = re.compile(r"\n<!-- output -->\n.*?<!-- /output -->\n", re.DOTALL)
MAX_LINES = 60
"""Maximum number of output lines that are shown."""


def run_tutorial(source: Path, target: Path) -> int:
    """Run one tutorial, write it with its outputs to ``target`` and return the number of blocks."""
    from matplotlib import pyplot as plt

    plt.close("all")  # figures of a previous page
    text = OUTPUT.sub("", source.read_text(encoding="utf-8"))
    pictures = target.parent / "pictures"
    for stale_figure in pictures.glob(f"{source.stem}-*.png"):
        stale_figure.unlink()
    namespace: dict[str, object] = {"__name__": "tutorial"}
    parts, end, n_blocks = [], 0, 0
    with tempfile.TemporaryDirectory(prefix="okrcell-tutorial-") as folder, contextlib.chdir(folder):
        for block in BLOCK.finditer(text):
            n_blocks += 1
            language, code = block.groups()
            try:
                printed = _run_python(code, namespace) if language == "python" else _run_bash(code)
            except Exception as error:
                raise SystemExit(f"{source.name}, block {n_blocks}: {type(error).__name__}: {error}") from error
            figures = _save_figures(pictures, f"{source.stem}-{n_blocks}") if language == "python" else []
            parts += [text[end : block.end()], _format_output(printed, figures)]
            end = block.end()
    target.write_text("".join([*parts, text[end:]]), encoding="utf-8")
    return n_blocks


def _run_python(code: str, namespace: dict[str, object]) -> str:
    """Run a block and return what it prints, including the value of its last expression, as in a notebook."""
    tree = ast.parse(code)
    last_expression = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    stdout = io.StringIO()
    with contextlib.redirect_stdout(stdout), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(compile(tree, "tutorial", "exec"), namespace)  # noqa: S102 - our own pages
        if last_expression is not None:
            value = eval(compile(ast.Expression(last_expression.value), "tutorial", "eval"), namespace)  # noqa: S307
            first = value[0] if isinstance(value, tuple) and value else value
            # The repr of axes is not informative; their figure is shown instead.
            if value is not None and not type(first).__module__.startswith("matplotlib"):
                print(_format_value(value))
    return stdout.getvalue()


def _format_value(value: object) -> str:
    import pandas as pd

    with pd.option_context("display.width", 120, "display.max_columns", 12, "display.max_colwidth", 60):
        return str(value) if isinstance(value, str) else repr(value)


def _run_bash(code: str) -> str:
    """Run a block with the ``okrcell`` command of the current Python environment."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    result = subprocess.run(
        ["bash", "-ec", code],  # noqa: S607 - the user's own shell
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": path},
    )
    if result.returncode:
        raise RuntimeError(result.stderr.strip() or f"ended with {result.returncode}")
    return result.stdout


def _save_figures(pictures: Path, name: str) -> list[str]:
    """Save all open figures as PNG files, close them and return the file names."""
    from matplotlib import pyplot as plt

    names = []
    for index, figure in enumerate(plt.get_fignums(), start=1):
        names.append(f"{name}.png" if index == 1 else f"{name}-{index}.png")
        pictures.mkdir(exist_ok=True)
        plt.figure(figure).savefig(pictures / names[-1], dpi=110, bbox_inches="tight")
    plt.close("all")
    return names


def _format_output(printed: str, figures: list[str]) -> str:
    lines = [line.rstrip() for line in printed.rstrip().splitlines()]
    if len(lines) > MAX_LINES:
        lines = [*lines[:MAX_LINES], f"… and {len(lines) - MAX_LINES} lines more"]
    markdown = "```text\n" + "\n".join(lines) + "\n```\n" if lines else ""
    markdown += "".join(f"![What the code drew](pictures/{name})\n" for name in figures)
    return f"\n<!-- output -->\n{markdown}<!-- /output -->\n" if markdown else ""


def main() -> None:
    """Run the given tutorials, or all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("tutorials", nargs="*", type=Path)
    parser.add_argument("--into", type=Path, help="folder to write to, instead of beside the sources")
    args = parser.parse_args()
    import matplotlib as mpl
    import scanpy as sc

    mpl.use("Agg")
    sc.settings.autoshow = False
    for source in args.tutorials or sorted(path for path in TUTORIALS.glob("*.md") if path.name != "README.md"):
        target = (args.into.resolve() if args.into else source.resolve().parent) / source.name
        target.parent.mkdir(parents=True, exist_ok=True)
        print(f"{source.name}: {run_tutorial(source.resolve(), target)} blocks, written to {target}", flush=True)


if __name__ == "__main__":
    main()
