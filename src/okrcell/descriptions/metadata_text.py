"""Original text of a profile (metadata and ontology only), prompt texts of a label, and English phrasing."""

import re
from collections.abc import Iterable, Iterator, Sequence

from okrcell.descriptions.description import Description, Sentence
from okrcell.descriptions.evidence_lookup import EvidenceIndex
from okrcell.errors import InputError
from okrcell.evidence import Evidence, split_sentences
from okrcell.ontology.obs_profile import CellProfile, profile_evidence
from okrcell.ontology.ontology import Term, normalize_name, ontology, prefix_of

_SUBJECT_AND_VERB = re.compile(
    r"(?:An?|Any|The|In|These|This)\b(?:(?!\b(?:that|which|who|whose|where|with|in)\b)[^.,;])*?\s"
    r"(?:is|are|has|have|can|may|refers|consists|expresses|express|include|includes)\s"
)
_LEADING_ARTICLE = re.compile(
    r"(?:An?|Any)\s+(?!of\b|class\b|group\b|type of|collection\b|term\b|general\b|population\b)"
)
NORMAL_ID = "PATO:0000461"
"""PATO term for tissue without disease ("normal")."""
_SAMPLE_CODE = re.compile(r"^\S*\w\.\w\S*$")
"""One word with a full stop inside: a sample code of the Immunological Genome Project."""


def truncate_sentences(text: str, limit: int) -> str:
    """Truncate to whole sentences of at most ``limit`` characters; the first is always kept. Ends with a full stop."""
    truncated = ""
    for sentence in split_sentences(text):
        if truncated and len(truncated) + 1 + len(sentence) > limit:
            break
        truncated = f"{truncated} {sentence}".strip()
    return truncated if not truncated or truncated[-1] in ".!?" else f"{truncated}."


def definition_sentence(name: str, definition: str, limit: int = 420) -> str:
    """Combine a name and its definition into sentences that begin with the name; the name alone without definition.

    "natural killer cell" with the definition "A lymphocyte that kills." gives "A natural killer cell is a lymphocyte
    that kills."
    """
    if not is_prose(definition):
        return f"{capitalize_first(name)}."
    text = truncate_sentences(_resolve_articles(definition), limit)
    if text.casefold().startswith((f"{name} ".casefold(), f"{indefinite_article(name)} {name} ".casefold())):
        return capitalize_first(text)
    if _SUBJECT_AND_VERB.match(text) or not (opening := _LEADING_ARTICLE.match(text)):
        return f"{capitalize_first(name)}: {lowercase_first(text)}"
    rest = text[opening.end() :]
    return f"{capitalize_first(indefinite_article(name))} {name} is {indefinite_article(rest)} {rest}"


def is_prose(definition: str) -> bool:
    """Whether a definition exists and is prose; "a cell that in taxon some Fungi" is a logical formula."""
    return bool(definition.strip()) and "in taxon" not in definition


def apposition(name: str, definition: str, limit: int = 220) -> str:
    """Append the first sentence of a definition to the name, if it is short: "blood, a fluid that ..."."""
    first_sentence = truncate_sentences(_resolve_articles(definition), 0).rstrip(".")
    if (
        not is_prose(definition)
        or len(first_sentence) > limit
        or _SUBJECT_AND_VERB.match(first_sentence)
        or first_sentence.casefold().startswith(name.casefold())
    ):
        return name
    if re.match(r"(An?|Any|The)\s", first_sentence):
        return f"{name}, {lowercase_first(re.sub(r'^Any ', 'A ', first_sentence))}"
    return (
        f"{name}: {lowercase_first(first_sentence)}"
        if "(" in first_sentence
        else f"{name} ({lowercase_first(first_sentence)})"
    )


def join_list(words: Sequence[str]) -> str:
    """Join words to an English list: "CD79A, MS4A1 and CD19"."""
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1]))) if words else ""


def indefinite_article(name: str) -> str:
    """Return "a" or "an" by the sound of the first word: an NK cell, a unipolar cell, a CD4-positive T cell."""
    word = re.split(r"[\s,-]", name.strip(), maxsplit=1)[0]
    is_spelled_out = bool(re.fullmatch(r"[A-Z][A-Z0-9]{0,4}", word)) or (word[:2].isupper() and len(word) > 1)
    if is_spelled_out:
        return "an" if word[0] in "AEFHILMNORSX" else "a"
    return "an" if re.match(r"(?!uni|eu|us[aeiu]|one|ubi)[aeiou]", word, re.IGNORECASE) else "a"


