"""Cited descriptions of the cells of a study, one for each distinct profile."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from okrcell.errors import InputError
from okrcell.provenance import receipt
from okrcell.texts.description import Description
from okrcell.tl._docs import doc_params

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

    from okrcell.knowledge.evidence import KnowledgeSource
    from okrcell.knowledge.vectors import TextEmbedder
    from okrcell.texts.endpoint.budget import Estimate
    from okrcell.texts.enrich import EnrichSettings
    from okrcell.texts.profile import CellProfile

Progress = Callable[[int, int, str], None]
"""Called with the number of items done, the total and the name of the running step."""


@dataclass(frozen=True)
class Enriched:
    """Result of `enrich`."""

    output: Path | None
    """The Parquet file written; None if nothing was written to disk."""
    descriptions: tuple[Description, ...]
    """One description per distinct profile, in the order in which the profiles first occur among the cells."""
    kept: int
    """Number of descriptions reused from the output because sources and settings are the same."""
    sources: tuple[str, ...]
    """Names of the knowledge sources that were searched."""
    absent: Mapping[str, str]
    """Sources that were skipped because a file is missing: name of the source to one line of explanation."""
    screening: Mapping[str, Any] | None
    """Fields of the `ScreeningReport` of texts written by a language model; None if nothing was screened."""

    @property
    def failed(self) -> tuple[int, str] | None:
        """Number of texts that could not be obtained in this run and the most frequent reason; None if there are none."""
        remarks = Counter(each.remark for each in self.descriptions if each.outcome == "failed")
        return (remarks.total(), remarks.most_common(1)[0][0].rstrip(".")) if remarks else None

    def told(self) -> tuple[str, ...]:
        """Summarize in one or two lines what was written and screened."""
        facts = figures(self.descriptions)
        outcomes = ", ".join(f"{number:,} {name}" for name, number in facts["outcomes"].items())
        cited = ", ".join(f"{source} {number:,}" for source, number in facts["citations"].items())
        lines = (
            f"{facts['sentences']:,} sentences in {facts['profiles']:,} descriptions ({outcomes}). They cite {cited}.",
        )
        if self.screening is None:
            return lines
        shares = self.screening
        if shares["threshold"] is None:
            said = f"{shares['dropped']:,} of {shares['sentences']:,} written sentences dropped"
            return (*lines, f"Screening: {said}; too few cell types to compare whole texts.")
        return (
            *lines,
            f"Screening: {shares['dropped']:,} of {shares['sentences']:,} written sentences dropped, {shares['rejected']:.0%} "
            f"of texts rejected under cosine {shares['threshold']:.3f}, {shares['swapped_rejected']:.0%} of swapped ones.",
        )


@doc_params
def enrich(
    cells: "AnnData | str | Path",
    output: str | Path | None = None,
    settings: "EnrichSettings | None" = None,
    *,
    knowledge: str | Path | None = None,
    literature: str | Path | None = None,
    ledger: str | Path | None = None,
    confirm: "Callable[[Estimate], None] | None" = None,
    progress: Progress | None = None,
) -> Enriched:
    """Describe the cells of a study in cited sentences, one description per distinct profile.

    A profile is a distinct combination of cell type, tissue, disease, development stage, sex and assay in ``obs``.

    Parameters
    ----------
    cells : AnnData, str or Path
        Cells in memory, the path of a file of cells, or a corpus folder. Only ``obs`` is read: the columns ``cell_type``,
        ``tissue``, ``disease``, ``development_stage``, ``sex`` and ``assay``, and their ids with the suffix
        ``_ontology_term_id``.
    output : str or Path, optional
        Parquet file to write, atomically. Descriptions in it that were made from the same sources and settings are reused, and
        profiles of other studies stay in it; otherwise it is replaced. By default nothing is written to disk.
    settings : EnrichSettings, optional
        Writer, knowledge sources, retrieval and screening (`okrcell.texts.enrich.EnrichSettings`). By default the template
        writer, which works offline.
    {knowledge}
    literature : str or Path, optional
        File or folder of abstracts, used as an additional source.
    ledger : str or Path, optional
        File that stores the answers of a language model; an answer in it is not requested, nor paid for, again. By default the
        path of ``output`` with the suffix ".ledger". Not used by the template writer.
    confirm : callable, optional
        Called once with an `okrcell.texts.endpoint.budget.Estimate` of calls, tokens and money before the first call to a
        language model. It may raise to stop.
    progress : callable, optional
        Called as ``progress(done, total, step)``; step is "indexing", "writing" or "screening".

    Returns
    -------
    Enriched
        Result with the attributes

        - ``output`` (Path or None): the file
        - ``descriptions`` (tuple of `okrcell.Description`): one per distinct profile, in the order of their first cell
        - `Enriched.kept` (int): number of descriptions reused from the file
        - ``sources`` (tuple of str): knowledge sources that were searched
        - ``absent`` (mapping of str to str): sources skipped because a file is missing, with the reason
        - ``screening`` (mapping or None): report on texts of a language model
        - ``failed`` (tuple of int and str, or None): number of failed texts and the most frequent reason
        - `Enriched.told` (method): a summary in one or two lines

    Raises
    ------
    InputError
        If the cells have no usable column, or the cells, a source, a setting or the output cannot be used.
    BudgetSpent
        If the next call of the language model could exceed the budget. All answers so far are in the ledger.

    See Also
    --------
    okrcell.Description : A description with its sentences and their evidence.
    describe : Cited descriptions of groups of cells in one file.

    Notes
    -----
    Labels are standardized to ontology terms, evidence for each profile is retrieved from the knowledge sources, and a writer
    composes sentences that cite it (method 2.2). The paper [1]_ uses a language model throughout; the template writer is ours.
    Texts of a language model are screened by their cosine similarity to the original text (E1; the threshold is our
    reconstruction), and sentences that their cited evidence does not support are removed (ours).

    References
    ----------
    .. [1] OKR-CELL, arXiv:2601.05648.

    Examples
    --------
    >>> import anndata as ad
    >>> import numpy as np
    >>> import pandas as pd
    >>> import okrcell as okr
    >>> obs = pd.DataFrame({"cell_type": ["B cell", "B cell", "T cell"], "tissue": "blood"}, index=["c1", "c2", "c3"])
    >>> result = okr.enrich(ad.AnnData(np.zeros((3, 1), dtype="float32"), obs=obs))
    >>> len(result.descriptions)
    2
    >>> description = result.descriptions[0]
    >>> description.profile.cell_type_id
    'CL:0000236'
    >>> all(sentence.evidence for sentence in description.sentences)
    True
    """
    from okrcell.knowledge.snapshots import KnowledgeFiles
    from okrcell.knowledge.sources.registry import absent_sources, open_sources
    from okrcell.texts.enrich import EnrichSettings, describe_with
    from okrcell.texts.store import save_descriptions, stored_at

    settings = EnrichSettings() if settings is None else settings
    target = None if output is None else Path(output)
    stored = None if target is None else stored_at(target)
    files = KnowledgeFiles(knowledge)
    sources = open_sources(settings.sources, files, leaks=settings.leaks, literature=literature)
    absent = absent_sources(files) if settings.sources is None else {}
    obs, told = _obs(cells)
    key = _key(settings, sources)
    known: dict[CellProfile, Description] = {}
    report: dict[str, Any] | None = None
    names = tuple(source.name for source in sources)
    if stored is not None and stored.receipt.get("key") == key:
        of_these = stored.descriptions[: stored.receipt.get("profiles", 0)]
        if (
            "fingerprint" in told
            and stored.receipt.get("cells") == told
            and not any(each.outcome == "failed" for each in of_these)
        ):
            # The same cells: their profiles need not be read.
            return Enriched(target, of_these, len(of_these), names, absent, stored.receipt.get("screening"))
        report = stored.receipt.get("screening")
        # Descriptions that failed in an earlier run are requested again.
        known = {profile: each for profile, each in stored.by_profile().items() if each.outcome != "failed"}
    wanted = _profiles(obs())
    lacking = [profile for profile in wanted if profile not in known]
    if lacking:
        ledger_file = ledger or (target.with_suffix(".ledger") if target else None)
        # Screening compares the texts of a language model with each other, so all are needed; the ledger returns paid answers.
        some = lacking if settings.writer == "template" else wanted
        written, report = describe_with(some, settings, sources, _encoder, ledger_file, confirm, progress or _silent)
        known |= dict(zip(some, written, strict=True))
    descriptions = tuple(known[profile] for profile in wanted)
    if target is not None and lacking:
        made = receipt(
            "enrich",
            key=key,
            sources=names,
            cells=told,
            settings=settings.model_dump(mode="json"),
            screening=report,
            **figures(descriptions),
        )
        # Keep the other profiles of the file, for example those of another study.
        others = [each for profile, each in known.items() if profile not in set(wanted)]
        save_descriptions(target, [*descriptions, *others], made)
    return Enriched(target, descriptions, len(wanted) - len(lacking), names, absent, report)


def figures(descriptions: Sequence[Description]) -> dict[str, Any]:
    """Count profiles by outcome, sentences kept and dropped, and citations by source."""
    cited = Counter(piece.source for each in descriptions for said in each.sentences for piece in said.evidence)
    return {
        "profiles": len(descriptions),
        "outcomes": dict(sorted(Counter(each.outcome for each in descriptions).items())),
        "sentences": sum(len(each.sentences) for each in descriptions),
        "dropped_sentences": sum(len(each.dropped) for each in descriptions),
        "citations": dict(cited.most_common()),
    }


def _profiles(obs: "pd.DataFrame") -> "Sequence[CellProfile]":
    from okrcell.texts.profile import profiles

    found = profiles(obs)
    if not any(profile.known for profile in found.distinct):
        raise InputError(
            "There is nothing to describe: obs has no column cell_type, tissue, disease, development_stage, sex or "
            "assay with a value. Add one, or annotate the cells first with `okrcell annotate`."
        )
    return found.distinct


def _obs(cells: "AnnData | str | Path") -> "tuple[Callable[[], pd.DataFrame], dict[str, Any]]":
    """Return a function that reads obs, and the facts that identify the cells (number, fingerprint of the file)."""
    import pandas as pd

    if not isinstance(cells, str | Path):
        return lambda: pd.DataFrame(cells.obs), {"cells": cells.n_obs}
    path = Path(cells)
    if (path / "corpus.json").exists():
        from okrcell.cells.corpus import Corpus

        corpus = Corpus.open(path)
        return lambda: corpus.obs, {"cells": len(corpus), "fingerprint": corpus.fingerprint}
    from okrcell.cells.open import open_cells
    from okrcell.provenance import fingerprint

    adata = open_cells(path)
    return lambda: pd.DataFrame(adata.obs), {"cells": adata.n_obs, "fingerprint": fingerprint(path)}


def _key(settings: "EnrichSettings", sources: "Sequence[KnowledgeSource]") -> str:
    """Hash everything except the profile that determines a description: settings, sources and versions."""
    versions = receipt("enrich")["versions"]
    facts = {
        "settings": settings.model_dump(mode="json"),
        "sources": [(source.name, source.snapshot) for source in sources],
        "versions": {name: versions[name] for name in ("okrcell", "cellxgene_ontology_guide")},
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _encoder() -> "TextEmbedder":
    from okrcell.model.sentence_encoder import SentenceEncoder

    return SentenceEncoder()


def _silent(done: int, of: int, what: str) -> None:
    pass
