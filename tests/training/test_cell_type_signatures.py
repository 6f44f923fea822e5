"""The memory of a type is half what marker tables say, half what its cells showed."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from example_profiles import B_CELL, GENES, HEPATOCYTE, MONOCYTE, NK_CELL, PLATELET, T_CELL, TYPES, make_profiles
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from okrcell.descriptions.metadata_text import label_texts
from okrcell.training import cell_type_profiles as module
from okrcell.training.cell_type_profiles import (
    NEGATIVE_WEIGHT,
    PRIOR_STUDIES,
    KnownTypes,
    build_known_types,
    build_signature_head,
    unit_rows,
)


def knowledge_matrix(**weights):
    """Lay what tables say out on the genes."""
    dense = np.zeros((len(weights), GENES), dtype=np.float32)
    for number, genes in enumerate(weights.values()):
        for gene, weight in genes.items():
            dense[number, gene] = weight
    return sparse.csr_matrix(dense)


def plainly_shown(known, without=None):
    """Mean over studies of standard profiles, drawn to zero, the lower side halved, the largest genes, unit length."""
    found = known.profiles
    rms = np.sqrt((found.difference.astype(float) ** 2).sum(axis=0) / np.maximum(found.measured.sum(axis=0), 1))
    z = np.clip(found.difference / (rms + 0.05), -3, 5) * found.measured
    rows = np.zeros((len(known.types), GENES))
    for number, name in enumerate(known.types):
        is_of_type = np.array(
            [
                found.types[kind] == name and group != without
                for kind, group in zip(found.type, found.group, strict=True)
            ]
        )
        mean = z[is_of_type].sum(axis=0) / (found.measured[is_of_type].sum(axis=0) + PRIOR_STUDIES)
        mean = np.where(mean < 0, NEGATIVE_WEIGHT * mean, mean)
        largest = np.sort(np.abs(mean))[::-1][module.MAX_GENES - 1] if module.MAX_GENES < GENES else 0
        mean[np.abs(mean) < largest] = 0
        rows[number] = mean
    return unit_rows(rows)


THREE = make_profiles({"a": TYPES, "b": TYPES, "c": (T_CELL, None, PLATELET, None, MONOCYTE, None)})


@pytest.mark.parametrize("without", [None, "a", "c", "nobody"])
@pytest.mark.parametrize("most", [300, 20])
def test_what_cells_show_is_that_of_the_formula(without, most, monkeypatch):
    monkeypatch.setattr(module, "MAX_GENES", most)
    known = build_known_types(THREE, (), None)
    found = known.cells(without)
    np.testing.assert_allclose(found, plainly_shown(known, without), atol=2e-3)
    assert (np.count_nonzero(found, axis=1) <= most).all()


def test_a_type_that_one_group_alone_showed_is_not_known_without_it():
    known = build_known_types(make_profiles({"a": TYPES, "b": (T_CELL, None, *TYPES[2:])}), (), None)
    place = known.types.index(HEPATOCYTE)
    assert known.cells()[place].any()
    assert not known.cells("a")[place].any()
    assert known.cells("b")[place].any()


def test_a_gene_that_no_study_measured_has_no_weight():
    profiles = make_profiles({"a": TYPES, "b": TYPES})
    profiles.measured[:, 7] = False
    assert not build_known_types(profiles, (), None).cells()[:, 7].any()


def test_markers_weigh_by_their_number_beside_cells_and_either_alone_has_all_of_a_signature():
    profiles = make_profiles({"a": (T_CELL, None, PLATELET, B_CELL, MONOCYTE, None)})
    books = knowledge_matrix(b={1: 2.0, 2: 1.0}, nk={3: 1.0})
    known = build_known_types(profiles, (B_CELL, NK_CELL), books)
    assert known.types == (T_CELL, PLATELET, B_CELL, MONOCYTE, NK_CELL)
    knowledge, cells = known.parts()
    lengths = np.linalg.norm(np.stack([knowledge, cells]), axis=2).T.tolist()
    length = dict(zip(known.types, lengths, strict=True))
    of_two_markers = 0.5 * (2 / 20) ** 0.5
    assert length[B_CELL] == pytest.approx([of_two_markers, 1 - of_two_markers])
    assert length[NK_CELL] == pytest.approx([1.0, 0.0])
    assert length[T_CELL] == pytest.approx([0.0, 1.0])
    assert knowledge[2, 1] == pytest.approx(2 * knowledge[2, 2])


def test_without_the_only_study_of_a_type_the_books_say_all():
    known = build_known_types(make_profiles({"a": TYPES}), (B_CELL,), knowledge_matrix(b={1: 1.0}))
    knowledge, cells = known.parts("a")
    assert not cells.any()
    assert np.linalg.norm(knowledge, axis=1)[known.types.index(B_CELL)] == pytest.approx(1)


def test_a_term_that_was_replaced_speaks_for_the_one_in_its_place():
    former, now = "CL:0000053", "CL:0000059"
    known = build_known_types(
        make_profiles({"a": TYPES}), (former, now, "CL:9999999"), knowledge_matrix(a={1: 1.0}, b={2: 1.0}, c={3: 1.0})
    )
    assert former not in known.types
    assert "CL:9999999" not in known.types
    assert np.flatnonzero(known.knowledge[known.types.index(now)]).tolist() == [1, 2]


@given(seed=st.integers(0, 10**6), rows=st.integers(0, 6))
@settings(deadline=None)
def test_unit_rows_have_length_one_or_none(seed, rows):
    made = np.random.default_rng(seed)
    given_rows = made.normal(size=(rows, 5)) * (made.random((rows, 1)) < 0.7)
    length = np.linalg.norm(unit_rows(given_rows), axis=1)
    np.testing.assert_allclose(length, given_rows.any(axis=1).astype(float), atol=1e-5)


@given(seed=st.integers(0, 10**6))
@settings(max_examples=15, deadline=None)
def test_the_order_of_studies_does_not_matter(seed):
    order = np.random.default_rng(seed).permutation(len(THREE.type))
    turned = replace(
        THREE,
        group=THREE.group[order],
        type=THREE.type[order],
        difference=THREE.difference[order],
        measured=THREE.measured[order],
    )
    np.testing.assert_allclose(
        KnownTypes(TYPES, np.zeros((6, GENES), np.float32), turned).cells("b"),
        KnownTypes(TYPES, np.zeros((6, GENES), np.float32), THREE).cells("b"),
        atol=1e-5,
    )


def pooled(texts):
    """A vector for each text, always the same for the same."""
    rows = [np.random.default_rng(sum(map(ord, text)) + 1000 * len(text)).normal(size=12) for text in texts]
    return torch.tensor(np.array(rows), dtype=torch.float32)


def test_the_memory_finds_each_type_by_each_of_its_texts():
    known = build_known_types(THREE, (B_CELL,), knowledge_matrix(b={1: 1.0}))
    head = build_signature_head(known, pooled, lambda rows: rows[:, :5] * 3)
    texts = [label_texts(name) for name in known.types]
    shares = head.match_texts(pooled([text for type_texts in texts for text in type_texts]))
    expected = np.repeat(np.eye(len(texts)), [len(type_texts) for type_texts in texts], axis=0)
    np.testing.assert_allclose(shares, expected, atol=1e-6)
    knowledge, cells = known.parts()
    np.testing.assert_array_equal(head.knowledge.toarray(), knowledge)
    np.testing.assert_array_equal(head.cells.toarray(), cells)
    mean = np.stack([pooled(type_texts)[:, :5].numpy().mean(axis=0) for type_texts in texts])
    np.testing.assert_allclose(head.vectors.numpy(), unit_rows(mean), atol=1e-5)
    torch.testing.assert_close(head.level, torch.full((GENES,), 0.5))
