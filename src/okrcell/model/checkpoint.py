"""Save and load a model folder: JSON, safetensors, gene list and model card; no code in it is executed."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from okrcell.cells.genes import GeneVocabulary
from okrcell.errors import CheckpointError, SettingsError
from okrcell.model.cell_text_model import CellTextModel, ModelSettings, estimate_cell_parameters
from okrcell.model.signatures import SIGNATURES_FILE, SignatureHead
from okrcell.model.text_encoder import find_encoder
from okrcell.provenance import fingerprint
from okrcell.settings import parse_settings
from okrcell.storage import atomic_dir, recover_dir

FORMAT_VERSION = 1
MODEL_FILE, WEIGHTS_FILE, GENES_FILE, CARD_FILE = "model.json", "weights.safetensors", "genes.tsv", "README.md"
TEXT_PREFIX = "text_encoder."
FOLDER_FACTS = ("known_types", "signatures_sha256", "model_sha256", "sha256")
"""Facts about the files of one folder, which do not apply to a model that is saved again."""
MAX_MODEL_FILE_BYTES = 100_000_000
MAX_SIZE_RATIO = 10
"""Maximum ratio of the parameters that ``model.json`` describes to those that are saved."""
FACT_TYPES: dict[str, type] = {
    "settings": dict,
    "seen": dict,
    "calibration": dict,
    "known_types": list,
    "signature_sources": list,
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
    model.text_encoder.load()
    state_dict = model.state_dict()
    weights = {
        name: state_dict[name].detach().cpu().contiguous().to(torch.float16 if half else state_dict[name].dtype)
        for name in _saved_weight_names(model)
    }
    with atomic_dir(path) as draft:
        save_file(weights, draft / WEIGHTS_FILE)
        checkpoint.vocabulary.save(draft / GENES_FILE)
        (draft / CARD_FILE).write_text(card, encoding="utf-8")
        facts = {key: value for key, value in checkpoint.facts.items() if key not in FOLDER_FACTS}
        if checkpoint.signatures is not None:
            checkpoint.signatures.save(draft)
            facts |= {
                "known_types": list(checkpoint.signatures.types),
                "signatures_sha256": fingerprint(draft / SIGNATURES_FILE),
            }
        description = {
            "format": FORMAT_VERSION,
            "settings": model.settings.model_dump(mode="json"),
            **facts,
            "text_encoder_sha256": _encoder_fingerprint(model.settings.text_encoder.name),
            "weights_sha256": fingerprint(draft / WEIGHTS_FILE),
            "genes_sha256": fingerprint(draft / GENES_FILE),
        }
        description["sha256"] = description_sha256(description)
        (draft / MODEL_FILE).write_text(json.dumps(description, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Load a model folder on the CPU.

    Raises
    ------
    CheckpointError
        If the folder is missing, damaged, of another format, or was trained with another text encoder.
    """
    path = Path(path)
    recover_dir(path)
    description = _read_description(path)
    try:
        settings = parse_settings(ModelSettings, description["settings"], str(path / MODEL_FILE))
    except (KeyError, SettingsError) as error:
        raise CheckpointError(f"{path / MODEL_FILE} does not describe a model of this version: {error}") from None
    vocabulary = GeneVocabulary.load(path / GENES_FILE)
    if fingerprint(path / GENES_FILE) != description["genes_sha256"]:
        raise CheckpointError(
            f"{path / GENES_FILE} is not the gene list that the model was saved with. Fetch the model again."
        )
    weights = _load_weights(path / WEIGHTS_FILE, description.get("weights_sha256"))
    installed_sha256 = _encoder_fingerprint(settings.text_encoder.name)
    expected_sha256 = description.get("text_encoder_sha256")
    if expected_sha256 and installed_sha256 and installed_sha256 != expected_sha256:
        raise CheckpointError(
            f"{path} was trained on another {settings.text_encoder.name} than the one installed (sha256 "
            f"{expected_sha256[:12]}, seen {installed_sha256[:12]}). Install the version that the model card names."
        )
    try:
        _check_size(settings, len(vocabulary), weights, path)
        model = CellTextModel(settings, n_genes=len(vocabulary), lazy_text_encoder=True)
    except SettingsError as error:
        raise CheckpointError(f"{path / MODEL_FILE} does not describe a model of this version: {error}") from None
    _load_state(model, {name: tensor.float() for name, tensor in weights.items()}, path)
    facts = {key: value for key, value in description.items() if key not in {"format", "settings", "sha256"}}
    facts["model_sha256"] = fingerprint(path / MODEL_FILE)
    signatures = _load_signatures(path, facts, model, len(vocabulary)) if "signatures_sha256" in facts else None
    return Checkpoint(model.eval(), vocabulary, facts, path.resolve().name, signatures)


