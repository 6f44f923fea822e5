"""Export of a finished run: model folder with its card, facts of the run, reliability table."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from okrcell.data.label_noise import NoisyDataset
from okrcell.data.split import Split
from okrcell.descriptions.description import Description
from okrcell.escaping import escape_markdown
from okrcell.model.cell_text_model import CellTextModel
from okrcell.model.checkpoint import Checkpoint, save_checkpoint
from okrcell.model.signatures import SignatureHead
from okrcell.provenance import provenance_record
from okrcell.storage import atomic_file
from okrcell.training.calibration import calibrate_similarity
from okrcell.training.fit_signatures import fit_signatures
from okrcell.training.settings import PretrainSettings
from okrcell.training.setup import MODEL_DIR, RELIABILITY_FILE, RunInputs
from okrcell.training.state import TrainState

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
statements on marker genes, without rows derived from atlases that benchmarks use, and {from_cells:,} from how their cells
differ from the other types of their studies. Any other text is mapped to a mixture of the nearest stored texts. Studies
excluded because their labels contradict what is known of the types: {dropped}. Signature scores and similarities are combined
with similarity weight {weight:g}; cells are compared with the background of the corpus and, if available, of the sample.

`signatures.safetensors` holds {cell_weights:,} gene-type weights learned from cells, and {table_weights:,} computed from these
statements. Their sources are in `knowledge.source`, a bit mask in the order of `signature_sources` in `model.json`.{licences}
"""


def run_facts(
    settings: PretrainSettings,
    noisy_pairs: NoisyDataset,
    partition: Split,
    steps: int,
    validation: dict[str, float],
    tables: Sequence[str] = (),
) -> dict[str, Any]:
    """Return training data, validation losses and provenance of a run.

    Studies and donors are listed so that evaluation data can be checked for overlap; cell types, so that "never seen" can
    be checked. ``tables`` are the marker tables that were read.
    """
    pairs = noisy_pairs.dataset
    obs = pairs.corpus.obs.iloc[partition.train]
    donors = (obs["study"].astype(str) + " | " + obs["donor"].astype(str)).where(obs["donor"].astype(str) != "")
    with_text = partition.train[pairs.has_text[partition.train]]
    cell_types = pairs.cell_type[pairs.description[with_text]]
    seen_types = sorted({pairs.cell_type_names[i] for i in set(cell_types.tolist()) if i >= 0})
    return {
        "title": settings.title,
        "preset": settings.objective.preset,
        "deviations": settings.objective.deviations,
        "seen": {
            "cells": len(partition.train),
            "cells_with_text": len(with_text),
            "studies": sorted(obs["study"].astype(str).unique().tolist()),
            "donors": sorted(donors.dropna().unique().tolist()),
            "cell_types": seen_types,
            "left_out_types": list(partition.left_out_types),
        },
        "validation": {**validation, "note": partition.note, "groups": list(partition.groups)},
        "receipt": provenance_record(
            "pretrain",
            seed=settings.seed,
            steps=steps,
            # Local paths are private; the fingerprint covers the content.
            settings=settings.model_dump(
                mode="json",
                exclude={"corpus": True, "output": True, "texts": {"descriptions"}, "knowledge": {"folder"}},
            ),
            corpus={"fingerprint": pairs.corpus.fingerprint, "cells": len(pairs.corpus)},
            noise=noisy_pairs.note,
            knowledge=list(tables),
            descriptions=describe_sources(pairs.descriptions),
        ),
    }


def describe_sources(descriptions: Sequence[Description]) -> dict[str, Any]:
    """Count the descriptions by writer, and list the sources that their sentences cite."""
    cited = {
        record.source
        for description in descriptions
        for sentence in description.sentences
        for record in sentence.evidence
    }
    return {
        "profiles": len(descriptions),
        "enriched": sum(
            bool(description.original) and description.outcome == "written" for description in descriptions
        ),
        "writers": dict(sorted(Counter(description.writer for description in descriptions).items())),
        "prompts": sorted({description.prompt for description in descriptions} - {""}),
        "sources": sorted(cited - {"metadata"}),
    }


def save_reliability(path: Path, state: TrainState, noisy_pairs: NoisyDataset, rows: NDArray[np.int64]) -> None:
    """Write one row per training pair, atomically (Parquet).

    Columns: ``row`` (of the corpus), ``study``, ``cell_type`` (Cell Ontology id, or the author's label, of the text it was
    paired with), ``visits`` (number recorded), ``trust`` (W at the last visit, in [0, 1]), ``wrong`` (whether noise made the
    pair wrong; absent without noise), ``epoch_1`` ... (r, in [0, 1]; NaN where it was not visited or not recorded).
    """
    pairs = noisy_pairs.dataset
    rows = rows[pairs.has_text[rows]]
    cell_type = pairs.cell_type[pairs.description[rows]]
    names = np.array(pairs.cell_type_names, dtype=object)
    row_index = torch.from_numpy(rows)
    table = pd.DataFrame(
        {
            "row": rows,
            "study": pairs.corpus.obs["study"].iloc[rows].astype(str).to_numpy(),
            "cell_type": names[cell_type],
            "visits": state.history.visits[row_index].sum(dim=1).numpy(),
            "trust": state.last_weights[row_index].numpy(),
        }
    )
    if noisy_pairs.is_noisy.any():
        table["wrong"] = noisy_pairs.is_noisy[rows]
    records = state.history.records(row_index).numpy()
    for epoch in range(records.shape[1]):
        table[f"epoch_{epoch + 1}"] = records[:, epoch]
    with atomic_file(path) as draft:
        table.to_parquet(draft, index=False)


