"""History of r and its stability over epochs (E10)."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from okrcell.losses.pair_weights import ReliabilitySettings


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
