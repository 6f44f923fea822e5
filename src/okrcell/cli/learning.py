"""Verbs that make a model: prepare, pretrain."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from okrcell.cli.app import app
from okrcell.cli.shared import Layer, Orthologs, Output, bar


@app.command
def prepare(
    files: Annotated[list[Path], Parameter(help="h5ad, zarr, 10x h5 or mtx folder, loom, csv.")],
    *,
    output: Output,
    layer: Layer = None,
    orthologs: Orthologs = False,
) -> None:
    """Add files of cells to a corpus: a folder of shards that training reads from disk."""
    from okrcell.pairs.prepare import PrepareSettings
    from okrcell.pairs.prepare import prepare as prepare_files

    settings = PrepareSettings(layer=layer, orthologs=orthologs)
    with bar("Preparing") as step:
        done = prepare_files(files, output, settings, lambda file, cells, of: step(cells, of, file.name))
    for file in done.files:
        print(f"{file.study}: {file.cells:,} cells" + (", already there" if file.already else ""))
        for finding in file.findings:
            print(f"  {finding}")
    print(f"Wrote {done.cells:,} cells to {output}, which now has {done.corpus_cells:,}.")


@app.command
def pretrain(
    config: Annotated[Path, Parameter(help="YAML file of settings, such as configs/tiny.yaml.")],
    *,
    corpus: Annotated[Path | None, Parameter(help="Corpus folder, instead of the one in the file.")] = None,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"], help="Folder of the run, likewise.")] = None,
    resume: Annotated[bool, Parameter(negative="", help="Go on where a killed run stood.")] = False,
) -> None:
    """Train a model on a corpus, and write a model folder."""
    from okrcell.settings import load_settings
    from okrcell.training.pretrain import pretrain as train
    from okrcell.training.settings import PretrainSettings

    settings = load_settings(PretrainSettings, config, corpus=corpus, output=output)
    with bar("Training") as step:
        trained = train(
            settings, resume=resume, progress=lambda done, of, loss: step(done, of, f"loss {loss.total.item():.3f}")
        )
    print(f"Wrote the model to {trained.model} after {trained.steps:,} steps; the log is {trained.log}.")
