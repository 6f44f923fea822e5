"""Model card, written into the model folder."""

from typing import Any

from okrcell.model.signatures import SignatureHead
from okrcell.training.settings import PretrainSettings

CARD_TEMPLATE = """# {title}

A dual encoder of single-cell transcriptomes and text: cells and sentences become unit vectors of length {dim} in one space,
and matching cells and texts have a high cosine similarity. An open implementation of the method described in OKR-CELL
(arXiv 2601.05648), objective `{preset}`{deviations}; not the authors' model, and no claim to reproduce their figures.

## Training data

{cells:,} cells of {studies} studies ({texts:,} of them with a cell type, {types} types), with texts of the {writers} writer
from {sources}{mix}. This folder contains weights only, no cells of these studies.
The names of the studies and donors are in `model.json`, under `seen`: check your data for overlap before you trust a score.

## Training

{steps:,} steps of {batch} pairs, seed {seed}; {alignment} with {partners} partners{noise}, GEP {gene:g}, GEPC {cell:g}.
Cell encoder: {encoder}. Text encoder: {text}, {adapted}.

Validation: {note}

{metrics}
{signatures}
## Limitations

The model covers human genes and the tissues of its corpus; {unseen}. Its
confidence is calibrated on {calibrated} of studies held out in turn, which may be more similar to its corpus than your cells
are. It is not for diagnosis.
"""

SIGNATURES_TEMPLATE = """
## Gene signatures of texts

The model stores signatures of {types:,} cell types, with genes that count for and against each type: {from_tables:,} from
marker tables ({tables}), without rows derived from atlases that benchmarks use, and {from_cells:,} from how their cells
differ from the other types of their studies. Any other text is mapped to a mixture of the nearest stored texts. Studies
excluded because their labels contradict what is known of the types: {dropped}. Signature scores and similarities are combined
with similarity weight {weight:g}; cells are compared with the background of the corpus and, if available, of the sample. This
folder contains weights only, no marker table.
"""


def model_card(settings: PretrainSettings, facts: dict[str, Any], signatures: SignatureHead | None = None) -> str:
    """Return the model card of a run, Markdown, from its settings, `run_facts` and signatures."""
    training_data, descriptions = facts["seen"], facts["receipt"]["descriptions"]
    encoder = settings.model.cell_encoder
    calibration = facts.get("calibration", {})
    second_stage = (settings.schedule.steps or settings.schedule.epochs)[1] > 0
    metrics = "\n".join(
        f"- {name.replace('_', ' ')}: {value:.4f}"
        for name, value in facts["validation"].items()
        if isinstance(value, float)
    )
    return CARD_TEMPLATE.format(
        title=settings.title,
        dim=settings.model.dim or "the text encoder's width",
        preset=settings.objective.preset,
        deviations="".join(f", {name} {value}" for name, value in settings.objective.deviations.items()),
        cells=training_data["cells"],
        studies=len(training_data["studies"]),
        texts=training_data["cells_with_text"],
        writers=" and ".join(descriptions["writers"]),
        sources=", ".join(descriptions["sources"]) or "metadata alone",
        mix=f", {descriptions['enriched']:,} of {descriptions['profiles']:,} enriched, mix `{settings.texts.mix}`"
        if descriptions["enriched"]
        else "",
        types=len(training_data["cell_types"]),
        steps=facts["receipt"]["steps"],
        batch=settings.stream.batch_size,
        seed=settings.seed,
        alignment=settings.objective.alignment,
        partners=settings.objective.partners.same_type,
        noise=f" ({facts['receipt']['noise']})" if settings.noise.rate else "",
        gene=settings.objective.gene_weight,
        cell=settings.objective.cell_weight,
        encoder=f"{encoder.kind}, {encoder.blocks} blocks of width {encoder.width}, {settings.model.tokeniser.limit} genes",
        text=settings.model.text_encoder.name,
        adapted=f"its layer `{settings.model.text_encoder.adapt}` trained" if second_stage else "frozen",
        note=facts["validation"]["note"],
        metrics=metrics,
        signatures="" if signatures is None else _signatures_section(facts, signatures),
        unseen="a type without training cells is matched by its text alone"
        if signatures is None
        else "a type without training cells is matched by its marker genes, or by its text alone",
        calibrated=f"{calibration['cells']:,} cells" if calibration else "no cells",
    )


def _signatures_section(facts: dict[str, Any], signatures: SignatureHead) -> str:
    calibration = facts.get("calibration", {})
    return SIGNATURES_TEMPLATE.format(
        types=len(signatures.types),
        from_tables=int((signatures.knowledge.getnnz(axis=1) > 0).sum()),
        tables=", ".join(table.split(", sha256")[0] for table in facts["receipt"]["knowledge"]) or "none",
        from_cells=int((signatures.cells.getnnz(axis=1) > 0).sum()),
        dropped=", ".join(calibration.get("labels_in_doubt", [])) or "none",
        weight=calibration.get("similarity_weight", 0.0),
    )
