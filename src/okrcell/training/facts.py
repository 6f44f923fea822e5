"""What a model remembers of its making."""

from typing import Any

from okrcell.pairs.pair import Pairs
from okrcell.pairs.split import Split
from okrcell.provenance import receipt
from okrcell.training.settings import PretrainSettings


def run_facts(
    settings: PretrainSettings, pairs: Pairs, sides: Split, steps: int, validation: dict[str, float]
) -> dict[str, Any]:
    """Tell what was seen in learning, how it went, and with what.

    Studies and donors are told so that a later score can be read beside their overlap with the data it was made on; cell
    types, so that "never seen" can be checked.
    """
    obs = pairs.corpus.obs.iloc[sides.train]
    donors = (obs["study"].astype(str) + " | " + obs["donor"].astype(str)).where(obs["donor"].astype(str) != "")
    kinds = pairs.cell_type[pairs.description[sides.train]]
    seen = sorted({pairs.cell_type_names[number] for number in set(kinds.tolist()) if number >= 0})
    return {
        "title": settings.title,
        "preset": settings.preset,
        "seen": {
            "cells": len(sides.train),
            "cells_with_text": int((kinds >= 0).sum()),
            "studies": sorted(obs["study"].astype(str).unique().tolist()),
            "donors": sorted(donors.dropna().unique().tolist()),
            "cell_types": seen,
        },
        "validation": {**validation, "note": sides.note, "groups": list(sides.groups)},
        "receipt": receipt(
            "pretrain",
            seed=settings.seed,
            steps=steps,
            # Where things lay on the maker's disk is nobody's business; what they held is in the fingerprint.
            settings=settings.model_dump(mode="json", exclude={"corpus", "output"}),
            corpus={"fingerprint": pairs.corpus.fingerprint, "cells": len(pairs.corpus)},
        ),
    }
