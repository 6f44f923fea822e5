"""Shared steps of the tools: model, counts, stored embeddings, provenance."""

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from okrcell.cells.anndata_checks import read_records
from okrcell.cells.findings import read_findings
from okrcell.cells.groupings import check_grouping
from okrcell.errors import InputError
from okrcell.escaping import escape_markdown
from okrcell.progress import progress_bar
from okrcell.provenance import provenance_record

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray

    from okrcell.cells.expression import Expression
    from okrcell.evidence import Evidence
    from okrcell.model.embedder import Embedder
    from okrcell.progress import ProgressOption


logger = logging.getLogger(__name__)

SEED_LIMIT = 2**32
"""Exclusive upper limit of a seed; scikit-learn and pynndescent accept no larger one."""
EVIDENCE_COLUMNS = ("number", "source", "record", "snapshot", "licence", "text", "sha256")
MAX_QUOTE_LENGTH = 240
"""Maximum number of characters of a record in Markdown; JSON has the whole text."""
EMBEDDING_KEY = "X_okrcell"
"""Slot of ``obsm`` with the cell embeddings."""


def check_seed(seed: int) -> None:
    """Reject a seed that the random generators do not accept, before any work is done.

    Raises
    ------
    InputError
        If the seed is negative, or 2**32 or more.
    """
    if seed < 0:
        raise InputError(f"seed must not be negative, but it is {seed}. Pass 0 or a positive integer.")
    if seed >= SEED_LIMIT:
        raise InputError(f"seed must be below {SEED_LIMIT}, but it is {seed}. Pass a smaller integer.")


def read_groups(adata: "AnnData", key: str) -> "tuple[NDArray[np.intp], list[str]]":
    """Return the group index of each cell, -1 where the column is missing, and the names of the groups.

    Groups are in the order of the categories of a categorical column; otherwise in ascending order of the values.

    Raises
    ------
    InputError
        If the column does not exist, is empty, or holds measurements or identifiers.
    """
    if key not in adata.obs:
        columns = [str(name) for name in adata.obs.columns]
        similar = get_close_matches(key, columns, n=3, cutoff=0.5)
        hint = " Run okrcell.tl.cluster first, or pass the name of another column." if key == "okrcell_cluster" else ""
        suggestion = (
            f" Did you mean {' or '.join(similar)}?" if similar else f" It has: {', '.join(columns) or 'no columns'}."
        )
        raise InputError(f"There is no column '{key}' in obs.{hint}{suggestion}")
    column = pd.Series(adata.obs[key])
    n_values = int(column.nunique())
    if n_values == 0:
        raise InputError(f"obs['{key}'] is empty: it puts no cell into a group. Pass the name of another column.")
    check_grouping(column, key, "Pass the name of a column with clusters or labels.")
    if not isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype("category")
    categories = column.cat.remove_unused_categories()
    codes = categories.cat.codes.to_numpy().astype(np.intp)
    # Values with the same text (1 and "1") are one group.
    names = [_format_value(value) for value in categories.cat.categories]
    unique_names = list(dict.fromkeys(names))
    _check_slot_names(unique_names, key)
    group_of_code = np.array([unique_names.index(name) for name in names] + [-1], dtype=np.intp)
    return group_of_code[codes], unique_names


def _check_slot_names(names: Sequence[str], key: str) -> None:
    """Reject groups whose results would be stored under the same key.

    Raises
    ------
    InputError
        If two groups differ only in "/" and "|".
    """
    name_of_slot: dict[str, str] = {}
    for name in names:
        other = name_of_slot.setdefault(slot_name(name), name)
        if other != name:
            raise InputError(
                f"obs['{key}'] has the groups {other!r} and {name!r}, which have the same key in an h5ad file ('/' becomes "
                "'|'). Rename one of them."
            )