def _read_description(path: Path) -> dict[str, Any]:
    if not path.is_dir():
        raise CheckpointError(
            f"No model folder at {path}. Give a folder written by `okrcell pretrain`, or none for the bundled model."
        )
    files = [path / name for name in (MODEL_FILE, WEIGHTS_FILE, GENES_FILE, SIGNATURES_FILE)]
    special = next((file for file in files if file.exists() and not file.is_file()), None)
    if special is not None:  # a named pipe, for example, would be waited for
        raise CheckpointError(f"{special} is no regular file, so it is not opened. Fetch the model again.")
    model_file = path / MODEL_FILE
    if model_file.exists() and model_file.stat().st_size > MAX_MODEL_FILE_BYTES:
        raise CheckpointError(f"{model_file} is damaged: it has more than {MAX_MODEL_FILE_BYTES:,} bytes.")
    try:
        description = json.loads((path / MODEL_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path} is not a model folder: it has no {MODEL_FILE}.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path / MODEL_FILE} is damaged: {error}.") from None
    if not isinstance(description, dict) or description.get("format") != FORMAT_VERSION:  # pyright: ignore[reportUnknownMemberType]
        raise CheckpointError(
            f"{path / MODEL_FILE} is not of format {FORMAT_VERSION}, which this version of okrcell reads."
        )
    wrong_fields = [
        name
        for name, expected_type in FACT_TYPES.items()
        if not isinstance(description.get(name, expected_type()), expected_type)
    ]
    if wrong_fields or "genes_sha256" not in description:
        raise CheckpointError(
            f"{path / MODEL_FILE} is damaged: {(wrong_fields or ['genes_sha256'])[0]} is missing or has the wrong type."
        )
    # A model of an earlier version has no sha256 of its description.
    if description.get("sha256", description_sha256(description)) != description_sha256(description):
        raise CheckpointError(f"{model_file} changed after it was saved: its sha256 differs. Fetch the model again.")
    return cast(dict[str, Any], description)


def description_sha256(description: dict[str, Any]) -> str:
    """Sha256 of the content of ``model.json`` without this entry."""
    content = {key: value for key, value in description.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _load_signatures(path: Path, facts: dict[str, Any], model: CellTextModel, n_genes: int) -> SignatureHead:
    head = SignatureHead.load(path, [str(name) for name in facts.get("known_types", [])], n_genes)
    if fingerprint(path / SIGNATURES_FILE) != facts["signatures_sha256"]:
        raise CheckpointError(
            f"{path / SIGNATURES_FILE} changed after it was saved: its sha256 differs. Fetch the model again."
        )
    if head.key.shape[1] != model.text_encoder.width or head.vectors.shape[1] != model.dim:
        raise CheckpointError(
            f"{path / SIGNATURES_FILE} belongs to another model. The folder is mixed; fetch it again."
        )
    return head


def _load_weights(path: Path, expected_sha256: str | None) -> dict[str, Tensor]:
    try:
        weights = load_file(path)
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing. The model folder is incomplete; fetch it again.") from None
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} is damaged ({str(error).splitlines()[0]}). Fetch the model again.") from None
    if expected_sha256 and fingerprint(path) != expected_sha256:
        raise CheckpointError(f"{path} changed after it was saved: its sha256 differs. Fetch the model again.")
    return weights


def _check_size(settings: ModelSettings, n_genes: int, weights: dict[str, Tensor], path: Path) -> None:
    """Check that the model is about as large as the saved weights, before it takes memory."""
    n_parameters = estimate_cell_parameters(settings, n_genes)
    n_saved = sum(tensor.numel() for tensor in weights.values())
    if n_parameters > MAX_SIZE_RATIO * n_saved:
        described = f"{min(n_parameters, 10**30):.3g}"
        raise CheckpointError(
            f"{path / MODEL_FILE} describes a model of {described} parameters, but {WEIGHTS_FILE} has {n_saved:,}. The "
            "folder is damaged or mixed; fetch the model again."
        )


def _load_state(model: CellTextModel, weights: dict[str, Tensor], path: Path) -> None:
    """Set all weights of the model; those of the text encoder wait until it is loaded."""
    expected = _saved_shapes(model)
    if not _fits(expected, weights) and not model.text_encoder.is_loaded:
        # The encoder's file may list its weights under other names than the model has.
        model.text_encoder.load()
        expected = _saved_shapes(model)
    if not _fits(expected, weights):
        mismatched = [name for name, tensor in weights.items() if expected.get(name) != tensor.shape]
        missing = [name for name in expected if name not in weights]
        raise CheckpointError(
            f"{path / WEIGHTS_FILE} does not fit {MODEL_FILE}: {len(missing)} tensors are missing and {len(mismatched)} "
            f"have another shape (such as {(missing + mismatched)[0]}). The folder is damaged or mixed; fetch the model again."
        )
    text_names = [name for name in weights if name.startswith(TEXT_PREFIX)]
    model.text_encoder.load_adapted_weights({name.removeprefix(TEXT_PREFIX): weights.pop(name) for name in text_names})
    model.load_state_dict(weights, strict=False)


def _saved_shapes(model: CellTextModel) -> dict[str, torch.Size]:
    """Shapes of the saved weights, without loading the text encoder if its file lists them."""
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items() if not name.startswith(TEXT_PREFIX)}
    return shapes | {TEXT_PREFIX + name: shape for name, shape in model.text_encoder.adapted_shapes().items()}


def _fits(expected: dict[str, torch.Size], weights: dict[str, Tensor]) -> bool:
    return expected == {name: tensor.shape for name, tensor in weights.items()}


def _saved_weight_names(model: CellTextModel) -> list[str]:
    """Names of the saved weights: all except those of the text encoder that are never trained."""
    adapted = {TEXT_PREFIX + name for name, _ in model.text_encoder.named_adapted_parameters()}
    return [name for name in model.state_dict() if not name.startswith(TEXT_PREFIX) or name in adapted]


def _encoder_fingerprint(name: str) -> str:
    """The sha256 of the encoder's weights if they are on this disk, else ""."""
    weights = sorted(Path(find_encoder(name)).glob("*.safetensors"))
    return fingerprint(weights[0]) if weights else ""
