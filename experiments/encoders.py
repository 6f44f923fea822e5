"""Throughput of the full and the latent cell encoder, by number of genes.

    python experiments/encoders.py

Input: random tokens; shapes are those of configs/paper.yaml (full) and configs/transformer.yaml (latent). Both encoders are
timed in turn in one process, so that their ratio is comparable on a busy machine.
"""

import argparse
import statistics
import time
from pathlib import Path

import torch
import yaml

from okrcell.cells.tokenizer import CellTokens
from okrcell.model.cell_encoder import CellEncoderSettings, build_cell_encoder

N_GENES, N_BINS, N_CELLS = 20_000, 51, 32
CONFIGS = Path(__file__).parent.parent / "configs"


def main() -> None:
    """Print cells per second of both encoders, median of the repeats, and the range of their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    encoders = {name: _encoder(name) for name in ("paper", "transformer")}
    print(f"{torch.get_num_threads()} threads, batches of {N_CELLS} cells, {args.repeats} repeats")
    print("| genes a cell | full (paper) cells/s | latent (transformer) cells/s | ratio, lowest - highest |")
    print("|---|---|---|---|")
    for genes in (128, 384, 1200):
        torch.manual_seed(0)
        cells = CellTokens(torch.randint(1, N_GENES, (N_CELLS, genes)), torch.randint(1, N_BINS, (N_CELLS, genes)))
        speed = {name: [] for name in encoders}
        for repeat in range(args.repeats + 1):
            for name, encoder in encoders.items():
                start = time.perf_counter()
                with torch.inference_mode():
                    encoder(cells)
                if repeat:
                    speed[name].append(N_CELLS / (time.perf_counter() - start))
        ratios = [latent / full for full, latent in zip(speed["paper"], speed["transformer"], strict=True)]
        full, latent = (statistics.median(speed[name]) for name in ("paper", "transformer"))
        print(f"| {genes:,} | {full:,.0f} | {latent:,.0f} | {min(ratios):.1f} - {max(ratios):.1f} |")


def _encoder(config: str) -> torch.nn.Module:
    settings = yaml.safe_load((CONFIGS / f"{config}.yaml").read_text())["model"]["cell_encoder"]
    return build_cell_encoder(CellEncoderSettings(**settings), n_genes=N_GENES, n_bins=N_BINS).eval()


if __name__ == "__main__":
    main()
