"""Hybrid passage index: build, add, search by words and by vectors, damage."""

import hashlib
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from okrcell.errors import InputError
from okrcell.evidence import Evidence
from okrcell.knowledge import bm25 as word_counts
from okrcell.knowledge.bm25 import char_ngrams, count_words, split_words
from okrcell.knowledge.passage_index import FusionSettings, PassageIndex
from okrcell.ontology.relations import search_queries

DENSE, LEXICAL = FusionSettings(words=0, fragments=0), FusionSettings(meaning=0)


class HashedWords:
    """Embed a text as the sum of fixed random vectors of its words."""

    name = "hashed-words"

    def __init__(self):
        self.seen: list[str] = []

    def embed_texts(self, texts):
        self.seen += texts
        vectors = np.stack([sum(map(self._word, text.lower().split()), np.full(16, 1e-3)) for text in texts])
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)

    def _word(self, word):
        return np.random.default_rng(list(hashlib.sha256(word.encode()).digest())).standard_normal(16)


def passage(text, record="1", source="tales", terms=(), **more):
    return Evidence(text, source, record, "2024", "CC BY 4.0", terms=tuple(terms), **more)


TALES = [
    passage("B cells make antibodies and carry CD79A.", "b", terms=["CL:0000236"], genes=("CD79A",), aspect="marker"),
    passage("Osteoblasts build bone.", "o", terms=["CL:0000062"]),
    passage("Neutrophils swallow bacteria.", "n", source="journal", terms=["CL:0000775", "UBERON:0000178"]),
    passage("Platelets stop bleeding – α-granules help.", "p", source="journal"),
]


@pytest.fixture
def index(tmp_path):
    return PassageIndex.build(tmp_path / "index", TALES, HashedWords())


def records(found):
    return [each.evidence.record for each in found]


def test_a_passage_comes_back_with_its_whole_address(index):
    assert [index[place] for place in range(len(index))] == TALES
    assert index.search("antibodies", top=1)[0].evidence == TALES[0]


def test_words_are_compared_as_names_are():
    assert split_words("CD8+ T-cells, α-granules") == split_words("cd8 positive t cell alpha granule")
    assert set(char_ngrams("osteocyte")) & set(char_ngrams("osteoblast")) == {"^ost", "oste"} | {"steo"}
    assert char_ngrams("T cell") == ["^t", "^cel", "cell"]


def test_a_word_is_found_also_when_only_a_part_is_shared(index):
    found = index.search("osteocyte", weights=LEXICAL)
    assert records(found) == ["o"]
    assert found[0].bm25_rank is None
    assert found[0].ngram_rank == 1


def test_the_vector_search_is_exact(index):
    embedder = HashedWords()
    similarity = embedder.embed_texts([tale.text for tale in TALES]) @ embedder.embed_texts(["bone bacteria"])[0]
    found = index.search("bone bacteria", top=10, weights=DENSE)
    assert records(found) == [TALES[place].record for place in np.argsort(-similarity, kind="stable")]
    assert [each.dense_rank for each in found] == [1, 2, 3, 4]


def test_each_found_passage_tells_its_rank_in_every_search(index):
    found = index.search("swallow bacteria", top=4)
    assert found[0].evidence.record == "n"
    assert (found[0].bm25_rank, found[0].ngram_rank, found[0].dense_rank) == (1, 1, 1)
    assert found[0].score == pytest.approx(1 / 4)
    assert all(each.bm25_rank is None for each in found[1:])


def test_reopening_gives_the_same_answers_and_embeds_only_the_question(index):
    embedder = HashedWords()
    again = PassageIndex.open(index.folder, embedder)
    assert embedder.seen == []
    assert again.search("what stops bleeding") == index.search("what stops bleeding")
    assert embedder.seen == ["what stops bleeding"]


def test_sources_can_be_chosen(index):
    assert index.sources() == ("journal", "tales")
    assert set(records(index.search("bacteria", sources=["tales"]))) <= {"b", "o"}
    assert set(records(index.search("antibodies", top=9, sources=["journal"]))) == {"n", "p"}
    assert index.search("bacteria", sources=["nobody"]) == ()
    assert index.search("antibodies", sources="journal") == index.search("antibodies", sources=["journal"])


def test_only_passages_about_the_terms_are_found(index):
    term_ids = frozenset({"CL:0000084", "CL:0000542"})  # T cell, lymphocyte
    assert index.search("antibodies", term_ids=term_ids) == ()
    assert records(index.search("bone", term_ids=term_ids | {"CL:0000236"})) == ["b"]
    assert records(index.search("bone", term_ids=frozenset({"UBERON:0000178"}), weights=DENSE)) == ["n"]


