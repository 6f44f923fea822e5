"""Facts of a run that ``model.json`` stores: training data, validation, provenance."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from okrcell.pairs.noise import Noisy
from okrcell.pairs.split import Split
from okrcell.provenance import receipt
from okrcell.texts.description import Description
from okrcell.training.settings import PretrainSettings


def run_facts(
    settings: PretrainSettings,
    harmed: Noisy,
    sides: Split,
    steps: int,
    validation: dict[str, float],
    tables: Sequence[str] = (),
) -> dict[str, Any]:
    """Return training data, validation losses and provenance of a run.

    Studies and donors are listed so that evaluation data can be checked for overlap; cell types, so that "never seen" can
    be checked. ``tables`` are the marker tables that were read.
    """
    pairs = harmed.pairs
    obs = pairs.corpus.obs.iloc[sides.train]
    donors = (obs["study"].astype(str) + " | " + obs["donor"].astype(str)).where(obs["donor"].astype(str) != "")
    with_text = sides.train[pairs.described[sides.train]]
    kinds = pairs.cell_type[pairs.description[with_text]]
    seen = sorted({pairs.cell_type_names[number] for number in set(kinds.tolist()) if number >= 0})
    return {
        "title": settings.title,
        "preset": settings.objective.preset,
        "deviations": settings.objective.deviations,
        "seen": {
            "cells": len(sides.train),
            "cells_with_text": len(with_text),
            "studies": sorted(obs["study"].astype(str).unique().tolist()),
            "donors": sorted(donors.dropna().unique().tolist()),
            "cell_types": seen,
            "left_out_types": list(sides.left_out_types),
        },
        "validation": {**validation, "note": sides.note, "groups": list(sides.groups)},
        "receipt": receipt(
            "pretrain",
            seed=settings.seed,
            steps=steps,
            # Local paths are private; the fingerprint covers the content.
            settings=settings.model_dump(
                mode="json",
                exclude={"corpus": True, "output": True, "texts": {"descriptions"}, "knowledge": {"folder"}},
            ),
            corpus={"fingerprint": pairs.corpus.fingerprint, "cells": len(pairs.corpus)},
            noise=harmed.note,
            knowledge=list(tables),
            descriptions=told_of(pairs.descriptions),
        ),
    }


def told_of(descriptions: Sequence[Description]) -> dict[str, Any]:
    """Count the descriptions by writer, and list the sources that their sentences cite."""
    cited = {piece.source for each in descriptions for sentence in each.sentences for piece in sentence.evidence}
    return {
        "profiles": len(descriptions),
        "enriched": sum(bool(each.original) and each.outcome == "written" for each in descriptions),
        "writers": dict(sorted(Counter(each.writer for each in descriptions).items())),
        "prompts": sorted({each.prompt for each in descriptions} - {""}),
        "sources": sorted(cited - {"metadata"}),
    }
