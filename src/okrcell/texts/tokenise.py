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

    input_ids: Int[Tensor, "text piece"]
    attention_mask: Int[Tensor, "text piece"]
    """1 for a word piece, 0 for padding."""

    def __len__(self) -> int:
        """Return the number of texts."""
        return len(self.input_ids)


class TextTokenizer:
    """Hugging Face tokenizer of a text encoder.

    Parameters
    ----------
    folder
        Folder with the tokenizer files of the text encoder.
    max_length
        Maximum length in word pieces; longer texts are truncated.
    """

    def __init__(self, folder: str | Path, max_length: int) -> None:
        from transformers import AutoTokenizer

        self.max_length = max_length
        self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)

    def tokenize(self, texts: Sequence[str]) -> TextTokens:
        """Tokenise ``texts``, padded to the longest of them."""
        encoded = self._tokenizer(
            list(texts), padding=True, truncation=True, max_length=self.max_length, return_tensors="pt"
        )
        return TextTokens(encoded["input_ids"], encoded["attention_mask"])
