"""Locations of data sets and knowledge files for the benchmarks; a fallback sample from scanpy."""

import os
from pathlib import Path


def data_folder() -> Path | None:
    """Return the folder of data sets: ``OKRCELL_DATA``, or ``../shared/data`` beside the repository, if there is one."""
    configured = os.environ.get("OKRCELL_DATA")
    folder = Path(configured) if configured else Path(__file__).parents[2] / "shared" / "data"
    return folder if folder.is_dir() else None


def knowledge_folder() -> Path | None:
    """Return the folder of knowledge files: ``OKRCELL_KNOWLEDGE``, or ``../shared/knowledge`` beside the repository."""
    configured = os.environ.get("OKRCELL_KNOWLEDGE")
    folder = Path(configured) if configured else Path(__file__).parents[2] / "shared" / "knowledge"
    return folder if folder.is_dir() else None


def blood_file(folder: Path) -> Path:
    """Return a file of blood cells; without data sets, scanpy's pbmc68k_reduced (700 cells) is written to ``folder``.

    Its log values are converted back and rounded, so that they are whole numbers as counts are.
    """
    data = data_folder()
    if data is not None and (data / "evaluate" / "pbmc3k.h5ad").exists():
        return data / "evaluate" / "pbmc3k.h5ad"
    import scanpy as sc

    path = folder / "pbmc68k_reduced.h5ad"
    adata = sc.datasets.pbmc68k_reduced().raw.to_adata()
    adata.X = adata.X.expm1().rint()
    adata.write_h5ad(path)
    return path