def _format_value(value: object) -> str:
    """Format 3.0 as "3": pandas converts an integer column with missing values to float."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def slot_name(group: str) -> str:
    """Return a key that an h5ad file accepts: without "/", which separates groups there, and not empty."""
    return group.replace("/", "|") or "(empty)"


def slot_names(names: Sequence[str]) -> list[str]:
    """Return a distinct key for each name (`slot_name`): "A/B" beside "A|B" becomes "A|B.1"."""
    distinct: dict[str, None] = {}
    for name in map(slot_name, names):
        numbered = (name, *(f"{name}.{number}" for number in range(1, len(names) + 1)))
        distinct[next(key for key in numbered if key not in distinct)] = None
    return list(distinct)


def make_table(columns: tuple[str, ...], rows: Sequence[tuple[Any, ...]]) -> pd.DataFrame:
    """Build a DataFrame that an h5ad file can store, with the row numbers "1", "2" ... as index."""
    frame = pd.DataFrame(list(rows), columns=pd.Index(columns))
    # An h5ad file needs strings as index.
    frame.index = pd.Index([str(i) for i in range(1, len(frame) + 1)], dtype=object)
    return frame


def evidence_table(records: "Sequence[Evidence]") -> pd.DataFrame:
    """Build the table of cited records, numbered from 1 in their order, with source, snapshot, licence and sha256."""
    return make_table(
        EVIDENCE_COLUMNS,
        [
            (number, record.source, record.record, record.snapshot, record.licence, record.text, record.sha256)
            for number, record in enumerate(records, start=1)
        ],
    )


def render_citations(records: pd.DataFrame) -> Iterator[str]:
    """Format each record of an evidence table as a line of Markdown; long texts are cut."""
    for row in records.to_dict("records"):
        text = str(row["text"])
        quote = text if len(text) <= MAX_QUOTE_LENGTH else f"{text[:MAX_QUOTE_LENGTH].rsplit(' ', 1)[0]} …"
        source = ", ".join(filter(None, (str(row[key]) for key in ("source", "record", "snapshot", "licence"))))
        yield f"{row['number']}. {escape_markdown(source)}: “{escape_markdown(quote)}”"


def to_json(value: Any) -> Any:
    """Convert a value to JSON types: a DataFrame to a list of rows, an array to a list, NaN to None."""
    if isinstance(value, pd.DataFrame):
        return [to_json(row) for row in value.to_dict("records")]
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if hasattr(value, "tolist"):
        return to_json(value.tolist())
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    return None if isinstance(value, float) and pd.isna(value) else value


def get_model(model: object) -> "Embedder":
    """Return ``model``, or the bundled model if it is None.

    Raises
    ------
    InputError
        If ``model`` is something else, such as the path of a model.
    """
    from okrcell.model.embedder import Embedder, load

    if model is None:
        return load()
    if not isinstance(model, Embedder):
        seen = f"the path {model}" if isinstance(model, str | Path) else f"a {type(model).__name__}"
        raise InputError(f"model must be a loaded model, but it is {seen}. Pass okrcell.load(...), or leave it out.")
    return model


def read_counts(adata: "AnnData", layer: str | None, *, orthologs: bool, species: str | None) -> "Expression":
    """Locate counts and genes; by default in the matrix that tells most about the counts of most genes.

    Raises
    ------
    InputError
        If ``species`` is neither None nor "human", if it contradicts ``orthologs``, or if expression cannot be read.
    """
    from okrcell.cells.expression import read_expression

    if species not in (None, "human"):
        raise InputError(
            f"species must be 'human' or None, but it is {species!r}. Mouse genes are recognized without it."
        )
    if orthologs and species is not None:
        raise InputError("orthologs maps mouse genes, but species='human' refuses them. Pass one of the two.")
    return read_expression(adata, layer=layer, orthologs=species is None)


def embed_and_store(
    adata: "AnnData", model: "Embedder", expression: "Expression", slot: str, progress: "ProgressOption"
) -> "NDArray[np.float32]":
    """Embed the cells, write the vectors to ``obsm[slot]`` and what they were computed from to ``uns["okrcell"]``."""
    with progress_bar("Embedding", progress) as report:
        embeddings = model.embed_cells(expression, report)
    adata.obsm[slot] = embeddings
    records = read_records(adata)
    records["vectors"] = {**records.get("vectors", {}), slot: model.fingerprint}
    records["vector_inputs"] = {
        **records.get("vector_inputs", {}),
        slot: {"matrix": expression.source, **_embedding_facts(embeddings, model, expression)},
    }
    adata.uns["okrcell"] = records
    return embeddings


def _embedding_facts(embeddings: "NDArray[np.float32]", model: "Embedder", expression: "Expression") -> dict[str, str]:
    """Sha256 of embeddings and of what they were computed from."""
    return {
        "expression_sha256": expression.fingerprint,
        "model_sha256": str(model.facts.get("model_sha256", "")),
        "sha256": hashlib.sha256(embeddings.tobytes()).hexdigest(),
    }


def get_embeddings(
    adata: "AnnData",
    model: "Embedder",
    expression: "Expression",
    progress: "ProgressOption",
) -> "NDArray[np.float32]":
    """Return the stored embeddings of these cells by this model (`stored_embeddings`), or compute and store them.

    Returns
    -------
    float32, shape (cell, dim), rows of unit length; NaN for a cell without expression.
    """
    embeddings = stored_embeddings(adata, model, expression)
    if embeddings is not None:
        return embeddings
    return embed_and_store(adata, model, expression, EMBEDDING_KEY, progress)


def stored_embeddings(adata: "AnnData", model: "Embedder", expression: "Expression") -> "NDArray[np.float32] | None":
    """Return the embeddings in ``obsm``; None if they are not those of this expression by this model."""
    records = read_records(adata)
    facts = records.get("vector_inputs", {}).get(EMBEDDING_KEY)
    if EMBEDDING_KEY not in adata.obsm or not isinstance(facts, Mapping) or not model.fingerprint:
        return None
    embeddings = np.asarray(adata.obsm[EMBEDDING_KEY])
    if records.get("vectors", {}).get(EMBEDDING_KEY) != model.fingerprint or embeddings.dtype != np.float32:
        return None
    current = _embedding_facts(embeddings, model, expression)
    changed = [name for name, value in current.items() if facts.get(name) != value]
    if changed:
        logger.info("The embeddings in obsm['%s'] are computed again: %s differs", EMBEDDING_KEY, ", ".join(changed))
        return None
    logger.info("Using the embeddings in obsm['%s'], which this model computed from these values", EMBEDDING_KEY)
    return embeddings


def write_provenance(
    adata: "AnnData",
    verb: str,
    model: "Embedder",
    expression: "Expression | None",
    *,
    remarks: Sequence[str] = (),
    **facts: Any,
) -> None:
    """Write the provenance record to ``uns["okrcell"][verb]``.

    It holds ``facts``, the model and its sha256, the matrix that was read, its sha256, findings (with the ``remarks``) and gene
    coverage, package versions and time.
    """
    facts["findings"] = read_findings(adata)
    if expression is not None:
        facts |= {
            "matrix": expression.source,
            "kind": expression.kind,
            "expression_sha256": expression.fingerprint,
            "findings": list(expression.findings),
            "gene_coverage": float(expression.resolution.coverage),
            "species": expression.resolution.species,
            "orthologs": "mouse_ortholog" in expression.resolution.match_counts,
            "model_genes_measured": model.n_measured_genes(expression),
            "model_genes": len(model.vocabulary),
        }
    facts["findings"] = [*facts["findings"], *remarks]
    names_sha256 = hashlib.sha256("\n".join([*adata.obs_names, "", *adata.var_names]).encode()).hexdigest()
    input_facts = {"cells": adata.n_obs, "genes": adata.n_vars, "names_sha256": names_sha256}
    facts["model_sha256"] = str(model.facts.get("model_sha256", ""))
    record = provenance_record(verb, model=model.name, weights_sha256=model.fingerprint, input=input_facts, **facts)
    adata.uns["okrcell"] = {**read_records(adata), verb: record}
