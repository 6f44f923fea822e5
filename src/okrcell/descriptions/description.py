"""Cited descriptions of profiles, stored as a Parquet file.

The file has one row per profile: the fields of the profile; ``text``; ``sentences`` (text, and ``cites``, the indices
in ``citations`` of the evidence for each); ``citations`` (text, source, record, snapshot, licence, sha256 of the text);
``phrasings`` and ``original``, the texts that training samples from; ``dropped`` sentences with reasons;
``similarity``, ``writer``, ``prompt``, ``outcome``, ``remark``. The provenance of the run ("receipt") is in the schema
metadata of the file.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from okrcell.errors import InputError
from okrcell.evidence import Evidence
from okrcell.ontology.obs_profile import CellProfile
from okrcell.storage import atomic_file

FORMAT = "okrcell descriptions 1"
_PROFILE_FIELDS = tuple(field.name for field in fields(CellProfile))
_TEXT_LIST = pa.list_(pa.string())
_CITATION_TYPE = pa.struct(
    [
        *((name, pa.string()) for name in ("text", "source", "record", "snapshot", "licence", "aspect", "sha256")),
        ("terms", _TEXT_LIST),
        ("genes", _TEXT_LIST),
    ]
)
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in _PROFILE_FIELDS),
        ("text", pa.string()),
        ("sentences", pa.list_(pa.struct([("text", pa.string()), ("cites", pa.list_(pa.int32()))]))),
        ("citations", pa.list_(_CITATION_TYPE)),
        ("phrasings", _TEXT_LIST),
        ("original", _TEXT_LIST),
        ("dropped", pa.list_(pa.struct([("text", pa.string()), ("reason", pa.string())]))),
        ("similarity", pa.float64()),
        *((name, pa.string()) for name in ("writer", "prompt", "outcome", "remark")),
    ]
)
"""Columns of the file."""


@dataclass(frozen=True)
class Sentence:
    """One sentence of a description and the evidence that it cites.

    Attributes
    ----------
    text
        The sentence, with its full stop.
    evidence
        The cited records, in the order of citation.

    Notes
    -----
    Each record carries its source, record id, snapshot, licence and sha256 (`okrcell.evidence.Evidence`).

    Examples
    --------
    >>> import anndata as ad
    >>> import pandas as pd
    >>> import okrcell as okr
    >>> obs = pd.DataFrame({"cell_type": ["B cell"], "tissue": ["blood"]}, index=["cell-1"])
    >>> (description,) = okr.enrich(ad.AnnData(obs=obs)).descriptions
    >>> sentence = description.sentences[0]
    >>> sentence.text
    'A B cell is a lymphocyte of B lineage that is capable of B cell mediated immunity.'
    >>> [(record.source, record.record) for record in sentence.evidence][:2]
    [('metadata', 'profile.cell_type'), ('Cell Ontology', 'CL:0000236')]
    """

    text: str
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True)
class Dropped:
    """A sentence that a writer produced and the screening rejected.

    Attributes
    ----------
    text
        The rejected sentence.
    reason
        Why it was rejected, in one clause.

    Examples
    --------
    >>> from okrcell.descriptions.description import Dropped
    >>> rejected = Dropped("It expresses FOXP3 in the kidney.", "names FOXP3, which its evidence does not mention")
    >>> rejected.reason
    'names FOXP3, which its evidence does not mention'
    """

    text: str
    reason: str


@dataclass(frozen=True)
class Description:
    """Cited description of all cells with the same profile.

    Attributes
    ----------
    profile
        Cell type, tissue, disease, developmental stage, sex and assay.
    sentences
        The sentences of the text, each with the evidence that it cites.
    phrasings
        Alternative texts with the same content, without duplicates; the first joins all sentences. Empty only if
        ``outcome`` is "dropped".
    writer
        Name of the writer (`Writer.name`).
    prompt
        Version of the prompt and name of the language model; "" for a writer without a language model.
    original
        Phrasings of the original text (metadata and ontology); empty if the description contains nothing else.
    dropped
        Sentences that the screening rejected, with the reasons.
    similarity
        Cosine similarity of the written text to the original text (E1), in [-1, 1]; None if it was not computed.
    outcome
        "written": the text of the writer. "original": the written text was rejected and replaced by the original text.
        "failed": the writer produced no text in this run, and the original text is used; a later run tries again.
        "dropped": the written text was rejected and not replaced.
    remark
        Why the text of the writer is not used; "" otherwise.

    Notes
    -----
    `okr.enrich` returns one description for each distinct profile of a study and stores them in a Parquet file.

    Examples
    --------
    >>> import anndata as ad
    >>> import pandas as pd
    >>> import okrcell as okr
    >>> obs = pd.DataFrame({"cell_type": ["B cell"], "tissue": ["blood"]}, index=["cell-1"])
    >>> (description,) = okr.enrich(ad.AnnData(obs=obs)).descriptions
    >>> description.profile.cell_type_id, description.profile.tissue_id
    ('CL:0000236', 'UBERON:0000178')
    >>> description.writer, description.outcome
    ('template', 'written')
    >>> description.sentences[0].text
    'A B cell is a lymphocyte of B lineage that is capable of B cell mediated immunity.'
    """

    profile: CellProfile
    sentences: tuple[Sentence, ...]
    phrasings: tuple[str, ...]
    writer: str = "template"
    prompt: str = ""
    original: tuple[str, ...] = ()
    dropped: tuple[Dropped, ...] = ()
    similarity: float | None = None
    outcome: Literal["written", "original", "failed", "dropped"] = "written"
    remark: str = ""


class Writer(Protocol):
    """Protocol: writes the description of a profile from the evidence of the knowledge sources.

    Attributes
    ----------
    name
        Name of the writer, stored in `Description.writer`. The built-in writers are "template" and "endpoint".

    Notes
    -----
    A writer states only what the profile or the evidence contains, and each of its sentences cites the evidence that
    supports it.

    Examples
    --------
    >>> import okrcell as okr
    >>> class NameWriter:
    ...     name = "name"
    ...
    ...     def write(self, profile, evidence):
    ...         return okr.Description(profile, (), (profile.cell_type or "A cell.",), writer=self.name)
    >>> import anndata as ad
    >>> import pandas as pd
    >>> obs = pd.DataFrame({"cell_type": ["B cell"]}, index=["cell-1"])
    >>> (description,) = okr.enrich(ad.AnnData(obs=obs)).descriptions
    >>> NameWriter().write(description.profile, ()).phrasings
    ('B cell',)
    """

    name: str

    def write(self, profile: CellProfile, evidence: Sequence[Evidence]) -> Description:
        """Describe a profile.

        Parameters
        ----------
        profile
            The profile to describe; an unknown field is "".
        evidence
            Evidence for the terms and genes of the profile, in the order of the sources.

        Returns
        -------
        The description of the profile.

        Raises
        ------
        WritingFailed
            If no usable text could be produced for this profile.
        """
        ...


@dataclass(frozen=True)
class StoredDescriptions:
    """Descriptions with the provenance ("receipt") of the run that wrote them."""

    descriptions: tuple[Description, ...]
    receipt: Mapping[str, Any]

    def by_profile(self) -> dict[CellProfile, Description]:
        """Map each profile to its description."""
        return {description.profile: description for description in self.descriptions}


def save_descriptions(path: str | Path, descriptions: Iterable[Description], receipt: Mapping[str, Any]) -> None:
    """Write descriptions atomically, in input order.

    Raises
    ------
    InputError
        If the folder of ``path`` does not exist or cannot be written.
    """
    metadata = {"okrcell.format": FORMAT, "okrcell.receipt": json.dumps(receipt, ensure_ascii=False)}
    table = pa.Table.from_pylist([_to_row(description) for description in descriptions], SCHEMA)
    with atomic_file(path) as draft:
        pq.write_table(table.replace_schema_metadata(metadata), draft, compression="zstd")


def load_if_exists(path: Path) -> StoredDescriptions | None:
    """Read the descriptions of an existing output file; None if there is no file. Checks the path before any work.

    Raises
    ------
    InputError
        If the parent folder does not exist, or the path is a folder or a file without descriptions.
    """
    if not path.parent.is_dir():
        raise InputError(f"Cannot write {path}: there is no folder {path.parent}. Create it first.")
    if path.is_dir():
        raise InputError(
            f"Cannot write {path}: it is a folder. Give a file path, such as {path / 'descriptions.parquet'}."
        )
    if not path.exists():
        return None
    try:
        return load_descriptions(path)
    except InputError:
        raise InputError(
            f"{path} exists and contains no descriptions that can be read. Choose another output, or remove the file."
        ) from None


def load_descriptions(path: str | Path) -> StoredDescriptions:
    """Read the descriptions that `save_descriptions` wrote.

    Raises
    ------
    InputError
        If the file does not exist or is not a file of descriptions.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"There is no file of descriptions at {path}. Create one with `okrcell enrich`.")
    try:
        metadata = {key.decode(): value.decode() for key, value in (pq.read_schema(path).metadata or {}).items()}
        if metadata.get("okrcell.format") != FORMAT:
            actual_format = metadata.get("okrcell.format", "another kind of table")
            raise InputError(
                f"{path} does not have the format '{FORMAT}' but {actual_format}. Write it again with `okrcell enrich`."
            )
        rows = pq.read_table(path, schema=SCHEMA).to_pylist()
        return StoredDescriptions(tuple(map(_from_row, rows)), json.loads(metadata["okrcell.receipt"]))
    except (pa.ArrowException, OSError, UnicodeDecodeError, ValueError, KeyError, TypeError, IndexError) as error:
        if isinstance(error, InputError):
            raise
        reason = str(error).partition("\n")[0].rstrip(".")
        raise InputError(f"{path} cannot be read as descriptions: {reason}. Write it with `okrcell enrich`.") from None


