"""Cited descriptions of the cells of a study, one for each distinct profile."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from okrcell.descriptions.description import Description
from okrcell.errors import InputError
from okrcell.progress import ProgressOption, progress_bar
from okrcell.provenance import provenance_record
from okrcell.storage import file_lock
from okrcell.tl._docs import doc_params

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

    from okrcell.descriptions.enrich import EnrichSettings
    from okrcell.descriptions.llm_cache import CostEstimate
    from okrcell.evidence import KnowledgeSource, TextEmbedder
    from okrcell.ontology.obs_profile import CellProfile


@dataclass(frozen=True)
class Enriched:
    """Result of `enrich`."""

    output: Path | None
    """The Parquet file written; None if nothing was written to disk."""
    descriptions: tuple[Description, ...]
    """One description per distinct profile, in the order in which the profiles first occur among the cells."""
    reused: int
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
        remarks = Counter(description.remark for description in self.descriptions if description.outcome == "failed")
        return (remarks.total(), remarks.most_common(1)[0][0].rstrip(".")) if remarks else None

    def summary(self) -> tuple[str, ...]:
        """Summarize in one or two lines what was written and screened."""
        facts = count_outcomes(self.descriptions)
        outcomes = ", ".join(f"{count:,} {outcome}" for outcome, count in facts["outcomes"].items())
        cited = ", ".join(f"{source} {count:,}" for source, count in facts["citations"].items())
        lines = (
            f"{facts['sentences']:,} sentences in {facts['profiles']:,} descriptions ({outcomes}). They cite {cited}.",
        )
        if self.screening is None:
            return lines
        screening = self.screening
        dropped = f"{screening['dropped']:,} of {screening['sentences']:,} written sentences dropped"
        if screening["threshold"] is None:
            return (*lines, f"Screening: {dropped}; too few cell types to compare whole texts.")
        return (
            *lines,
            f"Screening: {dropped}, {screening['rejected']:.0%} of texts rejected under cosine "
            f"{screening['threshold']:.3f}, {screening['swapped_rejected']:.0%} of swapped ones.",
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
    confirm: "Callable[[CostEstimate], None] | None" = None,
    progress: ProgressOption = None,
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
        Writer, knowledge sources, retrieval and screening (`okrcell.descriptions.enrich.EnrichSettings`). By default the
        template writer, which works offline.
    {knowledge}
    literature : str or Path, optional
        File or folder of abstracts, used as an additional source.
    ledger : str or Path, optional
        File that stores the answers of a language model; an answer in it is not requested, nor paid for, again. By default the
        path of ``output`` with the suffix ".ledger". Not used by the template writer.
    confirm : callable, optional
        Called once with an `okrcell.descriptions.llm_cache.CostEstimate` of calls, tokens and money before the first call to a
        language model. It may raise to stop.
    progress : bool or callable, optional
        Show a bar on stderr. By default only if stderr is a terminal; True always, False never. A function is called instead,
        as ``progress(done, total, step)``; step is "indexing", "writing" or "screening".

    Returns
    -------
    Enriched
        Result with the attributes

        - ``output`` (Path or None): the file
        - ``descriptions`` (tuple of `okrcell.Description`): one per distinct profile, in the order of their first cell
        - `Enriched.reused` (int): number of descriptions reused from the file
        - ``sources`` (tuple of str): knowledge sources that were searched
        - ``absent`` (mapping of str to str): sources skipped because a file is missing, with the reason
        - ``screening`` (mapping or None): report on texts of a language model
        - ``failed`` (tuple of int and str, or None): number of failed texts and the most frequent reason
        - `Enriched.summary` (method): a summary in one or two lines

    Raises
    ------
    InputError
        If the cells have no usable column, the cells, a source, a setting or the output cannot be used, or another process is
        writing the output.
    BudgetExceeded
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
    # Two runs into one file would each lose what the other has written.
    with nullcontext() if output is None else file_lock(output):
        return _enrich(cells, output, settings, knowledge, literature, ledger, confirm, progress)


def _enrich(
    cells: "AnnData | str | Path",
    output: str | Path | None,
    settings: "EnrichSettings | None",
    knowledge: str | Path | None,
    literature: str | Path | None,
    ledger: str | Path | None,
    confirm: "Callable[[CostEstimate], None] | None",
    progress: ProgressOption,
) -> Enriched:
    from okrcell.descriptions.description import load_if_exists, save_descriptions
    from okrcell.descriptions.enrich import EnrichSettings, describe_profiles
    from okrcell.knowledge.downloads import KnowledgeFiles
    from okrcell.knowledge.registry import open_sources, unavailable_sources

    settings = EnrichSettings() if settings is None else settings
    output_path = None if output is None else Path(output)
    stored = None if output_path is None else load_if_exists(output_path)
    files = KnowledgeFiles(knowledge)
    sources = open_sources(settings.sources, files, leaks=settings.leaks, literature=literature)
    missing_sources = unavailable_sources(files) if settings.sources is None else {}
    read_obs, cell_facts = _obs_reader(cells)
    key = _settings_hash(settings, sources)
    by_profile: dict[CellProfile, Description] = {}
    report: dict[str, Any] | None = None
    source_names = tuple(source.name for source in sources)
    if stored is not None and stored.receipt.get("key") == key:
        stored_descriptions = stored.descriptions[: stored.receipt.get("profiles", 0)]
        if (
            "fingerprint" in cell_facts
            and stored.receipt.get("cells") == cell_facts
            and not any(description.outcome == "failed" for description in stored_descriptions)
        ):
            # The same cells: their profiles need not be read.
            return Enriched(
                output_path,
                stored_descriptions,
                len(stored_descriptions),
                source_names,
                missing_sources,
                stored.receipt.get("screening"),
            )
        report = stored.receipt.get("screening")
        # Descriptions that failed in an earlier run are requested again.
        by_profile = {
            profile: description
            for profile, description in stored.by_profile().items()
            if description.outcome != "failed"
        }
    profiles = _read_profiles(read_obs())
    missing = [profile for profile in profiles if profile not in by_profile]
    if missing:
        ledger_file = ledger or (output_path.with_suffix(".ledger") if output_path else None)
        # Screening compares the texts of a language model with each other, so all are needed; the ledger returns paid answers.
        to_write = missing if settings.writer == "template" else profiles
        with progress_bar("Enriching", progress) as on_progress:
            new_descriptions, report = describe_profiles(
                to_write, settings, sources, _load_sentence_encoder, ledger_file, confirm, on_progress
            )
        by_profile |= dict(zip(to_write, new_descriptions, strict=True))
    descriptions = tuple(by_profile[profile] for profile in profiles)
    if output_path is not None and missing:
        record = provenance_record(
            "enrich",
            key=key,
            sources=source_names,
            cells=cell_facts,
            settings=settings.model_dump(mode="json"),
            screening=report,
            **count_outcomes(descriptions),
        )
        # Keep the other profiles of the file, for example those of another study.
        other_descriptions = [
            description for profile, description in by_profile.items() if profile not in set(profiles)
        ]
        save_descriptions(output_path, [*descriptions, *other_descriptions], record)
    return Enriched(output_path, descriptions, len(profiles) - len(missing), source_names, missing_sources, report)


def count_outcomes(descriptions: Sequence[Description]) -> dict[str, Any]:
    """Count profiles by outcome, sentences kept and dropped, and citations by source."""
    cited = Counter(
        record.source
        for description in descriptions
        for sentence in description.sentences
        for record in sentence.evidence
    )
    return {
        "profiles": len(descriptions),
        "outcomes": dict(sorted(Counter(description.outcome for description in descriptions).items())),
        "sentences": sum(len(description.sentences) for description in descriptions),
        "dropped_sentences": sum(len(description.dropped) for description in descriptions),
        "citations": dict(cited.most_common()),
    }


def _read_profiles(obs: "pd.DataFrame") -> "Sequence[CellProfile]":
    from okrcell.ontology.obs_profile import read_profiles

    result = read_profiles(obs)
    if not any(profile.has_values for profile in result.distinct):
        raise InputError(
            "There is nothing to describe: obs has no column cell_type, tissue, disease, development_stage, sex or "
            "assay with a value. Add one, or annotate the cells first with `okrcell annotate`."
        )
    return result.distinct


def _obs_reader(cells: "AnnData | str | Path") -> "tuple[Callable[[], pd.DataFrame], dict[str, Any]]":
    """Return a function that reads obs, and the facts that identify the cells (number, fingerprint of the file)."""
    import pandas as pd

    if not isinstance(cells, str | Path):
        return lambda: pd.DataFrame(cells.obs), {"cells": cells.n_obs}
    path = Path(cells)
    if (path / "corpus.json").exists():
        from okrcell.data.corpus import Corpus

        corpus = Corpus.open(path)
        return lambda: corpus.obs, {"cells": len(corpus), "fingerprint": corpus.fingerprint}
    from okrcell.cells.io import open_cells
    from okrcell.provenance import fingerprint

    adata = open_cells(path)
    return lambda: pd.DataFrame(adata.obs), {"cells": adata.n_obs, "fingerprint": fingerprint(path)}


def _settings_hash(settings: "EnrichSettings", sources: "Sequence[KnowledgeSource]") -> str:
    """Hash everything except the profile that determines a description: settings, sources and versions."""
    versions = provenance_record("enrich")["versions"]
    facts = {
        "settings": settings.model_dump(mode="json"),
        "sources": [(source.name, source.snapshot) for source in sources],
        "versions": {name: versions[name] for name in ("okrcell", "cellxgene_ontology_guide")},
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _load_sentence_encoder() -> "TextEmbedder":
    from okrcell.model.text_encoder import SentenceEncoder

    return SentenceEncoder()
