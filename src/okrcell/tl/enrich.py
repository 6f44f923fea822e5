"""Write what is known of the cells of a study, with its sources."""

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

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

    from okrcell.knowledge.evidence import KnowledgeSource
    from okrcell.knowledge.vectors import TextEmbedder
    from okrcell.texts.endpoint.budget import Estimate
    from okrcell.texts.enrich import EnrichSettings
    from okrcell.texts.profile import CellProfile

Progress = Callable[[int, int, str], None]
"""Told how much of how much is done, and what is being done."""


@dataclass(frozen=True)
class Enriched:
    """What `enrich` made."""

    output: Path | None
    descriptions: tuple[Description, ...]
    """One for each distinct profile, in the order in which the cells first show it."""
    kept: int
    """How many of them were in the output already, from the same sources and settings."""
    sources: tuple[str, ...]
    """The knowledge sources that were asked."""
    absent: Mapping[str, str]
    """What was not asked because a file is missing: a line for each source, by its name."""
    screening: Mapping[str, Any] | None
    """What the screening of a language model's texts did (a `ScreeningReport`); None where none was needed."""

    @property
    def failed(self) -> tuple[int, str] | None:
        """How many texts could not be had this time, and the commonest reason; None if all could."""
        remarks = Counter(each.remark for each in self.descriptions if each.outcome == "failed")
        return (remarks.total(), remarks.most_common(1)[0][0].rstrip(".")) if remarks else None

    def told(self) -> tuple[str, ...]:
        """Sum up what was written and screened, in one line or two."""
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
    """Describe the cells of a study: what they are, where they come from, what is known of them, and who says so.

    Parameters
    ----------
    cells
        A corpus folder, a file of cells, or AnnData. Only ``obs`` is read: cell type, tissue, disease, stage, sex, assay.
    output
        Parquet file (`okrcell.texts.store` tells its columns). What it holds from the same sources and settings is kept,
        other studies' profiles too, and not written again; from others, it is replaced. None: nothing is written to disk.
    settings
        Who writes, what is asked, what is screened; by default the template writer, offline.
    knowledge
        Folder or URL of the knowledge files; by default the environment's OKRCELL_KNOWLEDGE, else what was fetched.
        Without any file the ontologies alone are asked.
    literature
        The user's own file or folder of abstracts.
    ledger
        Where a language model's answers are kept; by default beside the output. What is in it is never paid again.
    confirm
        Told the estimate of calls, tokens and money before the first call; it may raise to stop.
    progress
        Told what is done.

    Raises
    ------
    InputError
        If the cells, a source or a setting cannot be used; the message says what to do.
    BudgetSpent
        If the next call could cost more than the budget leaves; all answers so far are in the ledger.
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
            # The very same cells: not even their profiles need to be read.
            return Enriched(target, of_these, len(of_these), names, absent, stored.receipt.get("screening"))
        report = stored.receipt.get("screening")
        # What could not be had last time is asked for again.
        known = {profile: each for profile, each in stored.by_profile().items() if each.outcome != "failed"}
    wanted = _profiles(obs())
    lacking = [profile for profile in wanted if profile not in known]
    if lacking:
        ledger_file = ledger or (target.with_suffix(".ledger") if target else None)
        # A language model's texts are screened together, for they are compared; the ledger gives old answers for nothing.
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
        # Other profiles that the file holds, of another study say, stay in it.
        others = [each for profile, each in known.items() if profile not in set(wanted)]
        save_descriptions(target, [*descriptions, *others], made)
    return Enriched(target, descriptions, len(wanted) - len(lacking), names, absent, report)


def figures(descriptions: Sequence[Description]) -> dict[str, Any]:
    """Count what came of the writing: profiles by outcome, sentences kept and dropped, sources cited."""
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
            "Nothing is known of these cells: obs has no column cell_type, tissue, disease, development_stage, sex or "
            "assay with a value. Add one, or name the cells first with `okrcell annotate`."
        )
    return found.distinct


def _obs(cells: "AnnData | str | Path") -> "tuple[Callable[[], pd.DataFrame], dict[str, Any]]":
    """Give obs, to be read when it is needed, and what tells these cells from others."""
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
    """Fingerprint all that a description follows from, but for the profile itself."""
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