def _resolve_articles(text: str) -> str:
    """Replace "a(n)" by the correct article: "A(n) B cell of a(n) organ" becomes "A B cell of an organ"."""

    def replace_article(match: re.Match[str]) -> str:
        letter, word = match.groups()
        return f"{capitalize_first(indefinite_article(word)) if letter == 'A' else indefinite_article(word)} {word}"

    return re.sub(r"\b([Aa])\(n\)\s+(\S+)", replace_article, text)


def capitalize_first(text: str) -> str:
    """Capitalise the first letter, unless the first word contains capitals (mRNA, pDC)."""
    first_word = text.split(maxsplit=1)[0] if text else ""
    return text if any(letter.isupper() for letter in first_word) else text[:1].upper() + text[1:]


def lowercase_first(text: str) -> str:
    """Lowercase the first letter, unless the first word is an abbreviation or contains digits."""
    first_word = text.split(maxsplit=1)[0] if text else ""
    return (
        text if any(letter.isupper() or letter.isdigit() for letter in first_word[1:]) else text[:1].lower() + text[1:]
    )


def original_description(
    profile: CellProfile, evidence: Sequence[Evidence], writer: str = "template", remark: str = ""
) -> Description:
    """Describe a profile by its metadata and the names and definitions of its terms only (the paper's original text).

    With a ``remark`` the outcome is "original": the text replaces one that was rejected or could not be written, for the
    reason in ``remark``.
    """
    index = EvidenceIndex(evidence)
    sentences = (*type_sentences(profile, index), *sample_sentences(profile, index))
    texts = (join_sentences(sentences), *original_phrasings(profile, index))
    outcome = "original" if remark else "written"
    return Description(profile, sentences, unique_texts(texts), writer, outcome=outcome, remark=remark)


def type_sentences(profile: CellProfile, index: EvidenceIndex) -> Iterator[Sentence]:
    """Yield sentences with the definition and the synonyms of the cell type, with their records."""
    if not profile.cell_type:
        return
    type_id = profile.cell_type_id
    definition = prose_definition(type_id, index)
    fact = (
        profile_evidence("cell_type", profile.label)
        if profile.label
        else profile_evidence("cell_type_ontology_term_id", type_id)
    )
    text = (
        definition_sentence(profile.cell_type, definition.text if definition else "")
        if type_id
        else f"{profile.label}, as the authors call this cell."
    )
    yield Sentence(text, (fact, *_name_records(index, type_id, definition is not None)))
    synonyms = distinct_synonyms(profile.cell_type, index.synonyms(type_id), 2)
    if synonyms:
        pieces = tuple(piece for piece in index.from_record(type_id, "synonym") if piece.text in synonyms)
        yield Sentence(f"It is also called {' or '.join(synonyms)}.", pieces)


def sample_sentences(profile: CellProfile, index: EvidenceIndex) -> Iterator[Sentence]:
    """Yield sentences on the sample, one per fact: tissue, disease, developmental stage, sex, assay."""
    subject = "It" if profile.cell_type else "This cell"
    if profile.tissue:
        tissue = _append_definition(profile.tissue, prose_definition(profile.tissue_id, index))
        cited = _name_records(index, profile.tissue_id, tissue != profile.tissue)
        yield Sentence(f"{subject} comes from {tissue}.", (profile_evidence("tissue", profile.tissue), *cited))
    if profile.disease_id == NORMAL_ID:
        yield Sentence(
            "The tissue is normal.",
            (profile_evidence("disease", profile.disease), *index.from_record(NORMAL_ID, "name")),
        )
    elif profile.disease:
        disease = _append_definition(profile.disease, prose_definition(profile.disease_id, index))
        cited = _name_records(index, profile.disease_id, disease != profile.disease)
        yield Sentence(f"The disease is {disease}.", (profile_evidence("disease", profile.disease), *cited))
    if profile.development_stage:
        stage = profile.development_stage.removesuffix(" stage")
        yield Sentence(
            f"The stage of life is {stage}.", (profile_evidence("development_stage", profile.development_stage),)
        )
    if profile.sex:
        yield Sentence(f"The donor is {profile.sex}.", (profile_evidence("sex", profile.sex),))
    if profile.assay:
        yield Sentence(f"It was measured by {profile.assay}.", (profile_evidence("assay", profile.assay),))