def model_card(settings: PretrainSettings, facts: dict[str, Any], signatures: SignatureHead | None = None) -> str:
    """Return the model card of a run, Markdown, from its settings, `run_facts` and signatures."""
    training_data, descriptions = facts["seen"], facts["receipt"]["descriptions"]
    calibration = facts.get("calibration", {})
    second_stage = (settings.schedule.steps or settings.schedule.epochs)[1] > 0
    metrics = "\n".join(
        f"- {name.replace('_', ' ')}: {value:.4f}"
        for name, value in facts["validation"].items()
        if isinstance(value, float)
    )
    return CARD_TEMPLATE.format(
        title=escape_markdown(settings.title),
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
        encoder=_encoder_words(settings),
        text=settings.model.text_encoder.name,
        adapted=f"its layer `{settings.model.text_encoder.adapt}` trained" if second_stage else "frozen",
        note=escape_markdown(facts["validation"]["note"]),
        metrics=metrics,
        signatures="" if signatures is None else _signatures_section(facts, signatures),
        unseen="a type without training cells is matched by its text alone"
        if signatures is None
        else "a type without training cells is matched by its marker genes, or by its text alone",
        calibrated=f"{calibration['cells']:,} cells" if calibration else "no cells",
    )


def _encoder_words(settings: PretrainSettings) -> str:
    encoder = settings.model.cell_encoder
    if encoder.kind == "linear":
        trained = "frozen" if encoder.frozen else "trained"
        return f"linear, one vector of length {encoder.width} per gene, {trained} after its start"
    return f"{encoder.kind}, {encoder.blocks} blocks of width {encoder.width}, {settings.model.tokeniser.limit} genes"


def _signatures_section(facts: dict[str, Any], signatures: SignatureHead) -> str:
    calibration = facts.get("calibration", {})
    return SIGNATURES_TEMPLATE.format(
        types=len(signatures.types),
        from_tables=int((signatures.knowledge.getnnz(axis=1) > 0).sum()),
        from_cells=int((signatures.cells.getnnz(axis=1) > 0).sum()),
        dropped=escape_markdown(", ".join(calibration.get("labels_in_doubt", []))) or "none",
        weight=calibration.get("similarity_weight", 0.0),
        table_weights=signatures.knowledge.nnz,
        cell_weights=signatures.cells.nnz,
        licences=_sources_table(facts.get("signature_sources", [])),
    )


def _sources_table(sources: Sequence[dict[str, Any]]) -> str:
    """Return a table of the sources of the weights with their licences, and what follows for sharing the model."""
    if not sources:
        return ""
    rows = "\n".join(
        f"| {source['name']} | {source['weights']:,} | {source['licence']} | {escape_markdown(source['snapshot'])} |"
        for source in sources
    )
    closed = [source["name"] for source in sources if not source["open"]]
    remark = (
        f"Not openly licensed: {', '.join(closed)}. Ask them before you share this model."
        if closed
        else "All of them are openly licensed."
    )
    header = "| source | weights | licence | version |\n|---|---|---|---|"
    return f" {remark}\nA weight with several sources counts for each.\n\n{header}\n{rows}"


def export_run(
    settings: PretrainSettings,
    inputs: RunInputs,
    noisy_pairs: NoisyDataset,
    model: CellTextModel,
    state: TrainState,
    steps: int,
    validation: dict[str, float],
) -> None:
    """Write the model folder with its card, and the reliability table if there is one."""
    if settings.objective.uses_reliability:
        save_reliability(settings.output / RELIABILITY_FILE, state, noisy_pairs, inputs.partition.train)
    facts = run_facts(
        settings,
        noisy_pairs,
        inputs.partition,
        steps,
        validation,
        () if inputs.markers is None else inputs.markers.tables,
    )
    if settings.objective.alignment != "none" and settings.calibrate:
        held_out = inputs.partition.validation
        facts["calibration"] = calibrate_similarity(
            model.eval().cpu(), inputs.pairs, held_out, inputs.tokenizer, settings.seed
        )
    signatures = None
    if settings.signatures:
        # Few-shot annotation and label transfer use similarities and need their temperature.
        similarity_temperatures = facts.get("calibration", {}).get("temperature_by_genes")
        signatures, signature_facts = fit_signatures(settings, inputs, model.eval().cpu())
        facts |= signature_facts
        if similarity_temperatures:
            facts["calibration"]["temperature_by_genes"] = similarity_temperatures
    checkpoint = Checkpoint(model.eval(), inputs.vocabulary, facts, settings.title, signatures)
    save_checkpoint(
        checkpoint, settings.output / MODEL_DIR, card=model_card(settings, facts, signatures), half=settings.half
    )
