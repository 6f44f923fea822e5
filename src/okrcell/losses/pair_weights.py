"""Weights of pairs: reliability (E9 to E11) with its history over epochs, and the curriculum (E15 to E19)."""

import math
from typing import Annotated, Literal

import torch
from jaxtyping import Bool, Float, Int
from pydantic import AliasChoices, Field
from torch import Tensor

from okrcell.settings import Settings, former_values

PAPER_N_KEYS = 448 + 4096
"""Number of keys in the paper's setting: pairs of a step over all devices, plus our size of the bank."""


class CurriculumSettings(Settings):
    """Progressive sample weighting (method 5.6, E15 to E19)."""

    use: bool = True
    """False: all pairs have equal weight."""
    start: Annotated[float, Field(gt=0)] = 2.0
    """Initial threshold on the difficulty [paper]."""
    end: Annotated[float, Field(gt=0)] = 10.0
    """Final threshold on the difficulty [paper]."""
    exponent: Annotated[float, Field(gt=0)] = 0.5
    """Exponent of the power law between them [paper]."""
    switch: Annotated[float, Field(ge=0, le=1)] = 0.2
    """Progress at which hard pairs change from down-weighted to up-weighted [paper]."""
    form: Literal["exponential", "cut"] = "exponential"
    """Weight of pairs above the threshold in the early phase. exponential: exp(threshold - difficulty) (our reconstruction);
    cut: 0."""
    weigh: Literal["negatives", "whole"] = "negatives"
    """What is weighted: the complementary part (the paper's introduction) or both parts (its method section)."""
    guard: Literal["none", "trust"] = "none"
    """trust: in the late phase the weight of a pair is proportional to its reliability. Without it a wrong pair, always
    among the hardest, is pushed away from its true text with double weight (method 5.7, row 1)."""
    scale: Literal["none", "keys"] = "none"
    """keys: the threshold is scaled by ln(keys) over ln(keys) of the paper's setting, since the difficulty at chance is
    ln(keys) (method 5.7, row 4)."""


def difficulty_threshold(progress: float, n_keys: int, settings: CurriculumSettings) -> float:
    """Difficulty, in nats, above which a pair counts as hard at ``progress`` in [0, 1].

    E15; our reconstruction, near certain.
    """
    unscaled = settings.start + (settings.end - settings.start) * progress**settings.exponent
    return unscaled * (math.log(max(n_keys, 2)) / math.log(PAPER_N_KEYS) if settings.scale == "keys" else 1.0)


@torch.no_grad()
def sample_weights(
    difficulty: Float[Tensor, "pair"],
    reliability: Float[Tensor, "pair"],
    progress: float,
    n_keys: int,
    settings: CurriculumSettings,
) -> Float[Tensor, "pair"]:
    """Weights of pairs by their difficulty, at least 0 with mean 1 (E17 to E19; our reconstruction, no gradient).

    Parameters
    ----------
    difficulty
        Mean cross-entropy of both directions, in nats (E16).
    reliability
        W of each pair, in [0, 1]; used only if ``settings.guard`` is ``trust``.
    """
    if not settings.use:
        return torch.ones_like(difficulty)
    gamma = difficulty_threshold(progress, n_keys, settings)
    if progress < settings.switch:
        suppressed = (gamma - difficulty).exp() if settings.form == "exponential" else torch.zeros_like(difficulty)
        weights = torch.where(difficulty <= gamma, 1.0, suppressed)
    else:
        weights = (1 + (difficulty - 1).clamp_min(0) / gamma).clamp_max(2)
        if settings.guard == "trust":
            weights = weights * reliability / reliability.max().clamp_min(1e-6)
    return weights / weights.mean().clamp_min(1e-6)


