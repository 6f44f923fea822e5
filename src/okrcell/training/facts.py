"""Facts of a run that ``model.json`` stores: training data, validation, provenance."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from okrcell.data.label_noise import NoisyDataset
from okrcell.data.split import Split
from okrcell.provenance import provenance_record
from okrcell.texts.description import Description
from okrcell.training.settings import PretrainSettings


def run_facts(
    settings: PretrainSettings,
    noisy_pairs: NoisyDataset,
    partition: Split,
    steps: int,
    validation: dict[str, float],
    tables: Sequence[str] = (),
) -> dict[str, Any]:
    """Return training data, validation losses and provenance of a run.

    Studies and donors are listed so that evaluation data can be checked for overlap; cell types, so that "never seen" can
    be checked. ``tables`` are the marker tables that were read.
    """
    pairs = noisy_pairs.dataset
    obs = pairs.corpus.obs.iloc[partition.train]
    donors = (obs["study"].astype(str) + " | " + obs["donor"].astype(str)).where(obs["donor"].astype(str) != "")
    with_text = partition.train[pairs.has_text[partition.train]]
    cell_types = pairs.cell_type[pairs.description[with_text]]
    seen_types = sorted({pairs.cell_type_names[i] for i in set(cell_types.tolist()) if i >= 0})
    return {
        "title": settings.title,
        "preset": settings.objective.preset,
        "deviations": settings.objective.deviations,
        "seen": {
            "cells": len(partition.train),
            "cells_with_text": len(with_text),
            "studies": sorted(obs["study"].astype(str).unique().tolist()),
            "donors": sorted(donors.dropna().unique().tolist()),
            "cell_types": seen_types,
            "left_out_types": list(partition.left_out_types),
        },
        "validation": {**validation, "note": partition.note, "groups": list(partition.groups)},
        "receipt": provenance_record(
            "pretrain",
            seed=settings.seed,
            steps=steps,
            # Local paths are private; the fingerprint covers the content.
            settings=settings.model_dump(
                mode="json",
                exclude={"corpus": True, "output": True, "texts": {"descriptions"}, "knowledge": {"folder"}},
            ),
            corpus={"fingerprint": pairs.corpus.fingerprint, "cells": len(pairs.corpus)},
            noise=noisy_pairs.note,
            knowledge=list(tables),
            descriptions=describe_sources(pairs.descriptions),
        ),
    }


def describe_sources(descriptions: Sequence[Description]) -> dict[str, Any]:
    """Count the descriptions by writer, and list the sources that their sentences cite."""
    cited = {
        record.source
        for description in descriptions
        for sentence in description.sentences
        for record in sentence.evidence
    }
    return {
        "profiles": len(descriptions),
        "enriched": sum(
            bool(description.original) and description.outcome == "written" for description in descriptions
        ),
        "writers": dict(sorted(Counter(description.writer for description in descriptions).items())),
        "prompts": sorted({description.prompt for description in descriptions} - {""}),
        "sources": sorted(cited - {"metadata"}),
    }