def _to_row(description: Description) -> dict[str, Any]:
    citation_index: dict[Evidence, int] = {}
    sentences = [
        {
            "text": sentence.text,
            "cites": [citation_index.setdefault(piece, len(citation_index)) for piece in sentence.evidence],
        }
        for sentence in description.sentences
    ]
    return {
        **asdict(description.profile),
        "text": next(iter(description.phrasings), ""),
        "sentences": sentences,
        "citations": [{**asdict(piece), "sha256": piece.sha256} for piece in citation_index],
        "phrasings": description.phrasings,
        "original": description.original,
        "dropped": [asdict(dropped) for dropped in description.dropped],
        "similarity": description.similarity,
        "writer": description.writer,
        "prompt": description.prompt,
        "outcome": description.outcome,
        "remark": description.remark,
    }


def _from_row(row: dict[str, Any]) -> Description:
    citations = [_to_evidence(piece) for piece in row["citations"]]
    return Description(
        profile=CellProfile(**{name: row[name] for name in _PROFILE_FIELDS}),
        sentences=tuple(
            Sentence(sentence["text"], tuple(citations[index] for index in sentence["cites"]))
            for sentence in row["sentences"]
        ),
        phrasings=tuple(row["phrasings"]),
        writer=row["writer"],
        prompt=row["prompt"],
        original=tuple(row["original"]),
        dropped=tuple(Dropped(**dropped) for dropped in row["dropped"]),
        similarity=row["similarity"],
        outcome=row["outcome"],
        remark=row["remark"],
    )


def _to_evidence(piece: dict[str, Any]) -> Evidence:
    values = {name: value for name, value in piece.items() if name not in {"sha256", "terms", "genes"}}
    return Evidence(**values, terms=tuple(piece["terms"]), genes=tuple(piece["genes"]))
