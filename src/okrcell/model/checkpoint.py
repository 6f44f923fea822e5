"""Save and load a model folder: JSON, safetensors, gene list and model card; no code in it is executed."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from okrcell.cells.vocabulary import GeneVocabulary
from okrcell.errors import CheckpointError, SettingsError
from okrcell.files import recover_folder, whole_folder
from okrcell.model.cell_text_model import CellTextModel, ModelSettings
from okrcell.model.signature_head import SIGNATURES, SignatureHead
from okrcell.model.text_encoder import find_encoder
from okrcell.provenance import fingerprint
from okrcell.settings import parse_settings

FORMAT = 1
MODEL, WEIGHTS, GENES, CARD = "model.json", "weights.safetensors", "genes.tsv", "README.md"
TEXT_PREFIX = "text_encoder."
OF_SIGNATURES = ("known_types", "signatures_sha256")
KINDS: dict[str, type] = {
    "settings": dict,
    "seen": dict,
    "calibration": dict,
    "known_types": list,
    "signatures_sha256": str,
    "weights_sha256": str,
    "genes_sha256": str,
    "text_encoder_sha256": str,
}
"""Required type of the entries of ``model.json``; a damaged or hostile file is rejected on loading."""


@dataclass(frozen=True)
class Checkpoint:
    """A model with everything needed to use it."""

    model: CellTextModel
    vocabulary: GeneVocabulary
    facts: dict[str, Any]
    """Training data (studies, donors, cell types), calibration, and provenance of the run (``receipt``)."""
    name: str = ""
    signatures: SignatureHead | None = None
    """Gene signatures of texts; None in a model trained without them."""


def save_checkpoint(checkpoint: Checkpoint, path: str | Path, *, card: str, half: bool = False) -> None:
    """Write the folder ``path`` atomically. The text encoder is named, not copied: only its trained weights are saved.

    Parameters
    ----------
    card
        The model card, Markdown.
    half
        Store 16-bit floats: half the size, relative precision of 0.05 %.
    """
    model = checkpoint.model
    state = model.state_dict()
    weights = {
        name: state[name].detach().cpu().contiguous().to(torch.float16 if half else state[name].dtype)
        for name in _own_names(model)
    }
    with whole_folder(path) as draft:
        save_file(weights, draft / WEIGHTS)
        checkpoint.vocabulary.save(draft / GENES)
        (draft / CARD).write_text(card, encoding="utf-8")
        # Facts of a loaded model about its signatures do not apply to the ones saved here.
        facts = {key: value for key, value in checkpoint.facts.items() if key not in OF_SIGNATURES}
        if checkpoint.signatures is not None:
            checkpoint.signatures.save(draft)
            facts |= {
                "known_types": list(checkpoint.signatures.types),
                "signatures_sha256": fingerprint(draft / SIGNATURES),
            }
        description = {
            "format": FORMAT,
            "settings": model.settings.model_dump(mode="json"),
            **facts,
            "text_encoder_sha256": _encoder_fingerprint(model.settings.text_encoder.name),
            "weights_sha256": fingerprint(draft / WEIGHTS),
            "genes_sha256": fingerprint(draft / GENES),
        }
        (draft / MODEL).write_text(json.dumps(description, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Load a model folder on the CPU.

    Raises
    ------
    CheckpointError
        If the folder is missing, damaged, of another format, or was trained with another text encoder.
    """
    path = Path(path)
    recover_folder(path)
    description = _described(path)
    try:
        settings = parse_settings(ModelSettings, description["settings"], str(path / MODEL))
    except (KeyError, SettingsError) as error:
        raise CheckpointError(f"{path / MODEL} does not describe a model of this version: {error}") from None
    vocabulary = GeneVocabulary.load(path / GENES)
    if fingerprint(path / GENES) != description["genes_sha256"]:
        raise CheckpointError(
            f"{path / GENES} is not the gene list that the model was saved with. Fetch the model again."
        )
    weights = _weights(path / WEIGHTS, description.get("weights_sha256"))
    seen = _encoder_fingerprint(settings.text_encoder.name)
    expected = description.get("text_encoder_sha256")
    if expected and seen and seen != expected:
        raise CheckpointError(
            f"{path} was trained on another {settings.text_encoder.name} than the one installed (sha256 "
            f"{expected[:12]}, seen {seen[:12]}). Install the version that the model card names."
        )
    try:
        model = CellTextModel(settings, genes=len(vocabulary))
    except SettingsError as error:
        raise CheckpointError(f"{path / MODEL} does not describe a model of this version: {error}") from None
    state = model.state_dict()
    wrong = [name for name, tensor in weights.items() if name not in state or state[name].shape != tensor.shape]
    missing = [name for name in _own_names(model) if name not in weights]
    if wrong or missing:
        raise CheckpointError(
            f"{path / WEIGHTS} does not fit {MODEL}: {len(missing)} tensors are missing and {len(wrong)} have another "
            f"shape (such as {(missing + wrong)[0]}). The folder is damaged or mixed; fetch the model again."
        )
    model.load_state_dict({name: tensor.float() for name, tensor in weights.items()}, strict=False)
    facts = {key: value for key, value in description.items() if key not in {"format", "settings"}}
    signatures = _signatures(path, facts, model, len(vocabulary)) if "signatures_sha256" in facts else None
    return Checkpoint(model.eval(), vocabulary, facts, path.resolve().name, signatures)