class ReliabilitySettings(Settings):
    """Reliability weights of pairs (method 5.2 and 5.3)."""

    use: bool = True
    """False: every pair has weight 1."""
    embeddings: Annotated[
        Literal["model", "ema"],
        Field(validation_alias=AliasChoices("embeddings", "judge")),
        former_values(twin="ema"),
    ] = "model"
    """Embeddings that r is computed from: the model's of this step, or its EMA copy's, which vary less (ours)."""
    symmetry: Literal["geometric", "mean", "harmonic", "minimum"] = "geometric"
    """Combination of the two directions (E9; our reconstruction. mean: as the code of CRCL, arXiv 2310.17468)."""
    sharpness: Annotated[float, Field(gt=0)] | Literal["temperature"] = 0.05
    """sigma: divisor of the similarities (our reconstruction), or the model's own temperature."""
    duplicates: Literal["ignore", "correct"] = "ignore"
    """Pairs of one cell type in a batch. ignore: they compete, so that "common" looks like "unreliable"
    (paper, as far as is known). correct: they count as one (method 5.2)."""
    weighting: Annotated[
        Literal["symmetry", "logistic"],
        Field(validation_alias=AliasChoices("weighting", "trust")),
        former_values(bet="logistic"),
    ] = "symmetry"
    """W as a function of r. symmetry: r itself (E11). logistic: 1 / (1 + (midpoint / r)^steepness), where the midpoint is
    ``chance_multiple`` times the probability of a random guess among the distinct cell types of the batch (ours). It is near
    1 for a pair far above chance, even a hard one, and near 0 below; r itself down-weights hard types along with wrong
    pairs."""
    chance_multiple: Annotated[float, Field(gt=0, validation_alias=AliasChoices("chance_multiple", "chance"))] = 8.0
    """With ``logistic``: the r at which W is 0.5, in multiples of a random guess; at most 0.5."""
    steepness: Annotated[float, Field(gt=0, validation_alias=AliasChoices("steepness", "power"))] = 8.0
    """With ``logistic``: steepness of W at that point."""
    key_filter: Annotated[Literal["all", "trusted"], Field(validation_alias=AliasChoices("key_filter", "keys"))] = "all"
    """Pairs that serve as keys of other pairs. all: every pair (paper). trusted: other pairs ignore a pair with W below 0.5,
    in the batch and in the bank (ours): its label may be another cell's."""
    warmup: Annotated[int, Field(ge=0)] = 0
    """Epochs in which every pair has weight 1 (`improved`: 1, method 5.7, row 2)."""
    min_reliable_fraction: Annotated[
        float, Field(ge=0, le=1, validation_alias=AliasChoices("min_reliable_fraction", "wake"))
    ] = 0.0
    """Reliability weights are 1 until at least this fraction of a batch has weight >= 0.5; from then on they are always used.
    0: used as soon as the warm-up is over (paper). A model early in training gives weight only to the commonest type, and
    would then learn nothing else (ours)."""
    stability: Literal["threshold", "smooth", "none"] = "threshold"
    """threshold: a pair whose r varies over epochs beyond the cutoff is down-weighted (E10). smooth: every pair is, the more
    its r varies beyond the mean."""
    cutoff: Annotated[float, Field(ge=0)] = 3.0
    """alpha_np: standard deviations above the mean spread [paper]."""
    combine: Literal["product", "minimum", "mean"] = "product"
    """Combination of stability and W (E11; product is our reconstruction)."""
    recorded_from: Annotated[int, Field(ge=1)] = 2
    """First epoch whose r is recorded [paper]."""
    stable_after: Annotated[int, Field(ge=1)] = 3
    """Stability is used in epochs after this one [paper]."""
    visits_per_epoch: Annotated[float, Field(gt=0)] = 1.0
    """Mean number of visits per pair that make an epoch of the reliability table: small corpora are seen many times, large
    ones once (method 5.3)."""


