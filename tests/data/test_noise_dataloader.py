"""Noise changes the contents of a batch, never the selection of cells."""

import numpy as np
import pytest
import torch

from okrcell.cells.genes import GeneTable
from okrcell.cells.tokenizer import BinTokenizer, TokenizerSettings
from okrcell.data.dataloader import PairDataLoader, StreamSettings, TokenCache
from okrcell.data.dataset import PairDataset
from okrcell.data.label_noise import NoiseSettings, add_noise
from okrcell.errors import SettingsError

ROWS = np.arange(20, 700)


@pytest.fixture(scope="module")
def pairs(corpus):
    return PairDataset.from_corpus(corpus)


@pytest.fixture
def tokeniser(vocabulary):
    return BinTokenizer(TokenizerSettings(limit=64, select="highest"), vocabulary, GeneTable.bundled())


def same(one, other, *names):
    def part(batch, name):
        return getattr(batch.cells, name) if name in ("gene", "value") else getattr(batch, name)

    return all(torch.equal(part(one, name), part(other, name)) for name in names)


ALL = ("gene", "value", "masked", "text", "cell_type", "weight", "row")


@pytest.mark.parametrize("balance", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("kind", ["shuffled", "sibling"])
def test_wrong_labels_do_not_change_which_cells_are_drawn(pairs, tokeniser, balance, kind):
    made = add_noise(pairs, ROWS, NoiseSettings(kind=kind, rate=0.6))
    settings = StreamSettings(batch_size=64, balance=balance)
    clean, wrong = (
        PairDataLoader(pairs, ROWS, tokeniser, settings),
        PairDataLoader(made.dataset, ROWS, tokeniser, settings),
    )
    for step in range(3):
        one, other = clean.batch(step), wrong.batch(step)
        assert same(one, other, "gene", "value", "masked", "weight", "row")
        differs = one.cell_type != other.cell_type
        assert torch.equal(differs, torch.from_numpy(made.is_noisy[one.row.numpy()]))


def test_a_text_is_one_of_the_wrong_description(pairs, tokeniser):
    made = add_noise(pairs, ROWS, NoiseSettings(kind="shuffled", rate=1))
    batch = PairDataLoader(made.dataset, ROWS, tokeniser, StreamSettings(batch_size=64)).batch(0)
    for row, text, weight in zip(batch.row.tolist(), batch.text.tolist(), batch.weight.tolist(), strict=True):
        if weight:
            assert text in pairs.text_indices[made.dataset.description[row]]
            assert text not in pairs.text_indices[pairs.description[row]]


@pytest.mark.parametrize("select", ["highest", "relative"])
@pytest.mark.parametrize("noise", ["none", "dropout"])
def test_kept_tokens_make_the_same_batches(pairs, vocabulary, select, noise):
    tokeniser = BinTokenizer(TokenizerSettings(limit=40, select=select), vocabulary, GeneTable.bundled())
    made = add_noise(pairs, ROWS, NoiseSettings(kind=noise, rate=0.5 if noise != "none" else 0))
    settings = StreamSettings(batch_size=50, balance=0.5)
    plain = PairDataLoader(made.dataset, ROWS, tokeniser, settings)
    keeping = PairDataLoader(made.dataset, ROWS, tokeniser, settings.model_copy(update={"keep_tokens": True}))
    for step in (0, 7, 1, 7, 30):
        assert same(plain.batch(step), keeping.batch(step), *ALL)
    for one, other in zip(plain.validation_batches(), keeping.validation_batches(), strict=True):
        assert same(one, other, *ALL)


def test_a_cell_with_few_genes_and_one_without_any_are_kept_like_others(pairs, tokeniser):
    cache = TokenCache(pairs, tokeniser)
    for rows in ([3], [3, 3, 5], [699, 3, 5, 0], []):
        tokens, plain = cache.tokens(np.array(rows, dtype=np.int64)), tokeniser.tokenize(pairs.corpus.rows(rows))
        assert torch.equal(tokens.gene, plain.gene)
        assert torch.equal(tokens.value, plain.value)
    assert len(cache) == 4


def test_streams_share_what_is_kept_unless_expression_is_tampered_with(pairs, tokeniser, monkeypatch):
    cache = TokenCache(pairs, tokeniser)
    settings = StreamSettings(batch_size=len(ROWS), keep_tokens=True)
    wrong_texts = add_noise(pairs, ROWS, NoiseSettings(kind="shuffled", rate=0.5))
    spoiled = add_noise(pairs, ROWS, NoiseSettings(kind="permuted", rate=0.5))
    one = PairDataLoader(pairs, ROWS, tokeniser, settings, cache).batch(0)
    assert len(cache) == len(ROWS)
    with monkeypatch.context() as no_more:
        no_more.setattr(tokeniser, "tokenize", lambda *_: pytest.fail("tokenised again"))
        two = PairDataLoader(wrong_texts.dataset, ROWS, tokeniser, settings, cache).batch(0)
    assert same(one, two, "gene", "value", "masked", "row")
    three = PairDataLoader(spoiled.dataset, ROWS, tokeniser, settings, cache).batch(0)
    assert not torch.equal(one.cells.value, three.cells.value)
    assert same(one, PairDataLoader(pairs, ROWS, tokeniser, settings, cache).batch(0), *ALL)


def test_tokens_that_are_drawn_anew_cannot_be_kept(pairs, tokeniser, vocabulary):
    by_lot = BinTokenizer(TokenizerSettings(limit=64, select="hashed"), vocabulary, GeneTable.bundled())
    with pytest.raises(SettingsError, match=r"model\.tokeniser\.select to highest or relative"):
        PairDataLoader(pairs, ROWS, by_lot, StreamSettings(keep_tokens=True))
    with pytest.raises(SettingsError, match=r"stream\.min_gene_fraction to 1"):
        PairDataLoader(pairs, ROWS, tokeniser, StreamSettings(keep_tokens=True, min_gene_fraction=0.5))
