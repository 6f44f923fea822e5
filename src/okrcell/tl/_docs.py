"""Docstring snippets that several tools share, and the decorator that inserts them."""

import re
from collections.abc import Callable
from textwrap import indent
from typing import TypeVar

F = TypeVar("F", bound=Callable[..., object])

SNIPPETS = {
    "adata": """\
adata : AnnData
    Cells in rows, genes in columns; in memory or backed. Counts, or their log1p values, are read from ``X``, ``raw`` or a
    layer. Human genes are recognized by symbol or Ensembl id, in ``var_names`` or in a column of ``var``. Rows are neither
    dropped nor reordered.""",
    "model": """\
model : Embedder, optional
    Model from `okrcell.load`. By default the model that is bundled with the package.""",
    "layer": """\
layer : str, optional
    Matrix to read: the name of a layer, "X" or "raw". By default the matrix that tells most about the counts of most genes.""",
    "orthologs": """\
orthologs : bool, default False
    Accepted for earlier code. Mouse genes are recognized and mapped to their one-to-one human orthologs by default; the first
    finding of the provenance record says so.""",
    "species": """\
species : str, optional
    "human" accepts human genes only: mouse genes raise an error. By default human and mouse genes are accepted; rat, zebrafish,
    macaque and other species are refused. In a file of human and another species, the genes of the other are left out, and
    cells whose molecules are mostly of it count as cells without expression.""",
    "progress": """\
progress : bool or callable, optional
    Show a bar on stderr. By default only if stderr is a terminal; True always, False never. A function is called instead, as
    ``progress(done, total)`` with the number of cells embedded so far and in total.""",
    "knowledge": """\
knowledge : str or Path, optional
    Folder or URL of the knowledge files (marker tables, descriptions, gene summaries). By default the environment variable
    ``OKRCELL_KNOWLEDGE``, else the files that were downloaded before. Without any file, only the ontologies are used.""",
    "knowledge_tables": """\
knowledge : str or Path, optional
    Folder or URL of the knowledge files (marker tables, descriptions, gene summaries). They are cited, and the statements of
    the marker tables are added to those of the model on this machine, whatever their licences. By default the files in the
    environment variable ``OKRCELL_KNOWLEDGE``, else those that were downloaded before, are cited, and no table is added.""",
    "embedding_slot": """\
``obsm["X_okrcell"]`` : float32 array, shape (cell, dim)
    Cell embeddings, rows of unit length, NaN for a cell without expression. Reused if the same model computed them from the
    same matrix, genes and cells, by their sha256; otherwise computed and stored.""",
    "provenance": """\
Provenance record: arguments, model and its sha256, the matrix that was read, its sha256, findings and gene coverage, package
versions and time.""",
    "unreadable": """\
If counts or genes cannot be read: no matrix holds counts or log values, values are infinite, no feature is a gene, fewer
than 5 % of the gene names are known, or the genes are of another species than human and mouse (or ``species``).""",
    "bad_seed": """\
If the seed is negative, or 2**32 or more.""",
}
"""Text of each placeholder; the first line is not indented."""

_PLACEHOLDER = re.compile(r"^([ \t]*)\{(\w+)\}[ \t]*$", re.MULTILINE)


def doc_params(function: F) -> F:
    """Replace every docstring line that consists of ``{name}`` by `SNIPPETS` of that name, at the indentation of the line.

    Other braces stay as they are. The function itself is returned, so type checkers see its real signature.

    Raises
    ------
    KeyError
        If there is no snippet of that name.
    """
    # `python -OO` removes docstrings.
    if function.__doc__ is not None:
        function.__doc__ = _PLACEHOLDER.sub(lambda match: indent(SNIPPETS[match[2]], match[1]), function.__doc__)
    return function