@torch.no_grad()
def match_probability(
    cells: Float[Tensor, "pair dim"],
    texts: Float[Tensor, "pair dim"],
    same_type: Bool[Tensor, "pair pair"],
    sharpness: Float[Tensor, ""] | float,
    settings: ReliabilitySettings,
) -> Float[Tensor, "pair"]:
    """Return r of each pair: the probability that cell and text choose each other, in [0, 1] (E9, our reconstruction).

    ``same_type`` marks pairs of one cell type. Only pairs of the batch are compared: an entry of a bank has no partner there.
    No gradient.
    """
    with torch.autocast(cells.device.type, enabled=False):
        similarity = cells.float() @ texts.float().T / sharpness
    if settings.duplicates == "ignore":
        to_text, to_cell = similarity.softmax(dim=1).diagonal(), similarity.softmax(dim=0).diagonal()
    else:
        n_same_type = same_type.sum(dim=1).float()
        # A text is weighted by 1 / (texts of its type), so that the softmax is one over distinct cell types.
        to_text = ((similarity - n_same_type.log()).softmax(dim=1) * same_type).sum(dim=1)
        to_cell = similarity.softmax(dim=0).diagonal() * n_same_type
    return _combine_directions(to_text.clamp(0, 1), to_cell.clamp(0, 1), settings.symmetry)


@torch.no_grad()
def reliability_weights(
    match_prob: Float[Tensor, "pair"],
    stability: Float[Tensor, "pair"],
    same_type: Bool[Tensor, "pair pair"],
    epoch: int,
    settings: ReliabilitySettings,
) -> Float[Tensor, "pair"]:
    """Return W, the reliability weight of each pair, in [0, 1] (E11).

    Parameters
    ----------
    match_prob
        r of each pair, or the mean of its records.
    stability
        v of each pair, in [0, 1]; used only in epochs after ``settings.stable_after``.
    epoch
        Counted from 1.
    """
    if not settings.use or epoch <= settings.warmup:
        return torch.ones_like(match_prob)
    weights = match_prob
    if settings.weighting == "logistic":
        n_types = n_distinct_types(same_type)
        if n_types < 2:
            # With a single cell type no text can be confused with another.
            return torch.ones_like(match_prob)
        midpoint = (settings.chance_multiple / n_types).clamp_max(0.5)
        # As a logistic function of logarithms, so that no power overflows.
        weights = torch.sigmoid(settings.steepness * (match_prob.clamp_min(1e-12) / midpoint).log())
    if settings.stability == "none" or epoch <= settings.stable_after:
        return weights
    match settings.combine:
        case "product":
            return weights * stability
        case "minimum":
            return torch.minimum(weights, stability)
        case "mean":
            return (weights + stability) / 2


def n_distinct_types(same_type: Bool[Tensor, "pair pair"]) -> Float[Tensor, ""]:
    """Number of distinct cell types of a batch; at least 1."""
    # Fractions such as 1/3 do not sum to 1 exactly in 32 bits.
    return (1 / same_type.sum(dim=1).clamp_min(1)).sum().round().clamp_min(1)


def _combine_directions(
    to_text: Tensor, to_cell: Tensor, symmetry: Literal["geometric", "mean", "harmonic", "minimum"]
) -> Tensor:
    match symmetry:
        case "geometric":
            return (to_text * to_cell).sqrt()
        case "mean":
            return (to_text + to_cell) / 2
        case "harmonic":
            return 2 * to_text * to_cell / (to_text + to_cell).clamp_min(1e-12)
        case "minimum":
            return torch.minimum(to_text, to_cell)


