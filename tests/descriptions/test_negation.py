import pytest

from okrcell.descriptions.lexicon import OPPOSITE_PAIRS, Sign, opposites_of, tokenize_words
from okrcell.descriptions.negation import find_effects, sign_of


def sign(text: str, name: str = "CD19") -> Sign:
    tokens = tokenize_words(text)
    place = next(place for place, word in enumerate(tokens) if word.norm == name.lower())
    return sign_of(tokens, place, place + 1)


@pytest.mark.parametrize(
    "text",
    ["It expresses CD19.", "loss of CD19 causes disease", "CD19 is a low affinity receptor", "CD19, whose loss leads to CD19",
     "CD19-positive cells", "CD19+ cells", "It lacks CD3 and expresses CD19.", "positive for CD19",
     "It lacks CD3, but CD19 is present.", "not only CD19 but also CD20", "It does not lack CD19.", "CD19 negative regulator",
     "It has no nucleus and CD19 is expressed.", "a non-nucleated cell with CD19", "CD19 and are negative for CD3"],
)  # fmt: skip
def test_what_is_affirmed_is_present(text: str):
    assert sign(text) == "present"


@pytest.mark.parametrize(
    "text",
    ["It lacks CD19.", "It is CD19-negative.", "CD19- cells", "CD19neg cells", "negative for CD3 and CD19",
     "does not express CD3, CD14 or CD19", "CD19 is absent", "CD3 and CD19 are not expressed", "without CD19",
     "neither CD3 nor CD19", "fails to express CD19", "in the absence of CD19", "CD19 expression is lost",
     "It is not CD19-positive.", "CD19 rather than CD3 is a negative marker", "It doesn't express CD19.",
     "loss of CD19", "It has lost CD19, and its nucleus causes trouble."],
)  # fmt: skip
def test_what_is_denied_is_absent(text: str):
    assert sign(text) == "absent"


def test_levels_are_told_apart():
    assert sign("CD19-low") == sign("CD19dim cells") == sign("low levels of CD19") == sign("CD19 is low") == "low"
    assert sign("CD19-high") == sign("CD19bright") == sign("high expression of CD19") == "high"


def test_effects_are_raised_or_lowered():
    def directions(text: str) -> list[bool]:
        return [effect.increases for effect in find_effects(tokenize_words(text))]

    assert directions("It activates T cells and inhibits apoptosis.") == [True, False]
    assert directions("It does not activate T cells.") == [False]
    assert directions("A negative regulator of growth; it down-regulates growth.") == [False, False]
    assert directions("T cell activation, an inhibitory receptor, thyroid stimulating hormone") == []


def test_opposites_go_both_ways():
    for pair in OPPOSITE_PAIRS:
        one, other = pair.split("/")
        assert other in opposites_of(one)
        assert one in opposites_of(other)
    assert opposites_of("cell") == frozenset()
