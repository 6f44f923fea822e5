"""Write the outputs of a finished run."""

from okrcell.model.cell_text_model import CellTextModel
from okrcell.model.checkpoint import Checkpoint, save_checkpoint
from okrcell.data.label_noise import NoisyDataset
from okrcell.training.calibration import calibrate_similarity
from okrcell.training.export import model_card
from okrcell.training.facts import run_facts
from okrcell.training.ground import RunInputs
from okrcell.training.state import TrainState
from okrcell.training.reliability_file import save_reliability
from okrcell.training.settings import PretrainSettings
from okrcell.training.setup import MODEL_DIR, RELIABILITY_FILE
from okrcell.training.fit_signatures import fit_signatures


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
