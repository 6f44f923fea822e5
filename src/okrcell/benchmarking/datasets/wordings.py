"""Texts of a cell type in several wordings, as free-text candidates."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.resources import files

import yaml

from okrcell.descriptions.metadata_text import indefinite_article
from okrcell.errors import InputError
from okrcell.ontology.ontology import Term, ontology


@cache
def read_everyday_names() -> Mapping[str, str]:
    """Read the everyday names: Cell Ontology id to a name that people use in plain English."""
    text = (files("okrcell.benchmarking.datasets") / "everyday_names.yaml").read_text(encoding="utf-8")
    return {str(term_id): str(name) for term_id, name in yaml.safe_load(text).items()}


WORDINGS: Mapping[str, Callable[[Term], str]] = {
    "id": lambda term: term.id,
    "name": lambda term: term.name,
    "everyday name": lambda term: read_everyday_names().get(term.id, term.name),
    "definition": lambda term: term.definition or term.name,
    "sentence": lambda term: (
        f"In this sample we see {indefinite_article(term.name)} {term.name}, as judged by its genes."
    ),
}
"""Wording to the text of a term. A term without an everyday name or definition has its name."""


def type_texts(term_ids: Sequence[str], wording: str) -> list[str]:
    """Return the text of each type in a wording of `WORDINGS`.

    Raises
    ------
    InputError
        If two types have the same text, so that no prediction could tell them apart.
    """
    texts = [WORDINGS[wording](ontology("CL").term(term_id)) for term_id in term_ids]
    repeated = sorted({text for text in texts if texts.count(text) > 1})
    if repeated:
        raise InputError(
            f"Two types have the same {wording}: {repeated[0]}. Give each type a name of its own in everyday_names.yaml."
        )
    return texts
