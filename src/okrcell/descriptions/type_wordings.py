"""Wordings of a cell type: names, synonyms, everyday names, its definition, and sentences, for texts that mean the same."""

import re
from functools import cache

from okrcell.descriptions.metadata_text import definition_sentence, indefinite_article, is_prose, unique_texts
from okrcell.evidence import split_sentences
from okrcell.ontology.ontology import ontology
from okrcell.ontology.published_names import PUBLISHED_SYNONYMS
from okrcell.ontology.resolver import resolve_cell_type

SENTENCES = (
    "This is {article} {name}.",
    "A single-cell transcriptome of {article} {name}.",
    "{name} from human tissue",
    "The cell was annotated as {name} by the authors.",
    "{name} found in the sample of a donor",
)
"""Sentences around the name of a type."""
SHORTENINGS = (
    (r"-positive\b", "+"),
    (r"-negative\b", "-"),
    (r"-positive\b", ""),
    (r",? ?alpha-beta\b", ""),
    (r", human$", ""),
    (r"^human ", ""),
    (r"\bthymus-derived ", ""),
    (r"^CD14-low,? ", ""),
    (r"^pancreatic ", ""),
    (r" of [a-z ]+$", ""),
    (r" of the [a-z ]+$", ""),
    (r"\bof islet of Langerhans\b", ""),
    (r",", ""),
    (r"\bnatural killer cell\b", "NK cell"),
    (r"\bplasmacytoid dendritic cell\b", "pDC"),
    (r"\bconventional dendritic cell\b", "cDC"),
    (r"\bdendritic cell\b", "DC"),
    (r"\bregulatory T cell\b", "Treg"),
    (r"\bhelper T cell\b", "Th"),
    (r"\bmonocyte$", "Mono"),
    (r"\bmacrophage$", "Mac"),
    (r"\bcentral memory\b", "CM"),
    (r"\beffector memory\b", "EM"),
    (r"\bendothelial cell$", "EC"),
    (r"\bsmooth muscle cell$", "SMC"),
    (r"\bhematopoietic stem cell$", "HSC"),
    (r"\boligodendrocyte precursor cell$", "OPC"),
    (r"\berythrocyte$", "red blood cell"),
    (r"\blymphocyte\b", "cell"),
    (r"^(CD\d\S*) ((?:effector |central )?(?:memory|naive|activated)) (T.*)", r"\2 \1 \3"),
    (r"^((?:effector |central )?(?:memory|naive|activated)) (CD\d\S*) (T.*)", r"\2 \1 \3"),
    (r" cell$", ""),
)
"""Replacements that make everyday names of ontology names: "CD4-positive, alpha-beta T cell" becomes "CD4+ T cell", "CD4 T"."""
_COUNTABLE = re.compile(r"(cell|cyte|blast|phage|phil|clast|platelet|neuron|DC|Mac|Treg|SMC|EC)$")
MAX_NAMES = 10
"""Maximum number of everyday names of a type."""


@cache
def everyday_names(term_id: str) -> tuple[str, ...]:
    """Return shorter names of a Cell Ontology term, as authors write them, with their plurals (ours).

    Each is made of a name or synonym by one or more of `SHORTENINGS`, and kept if `resolve_cell_type` reads it as the term: a
    short name that several types share is no name of any.
    """
    term = ontology("CL").term(term_id)
    names = dict.fromkeys((term.name, *term.synonyms))
    for pattern, replacement in SHORTENINGS:
        for name in list(names):
            shorter = " ".join(re.sub(pattern, replacement, name).split())
            if shorter:
                names.setdefault(shorter)
    plurals = (f"{name}s" for name in list(names) if _COUNTABLE.search(name))
    made = [name for name in (*names, *plurals) if name not in (term.name, *term.synonyms)]
    meant = (name for name in made if (resolved := resolve_cell_type(name)).is_exact and resolved.term == term)
    return tuple(sorted(meant, key=lambda name: (len(name), name))[:MAX_NAMES])


def type_wordings(term_id: str, *, sentences: bool = True) -> tuple[str, ...]:
    """Return the texts that mean a Cell Ontology term: its names, everyday names, its definition, and sentences with its name.

    Parameters
    ----------
    sentences
        Whether everyday names and sentences with the name are included.

    Raises
    ------
    InputError
        If the ontology has no such term.

    Examples
    --------
    >>> "CD4 T cell" in type_wordings("CL:0000624")
    True
    """
    term = ontology("CL").term(term_id)
    texts = [term.name, *term.synonyms, *PUBLISHED_SYNONYMS.get(term.id, ())]
    if is_prose(term.definition):
        texts += [definition_sentence(term.name, term.definition), term.definition, *split_sentences(term.definition)]
    if sentences:
        article = indefinite_article(term.name)
        texts += [sentence.format(article=article, name=term.name) for sentence in SENTENCES]
        texts += everyday_names(term.id)
    return unique_texts(texts)
