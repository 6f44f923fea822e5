"""A text predicts the genes of the known types whose texts are nearest to it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from scipy import sparse

from example_signatures import B_CELL, HEPATOCYTE, TYPES, example_head
from okrcell.errors import CheckpointError
from okrcell.model.signatures import (
    DISTANCE_POWER,
    MIN_DISTANCE,
    SIGNATURES_FILE,
    SignatureHead,
    TypeVariation,
    knowledge_weight,
)

SYMBOLS = ("CD79A", "MS4A1", "CD3D", "CD3E", "LYZ", "CST3", "NKG7", "GNLY", "HP", "IL32", "CD74", "ACTB")


VARIATION = TypeVariation(
    np.linalg.qr(np.random.default_rng(1).normal(size=(len(SYMBOLS), 2)))[0].astype(np.float32),
    np.array([4.0, 0.5], dtype=np.float32),
)


@pytest.fixture
def head():
    return replace(example_head(SYMBOLS), variation=VARIATION)


@pytest.fixture
def folder(head, tmp_path):
    head.save(tmp_path)
    return tmp_path


def plainly_read(head, text):
    """Shepard's interpolation from the eight nearest texts, a text at a time."""
    text = text / np.linalg.norm(text)
    distance = np.array([max(np.linalg.norm(text - key), MIN_DISTANCE) for key in head.key.numpy()])
    nearest = np.argsort(distance)[:8]
    weight = distance[nearest] ** -DISTANCE_POWER
    shares = np.zeros(len(head.types))
    for place, one in zip(nearest, weight / weight.sum(), strict=True):
        shares[int(head.key_type[place])] += one
    return shares


def test_reading_is_shepards_interpolation_whatever_the_length_of_the_vector(head):
    texts = np.random.default_rng(3).normal(size=(20, 16)).astype(np.float32)
    found = head.match_texts(torch.from_numpy(texts))
    np.testing.assert_allclose(found, [plainly_read(head, text) for text in texts], atol=2e-4)
    np.testing.assert_allclose(found, head.match_texts(torch.from_numpy(texts * 7)), atol=1e-4)


def test_a_text_of_a_known_type_is_read_as_that_type_and_no_other(head):
    found = head.match_texts(head.key)
    np.testing.assert_allclose(found, np.eye(len(TYPES))[head.key_type.numpy()], atol=1e-6)


def test_a_vector_of_a_known_type_is_read_as_that_type(head):
    np.testing.assert_allclose(head.match_vectors(head.vectors), np.eye(len(TYPES)), atol=1e-6)
    between = torch.nn.functional.normalize(head.vectors[:1] + 0.3 * head.vectors[1:2], dim=1)
    weight = head.match_vectors(between)[0]
    assert weight.argmax() == 0
    assert weight.sum() == pytest.approx(1)


def test_few_markers_have_less_weight_than_cells():
    np.testing.assert_allclose(knowledge_weight(np.array([0, 5, 20, 150])), [0, 0.25, 0.5, 0.5])


@given(seed=st.integers(0, 10**6), texts=st.integers(0, 9), keys=st.integers(1, 12))
@settings(deadline=None)
def test_shares_are_shares_whatever_is_read(seed, texts, keys):
    head = example_head(SYMBOLS)
    head = replace(head, key=head.key[:keys], key_type=head.key_type[:keys])
    pooled = torch.from_numpy(np.random.default_rng(seed).normal(size=(texts, 16)).astype(np.float32))
    found = head.match_texts(pooled)
    assert found.shape == (texts, len(TYPES))
    assert (found >= 0).all()
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)


def test_a_mixture_predicts_the_mean_of_what_its_parts_predict(head):
    shares = np.array([[1, 0, 0, 0, 0], [0.25, 0.75, 0, 0, 0], [0, 0, 0, 0, 0]], dtype=np.float32)
    found = head.signatures(shares)
    np.testing.assert_allclose(found.knowledge.toarray(), shares @ head.knowledge.toarray(), atol=1e-6)
    np.testing.assert_allclose(found.cells.toarray(), shares @ head.cells.toarray(), atol=1e-6)
    both = head.knowledge.toarray() + head.cells.toarray()
    np.testing.assert_allclose(found.combined.toarray(), shares @ both, atol=1e-6)
    np.testing.assert_array_equal(found.type_weights, shares)


def test_types_are_known_by_their_ids_alone(head):
    assert head.index_of([HEPATOCYTE, "CL:0000000", "", B_CELL]).tolist() == [4, -1, -1, 0]


