"""Wordings of a cell type: names, synonyms, its definition, and sentences, for texts that mean the same."""

from okrcell.descriptions.metadata_text import definition_sentence, indefinite_article, is_prose, unique_texts
from okrcell.ontology.ontology import ontology
from okrcell.ontology.published_names import PUBLISHED_SYNONYMS

SENTENCES = (
    "This is {article} {name}.",
    "A single-cell transcriptome of {article} {name}.",
    "{name} from human tissue",
    "The cell was annotated as {name} by the authors.",
    "{name} found in the sample of a donor",
)
"""Sentences around the name of a type."""


def type_wordings(term_id: str, *, sentences: bool = True) -> tuple[str, ...]:
    """Return the texts that mean a Cell Ontology term: name, synonyms, published names, definition, sentences with the name.

    Parameters
    ----------
    sentences
        Whether sentences with the name are included.

    Raises
    ------
    InputError
        If the ontology has no such term.
    """
    term = ontology("CL").term(term_id)
    texts = [term.name, *term.synonyms, *PUBLISHED_SYNONYMS.get(term.id, ())]
    if is_prose(term.definition):
        texts += [definition_sentence(term.name, term.definition), term.definition]
    article = indefinite_article(term.name)
    if sentences:
        texts += [sentence.format(article=article, name=term.name) for sentence in SENTENCES]
    return unique_texts(texts)
