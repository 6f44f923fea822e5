"""CLIP-style dual encoder of cells and texts, with projectors and temperature."""

from dataclasses import dataclass
from typing import Annotated, Literal, Self

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from okrcell.cells.tokenizer import CellTokens, TokenizerSettings
from okrcell.errors import SettingsError
from okrcell.model.cell_encoder import CellEncoderSettings, CellStates, ExpressionDecoder, build_cell_encoder
from okrcell.model.text_encoder import TextEncoder, TextEncoderSettings, TextTokens
from okrcell.settings import Settings

MIN_TEMPERATURE = 0.01
"""Lower bound of the temperature (method 7.2, `improved`)."""
TEXT_EXPANSION = 4
"""Hidden units of the text projector of two layers, per unit of the text encoder's width."""


class ModelSettings(Settings):
    """Settings of the dual encoder.

    Defaults of the cell side are the paper's where it gives them; `configs/paper.yaml` holds the paper's full setting.
    """

    tokeniser: TokenizerSettings = TokenizerSettings()
    cell_encoder: CellEncoderSettings = CellEncoderSettings()
    text_encoder: TextEncoderSettings = TextEncoderSettings()
    projector: Literal["none", "linear", "mlp2"] = "mlp2"
    """From the cell encoder's width to the shared space. Our reconstruction: linear in `faithful`, two layers in `improved`;
    none for the linear encoder, whose states are in the shared space already (ours)."""
    text_projector: Literal["none", "linear", "mlp2"] = "linear"
    """The paper has none; a linear one lets frozen text vectors separate types (ours, `improved`), and two layers let different
    wordings of a type coincide (ours)."""
    dim: Annotated[int, Field(ge=2)] | None = None
    """Size of the shared embedding space; by default the text encoder's width (paper: 768)."""
    temperature: Annotated[float, Field(ge=MIN_TEMPERATURE)] = 0.05
    """tau, or its initial value if it is learned (our reconstruction, as in CRCL)."""
    learn_temperature: bool = True

    @model_validator(mode="after")
    def _check_encoder(self) -> Self:
        encoder = self.cell_encoder
        if (encoder.kind == "linear") != (self.tokeniser.kind == "expression"):
            raise ValueError(
                "the linear cell encoder needs the tokenizer of kind expression, and no other encoder can use it; seen: "
                f"cell_encoder.kind {encoder.kind}, tokeniser.kind {self.tokeniser.kind}"
            )
        if self.projector == "none" and self.dim != encoder.width:
            raise ValueError(f"without a projector, dim must be cell_encoder.width {encoder.width}; seen: {self.dim}")
        return self


@dataclass(frozen=True)
class MaskedCellOutput:
    """Model output for cells with hidden genes, as the objective needs it."""

    vector: Float[Tensor, "cell dim"]
    """Unit length: c_i of method E4."""
    state: Float[Tensor, "cell width"]
    """h_cls, the input of the projector."""
    gep: Float[Tensor, "cell hidden"]
    """GEP: value bins of the hidden genes predicted from their own states, as fractions of the number of bins."""
    gepc: Float[Tensor, "cell hidden"]
    """GEPC: the same, predicted from the cell state alone."""
    value: Int[Tensor, "cell hidden"] | Float[Tensor, "cell hidden"]
    """True value bins; linear expression with the linear encoder, which hides no gene."""
    hidden: Bool[Tensor, "cell hidden"]
    """False for padding, where a cell has fewer hidden genes than the maximum of the batch."""


