"""The page that travels with a model."""

from typing import Any

from okrcell.model.signature_head import SignatureHead
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
{signatures}
## What it cannot do

It knows human genes and the tissues it has seen; {unseen}. Its
confidence is calibrated on {calibrated} of studies left out in turn, which may be nearer to its corpus than your cells are. It
does not diagnose.
"""

SIGNATURES = """
## Which genes a text predicts

Of {types:,} cell types the model knows by heart which genes speak for and against them: {told:,} from marker tables
({tables}), without rows that were made from atlases which benchmarks use, and {shown:,} from how their cells differed from the
others of their studies. Other words are read by the nearest known texts. Not learned from, because their labels contradict
what is known of the types: {doubt}. Fused with similarity at weight {weight:g}; cells are compared with the corpus and, where a
sample is given, with the sample. No marker table is in this folder, only weights.
"""


def model_card(settings: PretrainSettings, facts: dict[str, Any], signatures: SignatureHead | None = None) -> str:
    """Write the card of a run, Markdown, from its settings, `run_facts` and what texts predict."""
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
        signatures="" if signatures is None else _of_signatures(facts, signatures),
        unseen="a type it has never seen as cells is placed by its words alone"
        if signatures is None
        else "a type it has never seen as cells is placed by its marker genes, or by its words alone",
        calibrated=f"{calibration['cells']:,} cells" if calibration else "no cells",
    )


def _of_signatures(facts: dict[str, Any], signatures: SignatureHead) -> str:
    calibration = facts.get("calibration", {})
    return SIGNATURES.format(
        types=len(signatures.types),
        told=int((signatures.knowledge.getnnz(axis=1) > 0).sum()),
        tables=", ".join(table.split(", sha256")[0] for table in facts["receipt"]["knowledge"]) or "none",
        shown=int((signatures.cells.getnnz(axis=1) > 0).sum()),
        doubt=", ".join(calibration.get("labels_in_doubt", [])) or "none",
        weight=calibration.get("similarity_weight", 0.0),
    )