def _described(path: Path) -> dict[str, Any]:
    if not path.is_dir():
        raise CheckpointError(
            f"No model folder at {path}. Give a folder written by `okrcell pretrain`, or none for the bundled model."
        )
    try:
        description = json.loads((path / MODEL).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path} is not a model folder: it has no {MODEL}.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path / MODEL} is damaged: {error}.") from None
    if not isinstance(description, dict) or description.get("format") != FORMAT:  # pyright: ignore[reportUnknownMemberType]
        raise CheckpointError(f"{path / MODEL} is not of format {FORMAT}, which this version of okrcell reads.")
    wrong = [name for name, kind in KINDS.items() if not isinstance(description.get(name, kind()), kind)]
    if wrong or "genes_sha256" not in description:
        raise CheckpointError(
            f"{path / MODEL} is damaged: {(wrong or ['genes_sha256'])[0]} is missing or has the wrong type."
        )
    return cast(dict[str, Any], description)


def _signatures(path: Path, facts: dict[str, Any], model: CellTextModel, genes: int) -> SignatureHead:
    head = SignatureHead.load(path, [str(name) for name in facts.get("known_types", [])], genes)
    if fingerprint(path / SIGNATURES) != facts["signatures_sha256"]:
        raise CheckpointError(
            f"{path / SIGNATURES} changed after it was saved: its sha256 differs. Fetch the model again."
        )
    if head.key.shape[1] != model.text_encoder.width or head.vectors.shape[1] != model.dim:
        raise CheckpointError(f"{path / SIGNATURES} belongs to another model. The folder is mixed; fetch it again.")
    return head


def _weights(path: Path, expected: str | None) -> dict[str, Tensor]:
    try:
        weights = load_file(path)
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing. The model folder is incomplete; fetch it again.") from None
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} is damaged ({str(error).splitlines()[0]}). Fetch the model again.") from None
    if expected and fingerprint(path) != expected:
        raise CheckpointError(f"{path} changed after it was saved: its sha256 differs. Fetch the model again.")
    return weights


def _own_names(model: CellTextModel) -> list[str]:
    """Names of the saved weights: all except those of the text encoder that are never trained."""
    adapted = {TEXT_PREFIX + name for name, _ in model.text_encoder.adapted_by_name()}
    return [name for name in model.state_dict() if not name.startswith(TEXT_PREFIX) or name in adapted]


def _encoder_fingerprint(name: str) -> str:
    """The sha256 of the encoder's weights if they are on this disk, else ""."""
    weights = sorted(Path(find_encoder(name)).glob("*.safetensors"))
    return fingerprint(weights[0]) if weights else ""