def test_a_saved_head_comes_back_to_the_precision_of_sixteen_bits(head, folder):
    back = SignatureHead.load(folder, TYPES, len(SYMBOLS))
    assert back.types == TYPES
    assert torch.equal(back.key_type, head.key_type)
    for name in ("key", "vectors", "level", "spread", "linear"):
        torch.testing.assert_close(getattr(back, name), getattr(head, name), rtol=1e-3, atol=1e-3)
    for name in ("knowledge", "cells"):
        np.testing.assert_allclose(getattr(back, name).toarray(), getattr(head, name).toarray(), rtol=1e-3)
        assert getattr(back, name).dtype == np.float32
    np.testing.assert_allclose(back.variation.axes, VARIATION.axes, atol=1e-3)
    np.testing.assert_array_equal(back.variation.variances, VARIATION.variances)
    texts = torch.randn(6, 16, generator=torch.Generator().manual_seed(0))
    np.testing.assert_allclose(back.match_texts(texts), head.match_texts(texts), atol=0.02)


def change(name, to):
    def damage(path):
        held = load_file(path)
        held[name] = to(held[name])
        save_file(held, path)

    return damage


def without(name):
    def damage(path):
        held = load_file(path)
        del held[name]
        save_file(held, path)

    return damage


def put(place, value):
    def to(tensor):
        tensor = tensor.clone()
        tensor[place] = value
        return tensor

    return to


def truncate(keep):
    return lambda path: path.write_bytes(path.read_bytes()[:keep])


DAMAGES = {
    "gone": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "cut in its head": truncate(40),
    "cut in its numbers": truncate(900),
    "no tensors": lambda path: path.write_bytes(b"\x80\x04K\x01." * 30),
    "no keys": without("key"),
    "no vectors": without("vectors"),
    "no levels": without("level"),
    "no genes of the books": without("knowledge.gene"),
    "a level too few": change("level", lambda tensor: tensor[:-1].contiguous()),
    "levels in two rows": change("level", lambda tensor: tensor.reshape(2, -1)),
    "a level of whole numbers": change("level", lambda tensor: tensor.to(torch.int64)),
    "a level that is none": change("level", put(3, float("nan"))),
    "a spread below zero": change("spread", put(0, -1.0)),
    "endless expression": change("linear", put(0, float("inf"))),
    "a key that is none": change("key", put((0, 0), float("nan"))),
    "keys in a line": change("key", lambda tensor: tensor.flatten()),
    "a key too few": change("key", lambda tensor: tensor[:-1].contiguous()),
    "no key at all": lambda path: (
        change("key", lambda keys: keys[:0])(path),
        change("owner", lambda own: own[:0])(path),
    ),
    "an owner beyond the types": change("owner", put(0, 5)),
    "an owner below the types": change("owner", put(0, -1)),
    "owners that are no places": change("owner", lambda tensor: tensor.to(torch.float32)),
    "owners in two rows": change("owner", lambda tensor: tensor.reshape(2, -1)),
    "a vector too few": change("vectors", lambda tensor: tensor[:-1].contiguous()),
    "a weight that is none": change("cells.weight", put(0, float("nan"))),
    "a weight too few": change("cells.weight", lambda tensor: tensor[:-1].contiguous()),
    "a weight of another kind": change("cells.weight", lambda tensor: tensor.to(torch.complex64)),
    "a gene beyond the list": change("knowledge.gene", put(0, len(SYMBOLS))),
    "a gene below the list": change("knowledge.gene", put(0, -1)),
    "rows that go back": change("knowledge.starts", put(1, 1000)),
    "rows that begin late": change("knowledge.starts", put(0, 1)),
    "a row too few": change("knowledge.starts", lambda tensor: tensor[:-1].contiguous()),
    "axes of other genes": change("axes", lambda tensor: tensor[:-1].contiguous()),
    "an axis without variance": change("axis_variances", lambda tensor: tensor[:-1].contiguous()),
    "a variance below zero": change("axis_variances", put(1, -0.5)),
    "axes without variances": without("axis_variances"),
    "rows in two rows": change("cells.starts", lambda tensor: tensor.reshape(2, -1)),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_file_is_one_line(folder, damage):
    damage(folder / SIGNATURES_FILE)
    with pytest.raises(CheckpointError, match=r"Fetch the model again|fetch it again") as raised:
        SignatureHead.load(folder, TYPES, len(SYMBOLS))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("types", "genes"), [(TYPES[:-1], 12), ((*TYPES, "CL:0000000"), 12), (TYPES, 11), (TYPES, 13)])
def test_a_file_of_other_types_or_genes_is_refused(folder, types, genes):
    with pytest.raises(CheckpointError, match=r"fit|damaged"):
        SignatureHead.load(folder, types, genes)


def test_a_type_of_which_nothing_is_known_predicts_nothing(head):
    nothing = replace(head, knowledge=sparse.csr_matrix((5, 12), dtype=np.float32))
    assert nothing.signatures(np.eye(5, dtype=np.float32)).knowledge.nnz == 0
