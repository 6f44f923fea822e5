"""History of r and its stability over epochs (E10)."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from okrcell.alignment.reliability import ReliabilitySettings


class ReliabilityTable:
    """r of each pair in each epoch (the table Q of method 5.3).

    Several visits of a pair in one epoch are averaged. A record takes 16 bits and its number of visits 8: 32 million pairs
    over six epochs take 576 MB.
    """

    def __init__(self, pairs: int, epochs: int) -> None:
        self._record = torch.zeros(pairs, epochs, dtype=torch.float16)
        self._visits = torch.zeros(pairs, epochs, dtype=torch.uint8)
        self._usual: tuple[int, float, float] = (0, 0.0, 0.0)

    def __len__(self) -> int:
        return len(self._record)

    @property
    def epochs(self) -> int:
        """Number of epochs that can be recorded; later visits count for the last one."""
        return self._record.shape[1]

    @property
    def visits(self) -> Int[Tensor, "pair epoch"]:
        """Number of recorded visits of each pair in each epoch; 255 means 255 or more."""
        return self._visits.int()

    def records_of(self, rows: Int[Tensor, "row"]) -> Float[Tensor, "row epoch"]:
        """Return the mean r of pairs in each epoch; NaN where a pair was not visited."""
        return self._record[rows].float().masked_fill(self._visits[rows] == 0, torch.nan)

    @torch.no_grad()
    def record(self, rows: Int[Tensor, "visit"], epoch: int, agreed: Float[Tensor, "visit"]) -> None:
        """Add visits of ``epoch`` (from 1); a row may occur twice in a batch."""
        column = min(epoch, self.epochs) - 1
        rows, agreed = rows.cpu(), agreed.float().cpu()
        distinct_rows, place = rows.unique(return_inverse=True)
        added = torch.zeros(len(distinct_rows)).index_add_(0, place, agreed)
        times = torch.zeros(len(distinct_rows)).index_add_(0, place, torch.ones(len(rows)))
        before = self._visits[distinct_rows, column].float()
        mean = (self._record[distinct_rows, column].float() * before + added) / (before + times)
        self._record[distinct_rows, column] = mean.half()
        # Beyond 255 visits the mean is updated as if there had been 255.
        self._visits[distinct_rows, column] = (before + times).clamp_max(255).to(torch.uint8)

    @torch.no_grad()
    def stability(
        self, rows: Int[Tensor, "visit"], epoch: int, settings: ReliabilitySettings
    ) -> Float[Tensor, "visit"]:
        """Return v of each row, in [0, 1], from the records of epochs before ``epoch`` (E10, our reconstruction).

        The spread q of a pair is the standard deviation of its records; mu and s are the mean and the standard deviation
        of q over all pairs. A pair with fewer than two records counts as stable.
        """
        spread = self._spread(rows.cpu(), epoch)
        middle, width = self._usual_spread(epoch)
        above = (spread - middle).nan_to_num().clamp_min(0)
        stable = torch.exp(-(above**2) / (2 * max(width, 1e-6) ** 2))
        if settings.stability == "threshold":
            stable = torch.where(above <= settings.cutoff * width, 1.0, stable)
        return stable.to(rows.device)

    def state(self) -> dict[str, Tensor]:
        """Return all tensors needed to resume."""
        return {"record": self._record, "visits": self._visits}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Restore the output of `state`.

        Raises
        ------
        KeyError
            If an entry is missing.
        """
        self._record.copy_(state["record"])
        self._visits.copy_(state["visits"])
        self._usual = (0, 0.0, 0.0)

    def _spread(self, rows: Tensor | slice, epoch: int) -> Tensor:
        """Standard deviation of records before ``epoch``; NaN with fewer than two."""
        there = self._visits[rows, : max(epoch - 1, 0)] > 0
        record = self._record[rows, : max(epoch - 1, 0)].float() * there
        count = there.sum(dim=1)
        mean = record.sum(dim=1) / count.clamp_min(1)
        variance = (((record - mean[:, None]) * there) ** 2).sum(dim=1) / count.clamp_min(1)
        return variance.sqrt().masked_fill(count < 2, torch.nan)

    def _usual_spread(self, epoch: int) -> tuple[float, float]:
        """Return mu and s over all pairs, computed once per epoch: records of earlier epochs do not change."""
        if self._usual[0] != epoch:
            spread = self._spread(slice(None), epoch)
            known = spread[~spread.isnan()]
            wide = known.std(correction=0).item() if len(known) else 0.0
            self._usual = (epoch, known.mean().item() if len(known) else 0.0, wide)
        return self._usual[1:]
