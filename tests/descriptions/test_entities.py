import pytest
from hypothesis import given
from hypothesis import strategies as st

from okrcell.descriptions.entities import gene_mentions, gene_symbols, term_mentions
from okrcell.descriptions.lexicon import find_numbers, normalize_words, stem, tokenize_words
from okrcell.ontology.ontology import ontology


def genes(text: str) -> dict[str, frozenset[str]]:
    return {mention.text: mention.ids for mention in gene_mentions(text) if mention.category == "gene"}


def terms(text: str) -> dict[str, str]:
    named: dict[str, str] = {}
    for mention in term_mentions(text):
        first = min(mention.ids)
        named[mention.text] = ontology(first.split(":")[0]).term(first).name if ":" in first else first
    return named


def test_genes_are_known_by_symbol_alias_and_former_name():
    assert genes("MS4A1, CD20 and Foxp3; PD-1, TNF-alpha, IL-2, NKX2-1.") == {
        "MS4A1": {"MS4A1"}, "CD20": {"MS4A1"}, "Foxp3": {"FOXP3"}, "PD-1": {"PDCD1"}, "TNF-alpha": {"TNF"},
        "IL-2": {"IL2"}, "NKX2-1": {"NKX2-1"},
    }  # fmt: skip


def test_ordinary_words_are_no_genes():
    assert genes("The cell was set at rest; its impact is max in mice, and Impact or DNA or an APC is no gene.") == {}
    assert set(genes("KIT, MAX and IMPACT in capitals are.")) == {"KIT", "MAX", "IMPACT"}


def test_a_family_names_all_its_members():
    assert {"CD3D", "CD3E", "CD3G"} <= gene_symbols("CD3")
    assert {"CD8A", "CD8B"} <= gene_symbols("CD8")
    assert "HLA-DRA" in gene_symbols("HLA-DR")
    assert gene_symbols("CD8A") == {"CD8A"}


def test_a_sign_belongs_to_no_gene_name():
    assert set(genes("CD4+CD25- CD45RAhi CD14lo CD19-negative Lin- cells")) == {"CD4", "CD14", "CD19"}


def test_a_word_with_a_sign_is_a_gene():
    assert genes("Kit-positive, Lin- and Max+ cells in a kit") == {"Kit": {"KIT"}, "Max": {"MAX"}}


def test_messengers_are_known_by_all_their_names():
    assert terms("GABA and norepinephrine") == {"GABA": "GABA", "norepinephrine": "noradrenaline"}


def test_proteins_are_known_by_family_and_member():
    found = genes("Keratin 5, granzyme B, interleukin-2 and chromogranin A")
    assert set().union(*found.values()) == {"KRT5", "GZMB", "IL2", "CHGA"}


def test_terms_are_known_by_name_synonym_and_adjective():
    found = terms("B and T cells of the renal cortex, B lymphocytes in hepatic tissue, Crohn's disease.")
    assert found["B"] == "B cell"
    assert found["T cells"] == "T cell"
    assert found["renal cortex"] == "cortex of kidney"
    assert found["B lymphocytes"] == "B cell"
    assert found["hepatic"] == "liver"
    assert found["Crohn's disease"] == "Crohn disease"


def test_the_longest_name_counts():
    assert list(terms("CD8-positive, alpha-beta T cells")) == ["CD8-positive, alpha-beta T cells"]
    assert list(terms("blood, vessel")) == ["blood"]  # no match across a comma that is not part of the name


def test_a_name_is_known_without_its_place():
    assert {mention.text for mention in term_mentions("Chief cells and marginal zone B cells")} == {
        "Chief cells", "marginal zone B cells",
    }  # fmt: skip


def test_ordinary_words_are_no_tissues():
    assert terms("On the other hand, the surface of this region is all one process; back to the tip.") == {}


def test_numbers_are_figures_words_and_romans_but_no_part_of_a_name():
    assert find_numbers("In 3.5% of 1,200 cells, two CD19 and IL-2, type II and class I; 10x") == {
        "3.5",
        "1200",
        "2",
        "1",
    }


@pytest.mark.parametrize("forms", [("inhibits", "inhibited", "inhibition"), ("cytokine", "cytokines")])
def test_forms_of_a_word_share_a_stem(forms: tuple[str, ...]):
    assert len({stem(normalize_words(form)[0]) for form in forms}) == 1


@given(st.text(max_size=80))
def test_any_text_can_be_read(text: str):
    tokens = tokenize_words(text)
    assert all(0 <= word.start < word.end <= len(text) for word in tokens)
    for mention in (*term_mentions(text), *gene_mentions(text)):
        assert 0 <= mention.start < mention.stop <= len(tokens)
        assert mention.text in text


def test_a_plain_name_has_the_words_of_the_same_text():
    for term in map(ontology("CL").term, ontology("CL").term_ids()[::7]):
        for name in (term.name, *term.synonyms):
            assert normalize_words(name) == [word.norm for word in tokenize_words(name)]
