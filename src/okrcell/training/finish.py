"""Write the outputs of a finished run."""

from okrcell.model.cell_text_model import CellTextModel
from okrcell.model.checkpoint import Checkpoint, save_checkpoint
from okrcell.pairs.noise import Noisy
from okrcell.training.calibration import calibrate
from okrcell.training.card import model_card
from okrcell.training.facts import run_facts
from okrcell.training.ground import Ground
from okrcell.training.memory import Memory
from okrcell.training.reliability_file import save_reliability
from okrcell.training.settings import PretrainSettings
from okrcell.training.start import MODEL, RELIABILITY
from okrcell.training.text_to_genes import text_to_genes


def finish(
    settings: PretrainSettings,
    ground: Ground,
    harmed: Noisy,
    model: CellTextModel,
    memory: Memory,
    steps: int,
    validation: dict[str, float],
) -> None:
    """Write the model folder with its card, and the reliability table if there is one."""
    if settings.objective.judges:
        save_reliability(settings.output / RELIABILITY, memory, harmed, ground.sides.train)
    facts = run_facts(
        settings, harmed, ground.sides, steps, validation, () if ground.known is None else ground.known.tables
    )
    if settings.objective.alignment != "none" and settings.calibrate:
        held_out = ground.sides.validation
        facts["calibration"] = calibrate(model.eval().cpu(), ground.pairs, held_out, ground.tokeniser, settings.seed)
    signatures = None
    if settings.signatures:
        # Few-shot annotation and label transfer use similarities and need their temperature.
        similar = facts.get("calibration", {}).get("temperature_by_genes")
        signatures, learned = text_to_genes(settings, ground, model.eval().cpu())
        facts |= learned
        if similar:
            facts["calibration"]["temperature_by_genes"] = similar
    finished = Checkpoint(model.eval(), ground.vocabulary, facts, settings.title, signatures)
    save_checkpoint(finished, settings.output / MODEL, card=model_card(settings, facts, signatures), half=settings.half)