def original_phrasings(profile: CellProfile, index: EvidenceIndex) -> Iterator[str]:
    """Yield shorter phrasings, from name and definition to the author's label; "A cell." for an unknown cell."""
    name, label = profile.cell_type, profile.label
    definition = prose_definition(profile.cell_type_id, index)
    if not profile.has_values:
        yield "A cell."
    if name:
        if definition:
            yield definition_sentence(name, definition.text)
        yield name
        if profile.tissue:
            yield f"{name} in {profile.tissue}"
        if normalize_name(label) != normalize_name(name):
            yield label
        yield from distinct_synonyms(name, index.synonyms(profile.cell_type_id), 2)
    subject = f"{indefinite_article(name)} {name}" if profile.cell_type_id else "" if name else "a cell"
    if subject and (profile.tissue or profile.disease):
        yield f"{capitalize_first(subject)}{_sample_clause(profile)}."
    if label and (profile.tissue or profile.disease) and (not subject or normalize_name(label) != normalize_name(name)):
        yield f"{label}{_sample_clause(profile)}"


def prose_definition(term_id: str, index: EvidenceIndex) -> Evidence | None:
    """Return the term's definition if it is prose (`is_prose`)."""
    definition = index.definition(term_id)
    return definition if definition is not None and is_prose(definition.text) else None


def distinct_synonyms(name: str, synonyms: Iterable[str], max_names: int) -> tuple[str, ...]:
    """Select up to ``max_names`` synonyms that are not spelling variants of the name or of each other.

    Full names come before abbreviations. Inverted names ("muscle, smooth") and sample codes ("T.4Nve.Sp") are excluded.
    """
    by_canonical_name: dict[str, str] = {_canonical_name(name): ""}
    for synonym in sorted(synonyms, key=lambda candidate: len(candidate) <= 5):
        if len(synonym) > 2 and ("," not in synonym or "," in name) and not _SAMPLE_CODE.search(synonym):
            by_canonical_name.setdefault(_canonical_name(synonym), synonym)
    return tuple(by_canonical_name.values())[1 : max_names + 1]


def join_sentences(sentences: Iterable[Sentence]) -> str:
    """Join sentences to one text."""
    return " ".join(sentence.text for sentence in sentences)


def unique_texts(texts: Iterable[str]) -> tuple[str, ...]:
    """Remove duplicates and empty texts; keeps the order."""
    return tuple(dict.fromkeys(text for text in texts if text))


def _sample_clause(profile: CellProfile) -> str:
    if profile.disease_id == NORMAL_ID:
        return f" in normal {profile.tissue or 'tissue'}"
    clause = f" in {profile.tissue}" if profile.tissue else ""
    return f"{clause} of a donor with {profile.disease}" if profile.disease else clause


def _append_definition(name: str, definition: Evidence | None) -> str:
    return apposition(name, definition.text) if definition else name


def _name_records(index: EvidenceIndex, term_id: str, with_definition: bool) -> tuple[Evidence, ...]:
    definition = prose_definition(term_id, index) if with_definition else None
    return (*index.from_record(term_id, "name")[:1], *((definition,) if definition else ()))


def _canonical_name(name: str) -> str:
    return normalize_name(name).replace("lymphocyte", "cell")


def label_texts(candidate: str) -> tuple[str, ...]:
    """Return the prompt texts of a zero-shot candidate, the most informative first.

    A Cell Ontology id gives its definition, its name and up to three synonyms. A name or synonym in the ontology gives
    the same texts after the candidate itself. Any other text is returned unchanged.

    Raises
    ------
    InputError
        If the candidate is empty, or has the form of an ontology id that does not exist.
    """
    text = " ".join(candidate.split())
    if not text:
        raise InputError("A candidate is empty; give a cell type name, a Cell Ontology id or a sentence.")
    prefix = prefix_of(text)
    if prefix is not None:
        return _term_texts(ontology(prefix).term(text))
    term = ontology("CL").find(text)
    return unique_texts((text, *(_term_texts(term) if term else ())))


def _term_texts(term: Term) -> tuple[str, ...]:
    names = (term.name, *distinct_synonyms(term.name, term.synonyms, 3))
    return unique_texts((definition_sentence(term.name, term.definition), *names))
