"""The cell encoder goes on learning from a reference."""

import copy
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from scipy import sparse
from torch import nn

from okrcell.cells.expression import Expression
from okrcell.cells.samples.some_cells import some_cells
from okrcell.cells.tokenise import BinTokeniser
from okrcell.errors import InputError
from okrcell.model.cell_text_model import CellTextModel
from okrcell.model.checkpoint import Checkpoint
from okrcell.model.embedder import Embedder, Progress
from okrcell.tasks.auditing.other_cells import folds
from okrcell.tasks.candidates import candidate_vectors
from okrcell.tasks.confidence import temperature
from okrcell.tasks.examples.evenly import evenly
from okrcell.tasks.examples.fine_tuning_settings import FineTuningSettings
from okrcell.tasks.examples.learner import Learner
from okrcell.tasks.examples.words import Labels

Method = Literal["encoder", "lora"]


@dataclass(frozen=True)
class Tuned:
    """A model with a head that was tuned to a reference; the model it came from is as it was."""

    embedder: Embedder
    names: tuple[str, ...]
    weight: Float[np.ndarray, "dim name"] = field(repr=False)
    bias: Float[np.ndarray, "name"] = field(repr=False)
    learned_from: int
    """Cells that were learned from, the ones held out not counted."""
    losses: tuple[float, ...]
    """Cross-entropy of the cells held out, before learning and after each round."""
    learned: int
    """Numbers in the model that were free to change, those of the head not counted."""

    def logits(self, expression: Expression, progress: Progress | None = None) -> Float[np.ndarray, "cell name"]:
        """Return the logits of each name; NaN for a cell without expression."""
        return self.embedder.embed_cells(expression, progress) @ self.weight + self.bias


def fine_tune(
    reference: Expression,
    labels: Labels,
    embedder: Embedder,
    *,
    method: Method = "encoder",
    donors: NDArray[np.str_] | None = None,
    seed: int = 0,
    settings: FineTuningSettings | None = None,
) -> Tuned:
    """Tune a copy of the cell encoder, with a linear head that starts from the words of the labels.

    Cross-entropy, the rarer types weighing more (by the root of how rare); cells or donors held out tell when to stop, and
    the best round is kept: none, if none is better than the words alone. In memory are the rows learned from.

    Parameters
    ----------
    method
        encoder: the whole cell encoder and its projection learn. lora: only low-rank additions to its linear layers (Hu et
        al. 2021, arXiv 2106.09685), merged into them at the end.
    donors
        Donor of each cell of the reference.

    Raises
    ------
    MissingExtraError
        If ``peft`` is needed and not installed.
    InputError
        If no labelled cell has expression that the model knows.
    """
    settings = FineTuningSettings() if settings is None else settings
    rows, given, groups = _taught(reference, labels, embedder, donors, settings, seed)
    fold = folds(given, groups, np.random.default_rng(seed))
    out = _held_out(fold, given, settings.held_out, seed, whole=groups is not None and len(np.unique(groups)) >= 3)
    # What is drawn here must not move what is drawn elsewhere.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        # The text encoder is never tuned: it is shared, not copied.
        text_encoder = embedder.model.text_encoder
        model = copy.deepcopy(embedder.model, {id(text_encoder): text_encoder})
        tunable = _tunable(model, method, settings)
        divisor = temperature(embedder.facts, embedder.measured(reference))
        head = _head(candidate_vectors(labels.candidates, embedder) / divisor)
        tokeniser = BinTokeniser(model.settings.tokeniser, embedder.vocabulary, embedder.table)
        learner = Learner(model, head, tokeniser, rows, torch.from_numpy(given))
        # Where each type has one cell, nothing can be held out: then the cells learned from are all there is to go by.
        judges = np.flatnonzero(out) if out.any() else np.arange(len(out))
        rate = settings.lora_learning_rate if method == "lora" else settings.learning_rate
        losses = learner.learn(np.flatnonzero(~out), judges, tunable, rate, settings, seed)
        _merge(model)
    facts = {**embedder.facts, "weights_sha256": ""}
    named = Checkpoint(
        model.eval().requires_grad_(False), embedder.vocabulary, facts, f"{embedder.name}, tuned ({method})"
    )
    weight, bias = head.weight.detach().numpy().T.copy(), head.bias.detach().numpy().copy()
    free = sum(part.numel() for part in tunable)
    return Tuned(Embedder(named), labels.names, weight, bias, int((~out).sum()), tuple(losses), free)


def _taught(
    reference: Expression,
    labels: Labels,
    embedder: Embedder,
    donors: NDArray[np.str_] | None,
    settings: FineTuningSettings,
    seed: int,
) -> tuple[sparse.csr_matrix, NDArray[np.intp], NDArray[np.str_] | None]:
    """Read the rows to learn from: labelled, with a gene that the model knows."""
    token = embedder.vocabulary.tokens(embedder.table) > 0
    seen = np.concatenate([np.diff(block[:, token].indptr) > 0 for block in reference.blocks()] or [np.zeros(0, bool)])
    known = evenly(np.flatnonzero(seen & (labels.given >= 0)), labels.given, settings.most_cells, seed)
    if not len(known):
        raise InputError("None of the reference's labelled cells has expression that the model knows.")
    rows = sparse.csr_matrix(sparse.vstack(list(some_cells(reference, known)), format="csr"))
    return rows, labels.given[known], None if donors is None else np.asarray(donors, dtype=str)[known]


def _held_out(
    fold: NDArray[np.int64], given: NDArray[np.intp], share: float, seed: int, *, whole: bool
) -> NDArray[np.bool_]:
    """Choose the cells that tell when to stop: one fold of donors, or a share of each type; never all of a type."""
    out = fold == 0 if whole else np.random.default_rng(seed).random(len(given)) < share
    taught = np.bincount(given[~out], minlength=int(given.max()) + 1)
    out &= taught[given] > 0
    if not out.any():
        out[np.flatnonzero(np.bincount(given)[given] > 1)[:1]] = True
    return out


def _head(start: Float[np.ndarray, "name dim"]) -> nn.Linear:
    head = nn.Linear(start.shape[1], start.shape[0])
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(start))
        head.bias.zero_()
    return head


def _tunable(model: CellTextModel, method: Method, settings: FineTuningSettings) -> list[nn.Parameter]:
    """Free what may learn, and freeze the rest."""
    model.requires_grad_(False)
    if method == "lora":
        from okrcell.tasks.examples.adapters import with_adapters

        model.cell_encoder = with_adapters(model.cell_encoder, settings.rank)
    else:
        model.cell_encoder.requires_grad_(True)
        model.cell_projector.requires_grad_(True)
    return [part for part in model.parameters() if part.requires_grad]


def _merge(model: CellTextModel) -> None:
    from okrcell.tasks.examples.adapters import merged

    model.cell_encoder = merged(model.cell_encoder)
