"""Cited descriptions of cells: `Sentence`, `Dropped`, `Description` and the protocol `Writer`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from okrcell.evidence import Evidence
from okrcell.ontology.obs_profile import CellProfile


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
    >>> from okrcell.texts.description import Dropped
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
