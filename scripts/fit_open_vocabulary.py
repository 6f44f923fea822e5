"""Choose the weights of annotation without candidates on the studies of a corpus, each with signatures fitted without it.

    python scripts/fit_open_vocabulary.py CORPUS --config configs/mini.yaml --knowledge KNOWLEDGE --model MODEL

Each weight is varied in turn (coordinate search); the criterion is the mean over studies of the fraction of cells that get the
true type, its parent or its child. The coefficients of the confidence are then fitted to whether the type is right or broader.
The values are written to ``model.json`` of the folder MODEL, under ``calibration.open_vocabulary``.
"""

import argparse
import copy
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from recalibrate import read_known_types, read_settings, write_calibration
from scipy import sparse

from okrcell.cells.expression import Expression
from okrcell.errors import InputError
from okrcell.metrics.annotation import ontology_relation, relation_fractions
from okrcell.model.embedder import Embedder, load
from okrcell.model.marker_scores import log_odds
from okrcell.ontology.obs_profile import read_profiles
from okrcell.tasks.confidence import best_probability
from okrcell.tasks.open_vocabulary import OpenVocabularyPrediction, OpenVocabularyWeights, annotate_open_vocabulary
from okrcell.training.calibration import fit_logistic
from okrcell.training.cell_type_profiles import KnownTypes
from okrcell.training.held_out_studies import HeldOutStudy, as_expression

GRID: dict[str, tuple[float, ...]] = {
    "similarity": (0.0, 2.0, 5.0, 10.0),
    "temperature": (1.0, 1.5, 2.5),
    "prior": (0.5, 0.75, 1.5),
}
"""Values that are tried."""


class Trial:
    """A study with the model whose signatures were fitted without it."""

    def __init__(self, study: HeldOutStudy, known_types: KnownTypes, model: Embedder, tissue: str) -> None:
        self.name, self.tissue = study.name, tissue
        self.truth = np.array([study.types[i] if i >= 0 else "" for i in study.truth.tolist()])
        self._expression: Expression = as_expression(study.rows)
        self._model = copy.copy(model)
        knowledge, cells = known_types.parts(study.group)
        if model.signatures is None:
            raise InputError(f"The model {model.name} has no signatures.")
        self._model.signatures = replace(
            model.signatures, knowledge=sparse.csr_matrix(knowledge), cells=sparse.csr_matrix(cells)
        )
        self._vectors = model.embed_cells(self._expression)

    def predict(self, weights: OpenVocabularyWeights) -> tuple[OpenVocabularyPrediction, NDArray[np.str_]]:
        """Annotate the study; return the prediction, and the id of each cell's type."""
        self._model.facts = {**self._model.facts, "calibration": {"open_vocabulary": asdict(weights)}}
        found = annotate_open_vocabulary(self._expression, self._model, self.tissue, vectors=self._vectors)
        ids = np.array([candidate.term_id for candidate in found.candidates])
        return found, np.where(np.isnan(found.scores[:, 0]), "", ids[found.prediction.best_idx])

    def score(self, weights: OpenVocabularyWeights) -> float:
        """Fraction of the cells with a true type that get it, its parent or its child."""
        _, label = self.predict(weights)
        scored = self.truth != ""
        return relation_fractions(self.truth[scored], label[scored])["within_one_step"]


def main() -> None:
    """Print the scores of all values tried, and write the weights to ``model.json``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--knowledge", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    options = parser.parse_args()
    trials = list(read_trials(options.corpus, options.config, options.knowledge, load(options.model)))
    weights = search(trials)
    top, bias = fit_confidence(trials, weights)
    weights = replace(weights, top=top, bias=bias)
    print(f"{weights}\nstudies: {', '.join(trial.name for trial in trials)}")
    write_calibration(options.model, {"open_vocabulary": asdict(weights)})


def read_trials(corpus: Path, config: Path, knowledge: Path, model: Embedder) -> Iterator[Trial]:
    """Yield a trial for each study that can be held out."""
    pairs, known_types, studies = read_known_types(read_settings(config, corpus, knowledge), model)
    for study in studies:
        profiles = read_profiles(pairs.corpus.obs.iloc[study.corpus_rows[:1]])
        yield Trial(study, known_types, model, profiles.distinct[0].tissue_id)


def search(trials: list[Trial]) -> OpenVocabularyWeights:
    """Vary one weight after the other; keep the value with the highest mean score."""
    best = OpenVocabularyWeights(similarity=2.0)
    best_score = float(np.mean([trial.score(best) for trial in trials]))
    print(f"{best}: {best_score:.4f}", flush=True)
    for name, values in GRID.items():
        for value in values:
            weights = replace(best, **{name: value})
            if value != getattr(best, name):
                score = float(np.mean([trial.score(weights) for trial in trials]))
                print(f"{name} {value:g}: {score:.4f}", flush=True)
                if score > best_score:
                    best, best_score = weights, score
    return best


def fit_confidence(trials: list[Trial], weights: OpenVocabularyWeights) -> tuple[float, float]:
    """Fit coefficient and intercept of the confidence: whether a type is right or broader, all studies with equal weight."""
    odds: list[NDArray[np.floating]] = []
    right: list[NDArray[np.bool_]] = []
    weight: list[NDArray[np.float64]] = []
    for trial in trials:
        found, label = trial.predict(weights)
        scored = np.flatnonzero((trial.truth != "") & (label != ""))
        odds.append(log_odds(best_probability(found.probability[scored], found.candidates)))
        pairs = zip(trial.truth[scored].tolist(), label[scored].tolist(), strict=True)
        right.append(np.array([ontology_relation(true, given) in ("right", "broader") for true, given in pairs]))
        weight.append(np.full(len(scored), 1 / max(len(scored), 1)))
    top, bias = fit_logistic(np.concatenate(odds)[:, None], np.concatenate(right), np.concatenate(weight))
    return top, bias


if __name__ == "__main__":
    main()
