"""The page that travels with a model."""

from typing import Any

from okrcell.training.settings import PretrainSettings

CARD = """# {title}

A cell and a text meet in one space: single-cell transcriptomes and sentences become unit vectors of length {dim}, near when
they tell of the same cell. An open implementation of the method described in OKR-CELL (arXiv 2601.05648), objective
`{preset}`{deviations}; not the authors' model, and no claim to reproduce their figures.

## What it learned from

{cells:,} cells of {studies} studies ({texts:,} of them with a cell type, of {types} kinds), and what is said of them:
texts of the {writers} writer from {sources}{mix}. No cell of these studies is in this folder, only weights.
The names of the studies and donors are in `model.json`, under `seen`: compare them with your data before you believe a score.

## How

{steps:,} steps of {batch} pairs, seed {seed}; {alignment} with {partners} partners{noise}, GEP {gene:g}, GEPC {cell:g}.
Cell encoder: {encoder}. Text encoder: {text}, {adapted}.

Validation: {note}

{figures}

## What it cannot do

It knows human genes and the tissues it has seen; a type it has never seen as cells is placed by its words alone. Its
confidence is calibrated on {calibrated} of held-out studies, which may be nearer to its corpus than your cells are. It does
not diagnose.
"""


def model_card(settings: PretrainSettings, facts: dict[str, Any]) -> str:
    """Write the card of a run, Markdown, from its settings and `run_facts`."""
    seen, told = facts["seen"], facts["receipt"]["descriptions"]
    encoder = settings.model.cell_encoder
    calibration = facts.get("calibration", {})
    second_stage = (settings.schedule.steps or settings.schedule.epochs)[1] > 0
    figures = "\n".join(
        f"- {name.replace('_', ' ')}: {value:.4f}"
        for name, value in facts["validation"].items()
        if isinstance(value, float)
    )
    return CARD.format(
        title=settings.title,
        dim=settings.model.dim or "the text encoder's width",
        preset=settings.objective.preset,
        deviations="".join(f", {name} {value}" for name, value in settings.objective.deviations.items()),
        cells=seen["cells"],
        studies=len(seen["studies"]),
        texts=seen["cells_with_text"],
        writers=" and ".join(told["writers"]),
        sources=", ".join(told["sources"]) or "metadata alone",
        mix=f", {told['enriched']:,} of {told['profiles']:,} enriched, mix `{settings.texts.mix}`"
        if told["enriched"]
        else "",
        types=len(seen["cell_types"]),
        steps=facts["receipt"]["steps"],
        batch=settings.stream.batch_size,
        seed=settings.seed,
        alignment=settings.objective.alignment,
        partners=settings.objective.partners.alike,
        noise=f" ({facts['receipt']['noise']})" if settings.noise.rate else "",
        gene=settings.objective.gene_weight,
        cell=settings.objective.cell_weight,
        encoder=f"{encoder.kind}, {encoder.blocks} blocks of width {encoder.width}, {settings.model.tokeniser.limit} genes",
        text=settings.model.text_encoder.name,
        adapted=f"its layer `{settings.model.text_encoder.adapt}` trained" if second_stage else "frozen",
        note=facts["validation"]["note"],
        figures=figures,
        calibrated=f"{calibration['cells']:,} cells" if calibration else "no cells",
    )
