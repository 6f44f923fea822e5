"""Sentences about gene functions, from gene summaries and Gene Ontology annotations."""

import re
from collections.abc import Sequence
from itertools import islice

from okrcell.texts.description import Sentence
from okrcell.texts.known import EvidenceIndex
from okrcell.texts.sentences import split_sentences

MAX_FUNCTION_NAME_CHARS = 60
"""Maximum length, in characters, of a Gene Ontology term name that is put into a sentence."""
MAX_SUMMARY_CHARS = 240
"""Maximum length of a sentence, in characters; longer sentences contain too much detail for a cell description."""

_GENE_SUBJECTS = (
    (re.compile(r"This (?:intronless |protein-coding )?gene\b(?! product| family| cluster)"), "{}"),
    (re.compile(r"The product of this gene\b"), "The product of {}"),
    (re.compile(r"This gene product\b(?! family)"), "The product of {}"),
    (re.compile(r"The (.{0,40}?\b)encoded by this gene\b"), r"The \1encoded by {}"),
    (re.compile(r"The encoded (protein|enzyme|receptor|preproprotein|cytokine|chemokine)\b"), r"The \1 encoded by {}"),
)
"""Patterns of the sentence subject in gene summaries ("This gene"), with replacements that name the gene."""
_OFF_TOPIC = re.compile(
    r"mutation|polymorphi|variant|splic|pseudogene|chromosom|isoform|locus|located (?:at|in) (?:a|the) .*cluster"
    r"|orthologs?\b|homologs?\b|mice|\bmouse\b|Drosophila|yeast|Saccharomyces|\bstudies\b|disease|syndrome|cancer"
    r"|carcinoma|tumou?r|has been (?:identified|suggested)|thought to|duplication|related gene|similar|resembl"
    r"|proteolytic|tandem repeat|represents the \w+ subunit\.|this (?:gene|family)|these (?:genes|proteins)|unknown"
    r"|not been determined"
)
"""Topics that are not the function of the gene in a cell: inheritance, history, other genes."""
_FAMILY_STATEMENT = re.compile(r"(?=.*\b(?:member|belongs|one of)\b)(?=.*(?:famil|group|class|subunit)).{0,130}")


def function_sentences(symbols: Sequence[str], index: EvidenceIndex, max_sentences: int) -> tuple[Sentence, ...]:
    """Return sentences on the functions of at most ``max_sentences`` of the genes, in input order.

    Summary sentences that state a function are preferred to those that only name the gene family. Without any, the
    names of the genes' Gene Ontology functions are used.
    """
    summaries = [sentence for symbol in symbols if (sentence := _summary_sentence(symbol, index))]
    preferred = sorted(summaries, key=lambda sentence: _FAMILY_STATEMENT.fullmatch(sentence.text) is not None)[
        :max_sentences
    ]
    selected = tuple(sentence for sentence in summaries if sentence in preferred)
    return selected or tuple(
        islice(filter(None, (_annotation_sentence(symbol, index) for symbol in symbols)), max_sentences)
    )


def _summary_sentence(symbol: str, index: EvidenceIndex) -> Sentence | None:
    """Return the first sentence of a gene's summary that states its function, else its gene family."""
    candidates = [
        Sentence(statement, (piece,))
        for piece in index.mentioning_gene(symbol, "gene")
        for text in split_sentences(piece.text)
        if text.endswith(".") and (statement := _replace_subject(symbol, text)) and _states_function(statement)
    ]
    return min(candidates, key=lambda sentence: _FAMILY_STATEMENT.fullmatch(sentence.text) is not None, default=None)


def _states_function(sentence: str) -> bool:
    # A truncated summary has unbalanced brackets.
    is_balanced = sentence.count("(") == sentence.count(")")
    return is_balanced and len(sentence) <= MAX_SUMMARY_CHARS and _OFF_TOPIC.search(sentence) is None


def _annotation_sentence(symbol: str, index: EvidenceIndex) -> Sentence | None:
    for piece in index.mentioning_gene(symbol, "function"):
        function = piece.text.partition(": ")[2].rstrip(".")
        if piece.text.startswith(f"{symbol} ") and 0 < len(function) <= MAX_FUNCTION_NAME_CHARS:
            return Sentence(f"The Gene Ontology annotates {symbol} with {function}.", (piece,))
    return None


def _replace_subject(symbol: str, sentence: str) -> str:
    """Replace a leading "This gene" by the gene symbol; "" for a sentence with another subject."""
    for pattern, replacement in _GENE_SUBJECTS:
        if pattern.match(sentence):
            return pattern.sub(replacement.replace("{}", symbol), sentence, count=1)
    return sentence if re.match(rf"{re.escape(symbol)}(?: \([^()]*\))?,? [a-z]", sentence) else ""
