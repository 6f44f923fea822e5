"""Find gene mentions in a text."""

import re
from collections.abc import Iterator
from functools import cache, lru_cache

from okrcell.cells.genes import GeneTable
from okrcell.texts.screening.common_names import ACRONYMS, PROTEIN_FAMILIES
from okrcell.texts.screening.mentions import Mention, WordToken, tokenize_words

_GENE_LIKE_NAME = re.compile(r"(?<![^\W_])[A-Za-z][A-Za-z0-9]*(?:[-.][A-Za-z0-9]+)*")
_CD_WITH_LEVEL = re.compile(r"(CD\d+[A-Z]*)(?:high|hi|low|lo|dim|neg|pos|int|bright)")
_PHENOTYPE = re.compile(r"\b[A-Z][a-z]{2,}(?=\+|-(?:positive|negative|high|low|dim|bright)\b)")
_CODE_NAME = re.compile(r"(?=.*[A-Z])(?=.*\d)[A-Za-z0-9-]{2,}|Ig[AGMDE]\d?")
_FAMILY_NAMES = "|".join(name.replace(" ", "[ -]") for name in PROTEIN_FAMILIES)
_FAMILY_MEMBER = re.compile(rf"\b(?P<family>(?i:{_FAMILY_NAMES})s?)[ -](?P<member>\d+[A-Z]?|[A-Z]\d*)\b")
_GREEK_LETTERS = {"alpha": "A", "beta": "B", "gamma": "G", "delta": "D", "epsilon": "E"}


def gene_mentions(text: str) -> Iterator[Mention]:
    """Yield mentions of gene symbols, previous symbols and aliases, and of codes that only look like genes.

    A name of letters only must be in capitals ("KIT", "MAX"), so that ordinary words ("max", "was", "Impact") are no
    genes. With a digit in it or a sign after it, case is ignored ("Cd19", "Kit-positive").
    """
    tokens = tokenize_words(text)
    for match in _FAMILY_MEMBER.finditer(text):
        family = PROTEIN_FAMILIES[" ".join(match["family"].lower().replace("-", " ").split()).removesuffix("s")]
        if (symbol := f"{family}{match['member'].upper()}") in _symbols():
            yield _gene_mention(match[0], match.start(), tokens, frozenset({_symbols()[symbol]}))
    for match in _PHENOTYPE.finditer(text):
        if match[0].upper() in _symbols():
            yield _gene_mention(match[0], match.start(), tokens, frozenset({_symbols()[match[0].upper()]}))
    for match in _GENE_LIKE_NAME.finditer(text):
        for offset, surface in _hyphen_parts(match[0]):
            symbols = gene_symbols(surface)
            if symbols or _CODE_NAME.fullmatch(surface):
                yield _gene_mention(surface, match.start() + offset, tokens, symbols)


@lru_cache(100_000)
def gene_symbols(name: str) -> frozenset[str]:
    """Return the approved symbols of a name: one, or several for a family name ("CD8", "HLA-DR")."""
    if len(name) < 3 or name in ACRONYMS or not _looks_like_symbol(name):
        return frozenset()
    spellings = tuple(_spellings(name))
    symbol = next((_symbols()[spelling] for spelling in spellings if spelling in _symbols()), None)
    if symbol in spellings:
        return frozenset({symbol})
    family = next((_families()[spelling] for spelling in spellings if _is_family_name(spelling)), frozenset[str]())
    return family | {symbol} if symbol else family


def is_gene_name(name: str) -> bool:
    """Whether the name is a symbol, previous symbol or alias of a gene, case-sensitive."""
    return name in _symbols()


def _looks_like_symbol(name: str) -> bool:
    letters = [letter for letter in name if letter.isalpha()]
    if name in ("p53", "p63", "p73"):
        return True
    if any(letter.isdigit() for letter in name):
        return bool(letters) and (letters[0].isupper() or (name in _symbols() and any(map(str.isupper, name))))
    return sum(letter.isupper() for letter in letters) >= max(2, len(letters) - 5) and name[0].isupper()


def _is_family_name(name: str) -> bool:
    return name in _families() and (any(map(str.isdigit, name)) or name.startswith("HLA-D"))


def _hyphen_parts(name: str) -> Iterator[tuple[int, str]]:
    """Yield (offset, part) of a hyphenated name; parts that form a gene name stay together: "CD19-negative"."""
    if match := _CD_WITH_LEVEL.fullmatch(name):
        yield 0, match[1]
        return
    spans = [part_match.span() for part_match in re.finditer(r"[^-.]+", name)]
    part_index = 0
    while part_index < len(spans):
        start = spans[part_index][0]
        for part_stop in range(len(spans), part_index, -1):
            part = name[start : spans[part_stop - 1][1]]
            if part_stop == part_index + 1 or gene_symbols(part):
                yield start, part
                part_index = part_stop
                break


def _spellings(name: str) -> Iterator[str]:
    yield name
    without_hyphens = name.replace("-", "")
    for word, letter in _GREEK_LETTERS.items():
        if name.lower().endswith(f"-{word}"):
            yield name[: -len(word)].replace("-", "") + letter
    yield without_hyphens
    if any(letter.isdigit() for letter in name):
        yield name.upper()
        yield without_hyphens.upper()


@cache
def _symbols() -> dict[str, str]:
    table = GeneTable.bundled()
    aliases = {name: str(table.symbol[row]) for names in (table.alias, table.previous) for name, row in names.items()}
    return aliases | {str(symbol): str(symbol) for symbol in table.symbol}


@cache
def _families() -> dict[str, frozenset[str]]:
    """Map a symbol without its last letter (and digit) to the symbols: CD8 to CD8A and CD8B."""
    families: dict[str, set[str]] = {}
    for symbol in map(str, GeneTable.bundled().symbol):
        if member := re.fullmatch(r"(.{3,}?)[A-Z]\d?", symbol):
            families.setdefault(member[1], set()).add(symbol)
    return {name: frozenset(members) for name, members in families.items()}


def _gene_mention(surface: str, start: int, tokens: tuple[WordToken, ...], symbols: frozenset[str]) -> Mention:
    end = start + len(surface)
    indices = [index for index, word in enumerate(tokens) if word.start < end and word.end > start]
    first, stop = (indices[0], indices[-1] + 1) if indices else (0, 0)
    return Mention(surface, "gene" if symbols else "code", first, stop, symbols)
