"""Count the source files of okrcell that run for one call: annotate with candidates, one training step, pretrain.

    python scripts/count_files.py CORPUS CONFIG.yaml

A file counts when one of its functions is called during the call (``sys.setprofile``). All modules are imported before, so that
code that runs at import does not count. CORPUS is a folder written by ``okrcell prepare``, CONFIG a settings file of ``okrcell
pretrain``.
"""

import importlib
import pkgutil
import sys
import tempfile
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import okrcell

PACKAGE = Path(okrcell.__file__).parent


@contextmanager
def recorded_files() -> Generator[set[str]]:
    """Collect the files of the package whose functions are called inside the block."""
    filenames: set[str] = set()

    def record(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code.co_name != "<module>":
            filenames.add(frame.f_code.co_filename)

    files: set[str] = set()
    threading.setprofile(record)
    sys.setprofile(record)
    try:
        yield files
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
        inside = (Path(name) for name in filenames if name.startswith(str(PACKAGE)))
        files |= {path.relative_to(PACKAGE).as_posix() for path in inside}


def import_all() -> None:
    """Import every module of the package, except the baselines of the benchmark, which need further packages."""
    for module in pkgutil.walk_packages(okrcell.__path__, "okrcell."):
        if "__main__" not in module.name and ".baselines" not in module.name:
            importlib.import_module(module.name)


def files_of(call: Callable[[], object]) -> set[str]:
    """Files that run during ``call``."""
    with recorded_files() as files:
        call()
    return files


def annotate_files() -> set[str]:
    """Files that run for ``okr.tl.annotate(adata, model, candidates=...)`` on 200 cells of scanpy's bundled data."""
    import scanpy as sc

    cells = sc.datasets.pbmc68k_reduced()[:200].raw.to_adata()
    model = okrcell.load()
    return files_of(lambda: okrcell.tl.annotate(cells, model, candidates=["T cell", "B cell", "CL:0000576"]))


def pretrain_files(corpus: Path, config: Path) -> tuple[set[str], set[str]]:
    """Files that run for one training step (forward pass and state update), and for the whole of `okrcell.pretrain`."""
    from okrcell.settings import load_settings
    from okrcell.training.settings import PretrainSettings
    from okrcell.training.step import TrainingStep

    steps: list[set[str]] = []
    forward = TrainingStep.forward

    def counted(self: TrainingStep, *arguments: Any) -> Any:
        outer = sys.getprofile()
        with recorded_files() as files:
            output = forward(self, *arguments)
        steps.append(files)
        sys.setprofile(outer)
        return output

    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings(PretrainSettings, config, corpus=str(corpus), output=f"{folder}/run")
        everything = files_of(lambda: okrcell.pretrain(settings))
        TrainingStep.forward = counted  # type: ignore[method-assign]
        try:
            okrcell.pretrain(settings.model_copy(update={"output": Path(folder) / "steps"}))
        finally:
            TrainingStep.forward = forward  # type: ignore[method-assign]
    return steps[-1], everything


def main() -> None:
    """Print each count and the files."""
    corpus, config = (Path(argument) for argument in sys.argv[1:3])
    import_all()
    counts = {"annotate": annotate_files()}
    counts["training step"], counts["pretrain"] = pretrain_files(corpus, config)
    for name, files in counts.items():
        print(f"{name}: {len(files)} files")
        for file in sorted(files):
            print(f"    {file}")


if __name__ == "__main__":
    main()
