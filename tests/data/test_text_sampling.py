"""Original and enriched texts are sampled with the configured probabilities."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from okrcell.cells.genes import GeneTable
from okrcell.cells.tokenizer import BinTokenizer, TokenizerSettings
from okrcell.data.dataloader import PairDataLoader, StreamSettings
from okrcell.data.dataset import PairDataset, TextSettings, text_probabilities
from okrcell.descriptions.description import Description, load_descriptions, save_descriptions
from okrcell.descriptions.template_writer import describe
from okrcell.errors import InputError
from okrcell.ontology.obs_profile import CellProfile, read_profiles

words = st.text("abc", min_size=1, max_size=2)
ENRICHED = Description(CellProfile("B cell"), (), ("long", "longer"), original=("short", "brief", "terse"))


@given(
    st.lists(words, min_size=1, max_size=4, unique=True),
    st.lists(words, max_size=4, unique=True),
    st.sampled_from(["sample", "enriched", "original", "concatenate"]),
    st.floats(0, 1),
)
def test_chances_add_up_to_one(phrasings, original, mix, share):
    description = Description(CellProfile("B cell"), (), tuple(phrasings), original=tuple(original))
    chances = text_probabilities(description, TextSettings(mix=mix, share=share))
    assert sum(chances.values()) == pytest.approx(1)
    assert all(chance > 0 for chance in chances.values())


def test_each_mix_draws_from_its_own_texts():
    assert set(text_probabilities(ENRICHED, TextSettings(mix="enriched"))) == {"long", "longer"}
    assert set(text_probabilities(ENRICHED, TextSettings(mix="original"))) == {"short", "brief", "terse"}
    assert text_probabilities(ENRICHED, TextSettings(mix="concatenate")) == {"short long": 1.0}
    sampled = text_probabilities(ENRICHED, TextSettings(mix="sample", share=0.8))
    assert sampled["long"] == pytest.approx(0.4)
    assert sampled["terse"] == pytest.approx(0.2 / 3)


def test_a_description_without_enrichment_is_its_own_original():
    plain = Description(CellProfile("B cell"), (), ("one", "two"))
    for mix in ("sample", "enriched", "original"):
        assert text_probabilities(plain, TextSettings(mix=mix)) == pytest.approx({"one": 0.5, "two": 0.5})


@pytest.fixture
def enriched_file(corpus, tmp_path):
    plain = describe(read_profiles(corpus.obs).distinct)
    descriptions = [
        Description(one.profile, one.sentences, (f"Enriched: {one.phrasings[0]}",), original=one.phrasings)
        for one in plain
    ]
    save_descriptions(tmp_path / "descriptions.parquet", descriptions, {})
    return tmp_path / "descriptions.parquet"


def test_texts_are_drawn_at_the_share_that_was_set(corpus, enriched_file):
    pairs = PairDataset.from_corpus(corpus, TextSettings(descriptions=enriched_file, mix="sample", share=0.25))
    rng = np.random.default_rng(0)
    drawn = Counter(pairs.texts[pairs.sample_text(0, rng.random())].startswith("Enriched") for _ in range(4000))
    assert drawn[True] / 4000 == pytest.approx(0.25, abs=0.03)


def test_a_corpus_that_outgrew_its_descriptions_is_refused(corpus, enriched_file):
    descriptions = describe([CellProfile("B cell")])
    save_descriptions(enriched_file, descriptions, {})
    with pytest.raises(InputError, match="Run `okrcell enrich` on the corpus again"):
        PairDataset.from_corpus(corpus, TextSettings(descriptions=enriched_file))


def test_other_descriptions_give_another_fingerprint(corpus, enriched_file):
    with_file = PairDataset.from_corpus(corpus, TextSettings(descriptions=enriched_file)).fingerprint
    assert with_file != PairDataset.from_corpus(corpus).fingerprint == corpus.fingerprint


def test_cells_whose_text_was_refused_take_no_part_in_alignment(corpus, enriched_file, vocabulary):
    descriptions = load_descriptions(enriched_file).descriptions
    refused = [replace(descriptions[0], sentences=(), phrasings=(), original=(), outcome="dropped"), *descriptions[1:]]
    save_descriptions(enriched_file, refused, {})
    pairs = PairDataset.from_corpus(corpus, TextSettings(descriptions=enriched_file))
    assert not pairs.has_text[pairs.description == 0].any()
    tokeniser = BinTokenizer(TokenizerSettings(limit=32), vocabulary, GeneTable.bundled())
    batch = PairDataLoader(pairs, np.arange(len(corpus)), tokeniser, StreamSettings(batch_size=256)).batch(0)
    of_refused = pairs.description[batch.row.numpy()] == 0
    assert of_refused.any()
    assert (batch.weight.numpy()[of_refused] == 0).all()
    assert (batch.weight.numpy()[~of_refused] == 1).any()