class CellTextModel(nn.Module):
    """Cell encoder, text encoder and the projectors into one shared space (method 3)."""

    def __init__(self, settings: ModelSettings, *, n_genes: int, lazy_text_encoder: bool = False) -> None:
        super().__init__()
        self.settings = settings
        width = settings.cell_encoder.width
        self.cell_encoder = build_cell_encoder(settings.cell_encoder, n_genes=n_genes, n_bins=settings.tokeniser.bins)
        if settings.cell_encoder.frozen:
            self.cell_encoder.requires_grad_(False)
        self.decoder = ExpressionDecoder(width)
        self.text_encoder = TextEncoder(settings.text_encoder, lazy=lazy_text_encoder)
        text_width = self.text_encoder.width
        self.dim = settings.dim or text_width
        if settings.text_projector == "none" and self.dim != text_width:
            raise SettingsError(
                f"Without a text projector, dim must be the text encoder's width {text_width}; seen: {self.dim}."
            )
        self.cell_projector = _build_projector(width, self.dim, settings.projector)
        self.text_projector = _build_projector(
            text_width, self.dim, settings.text_projector, TEXT_EXPANSION * text_width
        )
        log_inverse_temperature = -torch.tensor(settings.temperature).log()
        self.log_sharpness = nn.Parameter(log_inverse_temperature, requires_grad=settings.learn_temperature)

    @property
    def temperature(self) -> Tensor:
        """tau: divisor of the cosine similarities."""
        return self.log_sharpness.neg().exp().clamp_min(MIN_TEMPERATURE)

    def embed_cells(self, cells: CellTokens, masked: Tensor | None = None) -> Float[Tensor, "cell dim"]:
        """Return c_i, of unit length; genes where ``masked`` (bool, cell token) is true are hidden."""
        if masked is None:
            return self._cell_vector(self.cell_encoder(cells))
        dummy_query = torch.zeros(len(cells.gene), 1, dtype=torch.long, device=cells.gene.device)
        return self._cell_vector(self.cell_encoder(cells, masked, dummy_query))

    def encode_masked(self, cells: CellTokens, masked: Tensor) -> MaskedCellOutput:
        """Return c_i and the predicted values of the hidden genes (``masked``: bool, cell token) in one pass."""
        max_hidden = max(int(masked.sum(dim=1).max()), 1)
        # Only hidden genes are decoded, packed to the left; the values of the other genes are inputs.
        hidden, hidden_index = masked.to(torch.uint8).topk(max_hidden, dim=1)
        states = self.cell_encoder(cells, masked, hidden_index)
        gene = cells.gene.gather(1, hidden_index)
        gepc = self.decoder.gepc(gene, states.cell, self.cell_encoder.tokens.gene)
        gep = self.decoder.gep(states.genes)
        return MaskedCellOutput(
            self._cell_vector(states), states.cell, gep, gepc, cells.value.gather(1, hidden_index), hidden.bool()
        )

    def embed_texts(self, texts: TextTokens) -> Float[Tensor, "text dim"]:
        """Return t_i, of unit length."""
        return self.project_texts(self.text_encoder(texts))

    def project_texts(self, pooled: Float[Tensor, "text width"]) -> Float[Tensor, "text dim"]:
        """Project pooled text vectors into the shared space, to unit length."""
        return functional.normalize(self.text_projector(pooled), dim=-1)

    def _cell_vector(self, states: CellStates) -> Float[Tensor, "cell dim"]:
        return functional.normalize(self.cell_projector(states.cell), dim=-1)


def estimate_cell_parameters(settings: ModelSettings, n_genes: int) -> int:
    """Number of weights of the cell encoder and its projector, from the settings alone; biases and norms are left out."""
    encoder = settings.cell_encoder
    width, dim = encoder.width, settings.dim or encoder.width
    block = 4 * width + 2 * encoder.feed_forward
    rows = n_genes + settings.tokeniser.bins + encoder.blocks * block
    if encoder.kind == "latent":
        rows += encoder.latents + block + 5 * width
    if encoder.kind == "linear":
        rows = n_genes
    projector = {"none": 0, "linear": width * dim, "mlp2": (width + dim) * dim}[settings.projector]
    return rows * width + projector


def _build_projector(
    width: int, dim: int, architecture: Literal["none", "linear", "mlp2"], hidden: int | None = None
) -> nn.Module:
    """Projector into the shared space; ``hidden`` is the size between two layers, ``dim`` by default."""
    if architecture == "none":
        return nn.Identity()
    if architecture == "linear":
        return nn.Linear(width, dim)
    hidden = dim if hidden is None else hidden
    return nn.Sequential(nn.LayerNorm(width), nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, dim))