class ReliabilityHistory:
    """r of each pair in each epoch (the table Q of method 5.3).

    Several visits of a pair in one epoch are averaged. A record takes 16 bits and its number of visits 8: 32 million pairs
    over six epochs take 576 MB.
    """

    def __init__(self, n_pairs: int, n_epochs: int) -> None:
        self._record = torch.zeros(n_pairs, n_epochs, dtype=torch.float16)
        self._visits = torch.zeros(n_pairs, n_epochs, dtype=torch.uint8)
        self._spread_cache: tuple[int, float, float] = (0, 0.0, 0.0)

    def __len__(self) -> int:
        return len(self._record)

    @property
    def n_epochs(self) -> int:
        """Number of epochs that can be recorded; later visits count for the last one."""
        return self._record.shape[1]

    @property
    def visits(self) -> Int[Tensor, "pair epoch"]:
        """Number of recorded visits of each pair in each epoch; 255 means 255 or more."""
        return self._visits.int()

    def records(self, rows: Int[Tensor, "row"]) -> Float[Tensor, "row epoch"]:
        """Return the mean r of pairs in each epoch; NaN where a pair was not visited."""
        return self._record[rows].float().masked_fill(self._visits[rows] == 0, torch.nan)

    @torch.no_grad()
    def record(self, rows: Int[Tensor, "visit"], epoch: int, match_prob: Float[Tensor, "visit"]) -> None:
        """Add visits of ``epoch`` (from 1); a row may occur twice in a batch."""
        column = min(epoch, self.n_epochs) - 1
        rows, match_prob = rows.cpu(), match_prob.float().cpu()
        distinct_rows, row_index = rows.unique(return_inverse=True)
        sums = torch.zeros(len(distinct_rows)).index_add_(0, row_index, match_prob)
        counts = torch.zeros(len(distinct_rows)).index_add_(0, row_index, torch.ones(len(rows)))
        previous = self._visits[distinct_rows, column].float()
        mean = (self._record[distinct_rows, column].float() * previous + sums) / (previous + counts)
        self._record[distinct_rows, column] = mean.half()
        # Beyond 255 visits the mean is updated as if there had been 255.
        self._visits[distinct_rows, column] = (previous + counts).clamp_max(255).to(torch.uint8)

    @torch.no_grad()
    def stability(
        self, rows: Int[Tensor, "visit"], epoch: int, settings: ReliabilitySettings
    ) -> Float[Tensor, "visit"]:
        """Return v of each row, in [0, 1], from the records of epochs before ``epoch`` (E10, our reconstruction).

        The spread q of a pair is the standard deviation of its records; mu and s are the mean and the standard deviation
        of q over all pairs. A pair with fewer than two records counts as stable.
        """
        spread = self._spread(rows.cpu(), epoch)
        mean, deviation = self._spread_statistics(epoch)
        excess = (spread - mean).nan_to_num().clamp_min(0)
        weights = torch.exp(-(excess**2) / (2 * max(deviation, 1e-6) ** 2))
        if settings.stability == "threshold":
            weights = torch.where(excess <= settings.cutoff * deviation, 1.0, weights)
        return weights.to(rows.device)

    def state_dict(self) -> dict[str, Tensor]:
        """Return all tensors needed to resume."""
        return {"record": self._record, "visits": self._visits}

    def load_state_dict(self, state_dict: dict[str, Tensor]) -> None:
        """Restore the output of `state_dict`.

        Raises
        ------
        KeyError
            If an entry is missing.
        """
        self._record.copy_(state_dict["record"])
        self._visits.copy_(state_dict["visits"])
        self._spread_cache = (0, 0.0, 0.0)

    def _spread(self, rows: Tensor | slice, epoch: int) -> Tensor:
        """Standard deviation of records before ``epoch``; NaN with fewer than two."""
        visited = self._visits[rows, : max(epoch - 1, 0)] > 0
        record = self._record[rows, : max(epoch - 1, 0)].float() * visited
        count = visited.sum(dim=1)
        mean = record.sum(dim=1) / count.clamp_min(1)
        variance = (((record - mean[:, None]) * visited) ** 2).sum(dim=1) / count.clamp_min(1)
        return variance.sqrt().masked_fill(count < 2, torch.nan)

    def _spread_statistics(self, epoch: int) -> tuple[float, float]:
        """Return mu and s over all pairs, computed once per epoch: records of earlier epochs do not change."""
        if self._spread_cache[0] != epoch:
            spread = self._spread(slice(None), epoch)
            observed = spread[~spread.isnan()]
            deviation = observed.std(correction=0).item() if len(observed) else 0.0
            self._spread_cache = (epoch, observed.mean().item() if len(observed) else 0.0, deviation)
        return self._spread_cache[1:]