def test_a_question_says_what_kind_of_thing_is_sought():
    assert search_queries("CL:0000236")[:2] == ("B cell", "B cell, a kind of lymphocyte of B lineage")
    assert search_queries("CL:0000236")[2].startswith("B cell, a kind of lymphocyte of B lineage; ")
    assert search_queries("CL:0000000") == ("cell",)


@pytest.mark.parametrize("wrong", ["B cell", "CL:9999999", "XY:1"])
def test_an_unknown_term_has_no_search_queries(wrong):
    with pytest.raises(InputError, match=wrong):
        search_queries(wrong)


def test_two_phrasings_are_asked_together(index):
    found = index.search(["swallow bacteria", "bone"], top=2)
    assert set(records(found)) == {"n", "o"}
    assert [each.bm25_rank for each in found] == [1, 1]
    assert index.search(["bone", "bone", " "]) == index.search("bone")
    assert index.search([]) == ()


def test_a_blank_question_finds_nothing(index):
    assert index.search("  ") == ()


def test_a_question_of_unknown_words_is_answered_by_meaning_alone(index):
    assert index.search("qqq", weights=LEXICAL) == ()
    assert len(index.search("qqq", top=9)) == len(TALES)


def test_what_is_there_is_neither_embedded_again_nor_doubled(index):
    embedder = HashedWords()
    again = PassageIndex.open(index.folder, embedder)
    calls = []
    assert again.add([*TALES, passage("Mast cells hold histamine.", "m")], lambda *done: calls.append(done)) == 1
    assert embedder.seen == ["Mast cells hold histamine."]
    assert calls == [(1, 1)]
    assert len(again) == 5
    assert again.add(TALES) == 0
    assert embedder.seen == ["Mast cells hold histamine."]


def test_the_same_words_from_another_record_are_another_passage(index):
    assert index.add([passage(TALES[1].text, "another"), passage("Osteoblasts build and mend bone.", "o")]) == 2


def test_an_index_without_vectors_compares_words(tmp_path):
    index = PassageIndex.build(tmp_path / "index", TALES)
    assert records(index.search("bacteria")) == ["n"]
    assert not (tmp_path / "index" / "vectors.npy").exists()
    assert index.add([passage("Bacteria and more bacteria.", "x")]) == 1
    assert set(records(index.search("bacteria"))) == {"n", "x"}


def test_without_its_encoder_an_index_still_compares_words_but_takes_no_more_passages(index):
    again = PassageIndex.open(index.folder)
    assert records(again.search("bacteria")) == ["n"]
    with pytest.raises(InputError, match="open it with its encoder"):
        again.add([passage("new")])


def test_vectors_of_another_encoder_are_refused(index, tmp_path):
    other = HashedWords()
    other.name = "other"
    with pytest.raises(InputError, match="vectors of 'hashed-words', not of 'other'"):
        PassageIndex.open(index.folder, other)
    PassageIndex.build(tmp_path / "plain", TALES)
    with pytest.raises(InputError, match="has no vectors"):
        PassageIndex.open(tmp_path / "plain", other)


def test_no_passages_make_no_index(tmp_path):
    with pytest.raises(InputError, match="no passages"):
        PassageIndex.build(tmp_path / "index", [])
    assert list(tmp_path.iterdir()) == []


def test_passages_without_a_letter_are_kept(tmp_path):
    index = PassageIndex.build(tmp_path / "index", [passage("…", "1"), passage("!", "2")], HashedWords())
    again = PassageIndex.open(index.folder, HashedWords())
    assert len(again) == 2
    assert again.search("bone", weights=LEXICAL) == ()


