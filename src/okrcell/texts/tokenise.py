"""Tokenizer of the text encoder."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxtyping import Int
from torch import Tensor


@dataclass(frozen=True)
class TextTokens:
    """Word-piece ids of a batch of texts, padded at the end."""

    piece: Int[Tensor, "text piece"]
    attention: Int[Tensor, "text piece"]
    """1 for a word piece, 0 for padding."""

    def __len__(self) -> int:
        """Return the number of texts."""
        return len(self.piece)


class TextTokeniser:
    """Hugging Face tokenizer of a text encoder.

    Parameters
    ----------
    folder
        Folder with the tokenizer files of the text encoder.
    limit
        Maximum length in word pieces; longer texts are truncated.
    """

    def __init__(self, folder: str | Path, limit: int) -> None:
        from transformers import AutoTokenizer

        self.limit = limit
        self._tokeniser: Any = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)

    def tokenise(self, texts: Sequence[str]) -> TextTokens:
        """Tokenise ``texts``, padded to the longest of them."""
        encoded = self._tokeniser(
            list(texts), padding=True, truncation=True, max_length=self.limit, return_tensors="pt"
        )
        return TextTokens(encoded["input_ids"], encoded["attention_mask"])
