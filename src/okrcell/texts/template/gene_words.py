"""Sentences about gene functions, from gene summaries and Gene Ontology annotations."""

import re
from collections.abc import Sequence
from itertools import islice

from okrcell.texts.description import Sentence
from okrcell.texts.known import Known
from okrcell.texts.sentences import split

SHORT_NAME = 60
"""Maximum length, in characters, of a Gene Ontology term name that is put into a sentence."""
LONGEST = 240
"""Maximum length of a sentence, in characters; longer sentences contain too much detail for a cell description."""

_SELF = (
    (re.compile(r"This (?:intronless |protein-coding )?gene\b(?! product| family| cluster)"), "{}"),
    (re.compile(r"The product of this gene\b"), "The product of {}"),
    (re.compile(r"This gene product\b(?! family)"), "The product of {}"),
    (re.compile(r"The (.{0,40}?\b)encoded by this gene\b"), r"The \1encoded by {}"),
    (re.compile(r"The encoded (protein|enzyme|receptor|preproprotein|cytokine|chemokine)\b"), r"The \1 encoded by {}"),
)
"""Patterns of the sentence subject in gene summaries ("This gene"), with replacements that name the gene."""
_OTHER_MATTERS = re.compile(
    r"mutation|polymorphi|variant|splic|pseudogene|chromosom|isoform|locus|located (?:at|in) (?:a|the) .*cluster"
    r"|orthologs?\b|homologs?\b|mice|\bmouse\b|Drosophila|yeast|Saccharomyces|\bstudies\b|disease|syndrome|cancer"
    r"|carcinoma|tumou?r|has been (?:identified|suggested)|thought to|duplication|related gene|similar|resembl"
    r"|proteolytic|tandem repeat|represents the \w+ subunit\.|this (?:gene|family)|these (?:genes|proteins)|unknown"
    r"|not been determined"
)
"""Topics that are not the function of the gene in a cell: inheritance, history, other genes."""
_KINSHIP = re.compile(r"(?=.*\b(?:member|belongs|one of)\b)(?=.*(?:famil|group|class|subunit)).{0,130}")


def functions_of(symbols: Sequence[str], known: Known, most: int) -> tuple[Sentence, ...]:
    """Return sentences on the functions of at most ``most`` of the genes, in input order.

    Summary sentences that state a function are preferred to those that only name the gene family. Without any, the
    names of the genes' Gene Ontology functions are used.
    """
    told = [sentence for symbol in symbols if (sentence := _summary(symbol, known))]
    telling = sorted(told, key=lambda sentence: _KINSHIP.fullmatch(sentence.text) is not None)[:most]
    chosen = tuple(sentence for sentence in told if sentence in telling)
    return chosen or tuple(islice(filter(None, (_annotation(symbol, known) for symbol in symbols)), most))


def _summary(symbol: str, known: Known) -> Sentence | None:
    """Return the first sentence of a gene's summary that states its function, else its gene family."""
    told = [
        Sentence(words, (piece,))
        for piece in known.of_gene(symbol, "gene")
        for text in split(piece.text)
        if text.endswith(".") and (words := _with_symbol(symbol, text)) and _tells_a_role(words)
    ]
    return min(told, key=lambda sentence: _KINSHIP.fullmatch(sentence.text) is not None, default=None)


def _tells_a_role(words: str) -> bool:
    # A truncated summary has unbalanced brackets.
    whole = words.count("(") == words.count(")")
    return whole and len(words) <= LONGEST and _OTHER_MATTERS.search(words) is None


def _annotation(symbol: str, known: Known) -> Sentence | None:
    for piece in known.of_gene(symbol, "function"):
        function = piece.text.partition(": ")[2].rstrip(".")
        if piece.text.startswith(f"{symbol} ") and 0 < len(function) <= SHORT_NAME:
            return Sentence(f"The Gene Ontology annotates {symbol} with {function}.", (piece,))
    return None


def _with_symbol(symbol: str, sentence: str) -> str:
    """Replace a leading "This gene" by the gene symbol; "" for a sentence with another subject."""
    for pattern, words in _SELF:
        if pattern.match(sentence):
            return pattern.sub(words.replace("{}", symbol), sentence, count=1)
    return sentence if re.match(rf"{re.escape(symbol)}(?: \([^()]*\))?,? [a-z]", sentence) else ""