def test_what_is_no_index_is_never_replaced(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("all my work")
    with pytest.raises(InputError, match="left unchanged"):
        PassageIndex.build(tmp_path / "thesis", TALES)
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "all my work"


def test_where_nothing_is_one_line_says_so(tmp_path):
    with pytest.raises(InputError, match="There is no index of passages"):
        PassageIndex.open(tmp_path / "nowhere")


def files_of(folder):
    return sorted(part.relative_to(folder).as_posix() for part in folder.rglob("*") if part.is_file())


def test_any_file_that_is_lost_cut_or_changed_gives_one_line(index):
    names = files_of(index.folder)
    assert {"index.json", "passages.arrow", "vectors.npy"} < set(names)
    for name in names:
        part = index.folder / name
        whole = part.read_bytes()
        changed = bytearray(whole)
        changed[len(whole) // 2] ^= 0xFF
        for damage in (None, whole[: len(whole) // 2], bytes(changed), b""):
            part.unlink(missing_ok=True)
            if damage is not None:
                part.write_bytes(damage)
            with pytest.raises(InputError) as error:
                PassageIndex.open(index.folder, HashedWords())
            assert "\n" not in str(error.value)
            assert "Build" in str(error.value)
        part.write_bytes(whole)
    assert len(PassageIndex.open(index.folder)) == len(TALES)


def test_a_damaged_file_gives_one_line_also_when_only_sizes_are_compared(index):
    for name in ("passages.arrow", "vectors.npy", "words/params.index.json", "fragments/indices.csc.index.npy"):
        part = index.folder / name
        whole = part.read_bytes()
        part.write_bytes(b"\x80" * len(whole))
        with pytest.raises(InputError, match="damaged"):
            PassageIndex.open(index.folder, HashedWords(), check=False)
        part.write_bytes(whole)


def test_nothing_in_the_folder_is_a_pickle(index):
    for name in files_of(index.folder):
        assert Path(name).suffix in {".npy", ".json", ".arrow"}
        if name.endswith(".npy"):
            assert np.load(index.folder / name, allow_pickle=False).dtype != object


KILLED = """
import os, signal, sys
from okrcell.evidence import Evidence
from okrcell.knowledge import passage_store as module
from okrcell.knowledge.passage_index import PassageIndex

def killed(*arguments):
    os.kill(os.getpid(), signal.SIGKILL)
module.write_manifest = killed
PassageIndex.open(sys.argv[1]).add([Evidence("new words", "tales", "9", "2024", "CC BY 4.0")])
"""


def test_a_process_killed_while_adding_leaves_the_former_index(tmp_path):
    PassageIndex.build(tmp_path / "index", TALES)
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, tmp_path / "index"],
        check=False,
        capture_output=True,
        timeout=60,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    again = PassageIndex.open(tmp_path / "index")
    assert len(again) == len(TALES)
    assert again.add([passage("new words", "9")]) == 1


word_lists = st.lists(
    st.sampled_from(["bone", "blood", "cell", "makes", "T", "osteoblast", "CD8+"]), min_size=1, max_size=5
)
tales = st.lists(
    st.builds(
        lambda words, record, source, terms: passage(" ".join(words), record, source, terms),
        word_lists,
        st.sampled_from("abc"),
        st.sampled_from(["tales", "journal"]),
        st.lists(st.sampled_from(["CL:1", "CL:2"]), max_size=2, unique=True),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=25, deadline=None)
@given(tales, tales, word_lists.map(" ".join))
def test_passages_added_later_are_found_as_if_they_had_always_been_there(first, later, question):
    with tempfile.TemporaryDirectory() as folder:
        at_once = PassageIndex.build(Path(folder) / "one", [*first, *later], HashedWords())
        grown = PassageIndex.build(Path(folder) / "two", first, HashedWords())
        grown.add(later)
        assert [at_once[place] for place in range(len(at_once))] == [grown[place] for place in range(len(grown))]
        for choice in ({}, {"sources": ["tales"]}, {"term_ids": frozenset({"CL:2"})}):
            assert at_once.search(question, 9, **choice) == grown.search(question, 9, **choice)
        expected = {each.sha256 for each in [*first, *later] if "CL:2" in each.terms and each.source == "journal"}
        kin = grown.search(question, 99, sources=["journal"], term_ids=frozenset({"CL:2"}))
        assert {each.evidence.sha256 for each in kin} <= expected


@given(st.lists(st.lists(st.sampled_from("abcdef"), max_size=8), max_size=14), st.integers(1, 5), st.integers(0, 14))
def test_counts_in_portions_are_the_counts_of_all_at_once(split, portion, known):
    whole_words: dict[str, int] = {}
    whole = count_words(split, whole_words)
    words_now: dict[str, int] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(word_counts, "PASSAGE_CHUNK_SIZE", portion)
        patch.setattr(word_counts, "PAIR_CHUNK_SIZE", portion)
        joined = count_words(split[known:], words_now, count_words(split[:known], words_now))
        weighed = word_counts.bm25_weights(joined, 1.5, 0.3)
    assert words_now == whole_words
    for one, other in zip(joined, whole, strict=True):
        assert one.dtype == other.dtype
        assert one.tolist() == other.tolist()
    assert weighed.tolist() == word_counts.bm25_weights(whole, 1.5, 0.3).tolist()


def test_passages_are_taken_one_by_one_and_each_once(tmp_path):
    index = PassageIndex.build(tmp_path / "index", (each for each in [*TALES, *TALES]), HashedWords())
    assert [index[place] for place in range(len(index))] == TALES
