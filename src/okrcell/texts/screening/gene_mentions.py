"""Find gene mentions in a text."""

import re
from collections.abc import Iterator
from functools import cache, lru_cache

from okrcell.cells.genes import GeneTable
from okrcell.texts.screening.common_names import ACRONYMS, PROTEIN_FAMILIES
from okrcell.texts.screening.mentions import Mention, Word, words

_NAME = re.compile(r"(?<![^\W_])[A-Za-z][A-Za-z0-9]*(?:[-.][A-Za-z0-9]+)*")
_GLUED = re.compile(r"(CD\d+[A-Z]*)(?:high|hi|low|lo|dim|neg|pos|int|bright)")
_PHENOTYPE = re.compile(r"\b[A-Z][a-z]{2,}(?=\+|-(?:positive|negative|high|low|dim|bright)\b)")
_CODE = re.compile(r"(?=.*[A-Z])(?=.*\d)[A-Za-z0-9-]{2,}|Ig[AGMDE]\d?")
_FAMILY = "|".join(name.replace(" ", "[ -]") for name in PROTEIN_FAMILIES)
_MEMBER = re.compile(rf"\b(?P<family>(?i:{_FAMILY})s?)[ -](?P<member>\d+[A-Z]?|[A-Z]\d*)\b")
_GREEK = {"alpha": "A", "beta": "B", "gamma": "G", "delta": "D", "epsilon": "E"}


def gene_mentions(text: str) -> Iterator[Mention]:
    """Yield mentions of gene symbols, previous symbols and aliases, and of codes that only look like genes.

    A name of letters only must be in capitals ("KIT", "MAX"), so that ordinary words ("max", "was", "Impact") are no
    genes. With a digit in it or a sign after it, case is ignored ("Cd19", "Kit-positive").
    """
    tokens = words(text)
    for found in _MEMBER.finditer(text):
        family = PROTEIN_FAMILIES[" ".join(found["family"].lower().replace("-", " ").split()).removesuffix("s")]
        if (symbol := f"{family}{found['member'].upper()}") in _symbols():
            yield _mention(found[0], found.start(), tokens, frozenset({_symbols()[symbol]}))
    for found in _PHENOTYPE.finditer(text):
        if found[0].upper() in _symbols():
            yield _mention(found[0], found.start(), tokens, frozenset({_symbols()[found[0].upper()]}))
    for found in _NAME.finditer(text):
        for offset, written in _parts(found[0]):
            symbols = symbols_of(written)
            if symbols or _CODE.fullmatch(written):
                yield _mention(written, found.start() + offset, tokens, symbols)


@lru_cache(100_000)
def symbols_of(name: str) -> frozenset[str]:
    """Return the approved symbols of a name: one, or several for a family name ("CD8", "HLA-DR")."""
    if len(name) < 3 or name in ACRONYMS or not _has_form(name):
        return frozenset()
    spellings = tuple(_spellings(name))
    known = next((_symbols()[spelling] for spelling in spellings if spelling in _symbols()), None)
    if known in spellings:
        return frozenset({known})
    family = next((_families()[spelling] for spelling in spellings if _may_be_family(spelling)), frozenset[str]())
    return family | {known} if known else family


def known_gene(name: str) -> bool:
    """Whether the name is a symbol, previous symbol or alias of a gene, case-sensitive."""
    return name in _symbols()


def _has_form(name: str) -> bool:
    letters = [letter for letter in name if letter.isalpha()]
    if name in ("p53", "p63", "p73"):
        return True
    if any(letter.isdigit() for letter in name):
        return bool(letters) and (letters[0].isupper() or (name in _symbols() and any(map(str.isupper, name))))
    return sum(letter.isupper() for letter in letters) >= max(2, len(letters) - 5) and name[0].isupper()


def _may_be_family(name: str) -> bool:
    return name in _families() and (any(map(str.isdigit, name)) or name.startswith("HLA-D"))


def _parts(name: str) -> Iterator[tuple[int, str]]:
    """Yield (offset, part) of a hyphenated name; parts that form a gene name stay together: "CD19-negative"."""
    if glued := _GLUED.fullmatch(name):
        yield 0, glued[1]
        return
    pieces = [piece.span() for piece in re.finditer(r"[^-.]+", name)]
    first = 0
    while first < len(pieces):
        start = pieces[first][0]
        for last in range(len(pieces), first, -1):
            whole = name[start : pieces[last - 1][1]]
            if last == first + 1 or symbols_of(whole):
                yield start, whole
                first = last
                break


def _spellings(name: str) -> Iterator[str]:
    yield name
    bare = name.replace("-", "")
    for word, letter in _GREEK.items():
        if name.lower().endswith(f"-{word}"):
            yield name[: -len(word)].replace("-", "") + letter
    yield bare
    if any(letter.isdigit() for letter in name):
        yield name.upper()
        yield bare.upper()


@cache
def _symbols() -> dict[str, str]:
    table = GeneTable.bundled()
    named = {name: str(table.symbol[row]) for names in (table.alias, table.previous) for name, row in names.items()}
    return named | {str(symbol): str(symbol) for symbol in table.symbol}


@cache
def _families() -> dict[str, frozenset[str]]:
    """Map a symbol without its last letter (and digit) to the symbols: CD8 to CD8A and CD8B."""
    families: dict[str, set[str]] = {}
    for symbol in map(str, GeneTable.bundled().symbol):
        if member := re.fullmatch(r"(.{3,}?)[A-Z]\d?", symbol):
            families.setdefault(member[1], set()).add(symbol)
    return {name: frozenset(members) for name, members in families.items()}


def _mention(written: str, start: int, tokens: tuple[Word, ...], symbols: frozenset[str]) -> Mention:
    end = start + len(written)
    inside = [place for place, word in enumerate(tokens) if word.start < end and word.end > start]
    first, last = (inside[0], inside[-1] + 1) if inside else (0, 0)
    return Mention(written, "gene" if symbols else "code", first, last, symbols)
