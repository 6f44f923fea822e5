"""A study whose labels contradict the others is not learned from."""

import anndata as ad
import numpy as np
import pytest
from example_profiles import B_CELL, GENES, HEPATOCYTE, PLATELET, T_CELL, TYPES, make_profiles, truths
from scipy import sparse

from okrcell.cells.genes import GeneTable
from okrcell.data.corpus import Corpus
from okrcell.data.dataset import PairDataset
from okrcell.data.prepare import prepare
from okrcell.knowledge.cell_type_markers import load_marker_consensus
from okrcell.training.cell_type_profiles import build_known_types, build_study_profiles, drop_contradictory_studies

SHIFTED = (*TYPES[1:], TYPES[0])


def books(types=TYPES):
    """Say of each type which genes it has more of than the others."""
    strength = np.maximum(truths(), 0)[[TYPES.index(name) for name in types]]
    return tuple(types), sparse.csr_matrix(strength.astype(np.float32))


def test_sound_studies_are_kept_whole():
    known = build_known_types(make_profiles({"a": TYPES, "b": TYPES, "c": TYPES}), *books())
    consistent_types, confused = drop_contradictory_studies(known)
    assert confused == ()
    assert consistent_types.types == known.types
    np.testing.assert_array_equal(consistent_types.profiles.difference, known.profiles.difference)
    np.testing.assert_allclose(consistent_types.cells(), known.cells())


def test_a_study_whose_labels_were_shifted_by_one_is_left_out():
    known = build_known_types(make_profiles({"a": TYPES, "b": SHIFTED, "c": TYPES, "d": TYPES}), (), None)
    consistent_types, confused = drop_contradictory_studies(known)
    assert confused == ("b",)
    assert sorted(set(consistent_types.profiles.group.tolist())) == ["a", "c", "d"]
    assert len(consistent_types.profiles.type) == 18


def test_marker_tables_alone_are_enough_to_find_it():
    consistent_types, confused = drop_contradictory_studies(build_known_types(make_profiles({"b": SHIFTED}), *books()))
    assert confused == ("b",)
    assert len(consistent_types.profiles.type) == 0
    assert not consistent_types.cells().any()
    np.testing.assert_allclose(np.linalg.norm(consistent_types.knowledge, axis=1), 1, rtol=1e-5)


def test_one_wrong_label_costs_its_own_profile_alone():
    # Platelets and hepatocytes of b have each other's name.
    swapped = (T_CELL, PLATELET, HEPATOCYTE, *TYPES[3:])
    known = build_known_types(make_profiles({"a": TYPES, "b": swapped, "c": TYPES, "d": TYPES}), *books())
    consistent_types, confused = drop_contradictory_studies(known)
    assert confused == ()
    names = [
        consistent_types.profiles.types[kind]
        for kind in consistent_types.profiles.type[consistent_types.profiles.group == "b"]
    ]
    assert names == [T_CELL, *TYPES[3:]]


def test_where_nobody_else_knows_a_type_there_is_nothing_to_doubt():
    known = build_known_types(make_profiles({"a": SHIFTED}), (), None)
    consistent_types, confused = drop_contradictory_studies(known)
    assert confused == ()
    assert len(consistent_types.profiles.type) == 6


def test_a_type_of_which_nothing_remains_is_no_known_type():
    # Only the confused study shows hepatocytes.
    others = (T_CELL, None, *TYPES[2:])
    known = build_known_types(make_profiles({"a": others, "b": SHIFTED, "c": others, "d": others}), (), None)
    assert HEPATOCYTE in known.types
    consistent_types, confused = drop_contradictory_studies(known)
    assert confused == ("b",)
    assert HEPATOCYTE not in consistent_types.types
    assert (consistent_types.cells().any(axis=1) | consistent_types.knowledge.any(axis=1)).all()
    assert consistent_types.cells().shape == (len(consistent_types.types), GENES)
    assert B_CELL in consistent_types.types


def test_a_type_whose_markers_are_no_genes_of_the_model_is_no_known_type():
    profiles = make_profiles({"a": (*TYPES[:4], None, None)})
    consistent_types, _ = drop_contradictory_studies(
        build_known_types(profiles, ("CL:0000786",), sparse.csr_matrix((1, GENES), dtype=np.float32))
    )
    assert "CL:0000786" not in consistent_types.types


BLOOD = ("zheng_pbmc_facs", "zheng_ref_mudan", "zheng_scn_pbmc", "breast_cancer_wu2021_cid4465")


@pytest.fixture(scope="module")
def four_studies(shared_data):
    """Three studies of blood and one of a tumour, a few hundred cells of each."""
    studies = {}
    for name in BLOOD:
        whole = ad.read_h5ad(shared_data / "pretrain" / f"{name}.h5ad", backed="r")
        rows = np.sort(np.random.default_rng(0).permutation(whole.n_obs)[:300])
        obs = whole.obs.iloc[rows][["cell_type_ontology_term_id"]].astype(str)
        studies[name] = ad.AnnData(sparse.csr_matrix(whole[rows].X), obs=obs, var=whole.var.copy())
    return studies


@pytest.fixture(scope="module")
def tables(shared_knowledge):
    """What marker tables say."""
    return load_marker_consensus(shared_knowledge)


def learned_from(studies, folder, tables):
    files = []
    for name, adata in studies.items():
        files.append(folder / f"{name}.h5ad")
        adata.write_h5ad(files[-1])
    prepare(files, folder / "corpus")
    corpus = Corpus.open(folder / "corpus", GeneTable.bundled())
    genes = np.flatnonzero(corpus.gene_count() >= 20)
    place = np.full(len(GeneTable.bundled()), -1)
    place[genes] = np.arange(len(genes))
    row = GeneTable.bundled().resolve(tables.genes).row
    strength = tables.on_gene_axis(np.where(row >= 0, place[row], -1), len(genes))
    profiles = build_study_profiles(PairDataset.from_corpus(corpus), np.arange(len(corpus)), genes, {})
    return build_known_types(profiles, tables.types, strength)


def test_real_studies_that_agree_are_kept(four_studies, tables, tmp_path):
    _, confused = drop_contradictory_studies(learned_from(four_studies, tmp_path, tables))
    assert confused == ()


def test_a_real_study_whose_types_were_exchanged_is_left_out(four_studies, tables, tmp_path):
    shifted = BLOOD[1]
    wrong = four_studies[shifted].copy()
    kinds, place = np.unique(wrong.obs["cell_type_ontology_term_id"], return_inverse=True)
    wrong.obs["cell_type_ontology_term_id"] = kinds[(place + 1) % len(kinds)]
    consistent_types, confused = drop_contradictory_studies(
        learned_from({**four_studies, shifted: wrong}, tmp_path, tables)
    )
    assert confused == (shifted,)
    assert shifted not in consistent_types.profiles.group
