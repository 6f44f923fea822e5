"""Models are scored by the same protocol as `okrcell.tl.annotate`."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

import okrcell as okr
from okrcell.benchmarking.datasets.labeled import TRUE_TYPE_KEY, read_held_out_studies, read_labeled_file
from okrcell.benchmarking.noise.trial import ZeroShotEvaluator
from okrcell.data.dataset import PairDataset
from okrcell.errors import InputError
from okrcell.model.embedder import Embedder
from okrcell.ontology.ontology import ontology


@pytest.fixture
def labeled(blood, tmp_path):
    """A file of which every tenth cell has no id."""
    adata = blood[::3].copy()
    ids = {name: ontology("CL").find(name).id for name in set(adata.obs["cell_type"])}
    adata.obs[TRUE_TYPE_KEY] = [
        "unknown" if i % 10 == 0 else ids[name] for i, name in enumerate(adata.obs["cell_type"])
    ]
    adata.write_h5ad(tmp_path / "labeled.h5ad")
    return adata, tmp_path / "labeled.h5ad"


def test_scores_are_those_of_annotate(labeled, checkpoint):
    adata, file = labeled
    embedder = Embedder(checkpoint)
    (scores,) = ZeroShotEvaluator([read_labeled_file(file)]).evaluate(embedder)
    truth = adata.obs[TRUE_TYPE_KEY]
    known = (truth != "unknown").to_numpy()
    okr.tl.annotate(adata, embedder, candidates=sorted(set(truth[known])))
    predicted = adata.obs["okrcell_cell_type_ontology_term_id"].astype(str)[known]
    assert (scores["set"], scores["cells"], scores["candidates"]) == (
        "labeled",
        int(known.sum()),
        truth[known].nunique(),
    )
    assert scores["accuracy"] == pytest.approx(accuracy_score(truth[known], predicted))
    assert scores["macro_f1"] == pytest.approx(f1_score(truth[known], predicted, average="macro", zero_division=0))


def test_a_model_is_scored_the_same_after_another(labeled, checkpoint, tiny_model, vocabulary):
    import torch

    from okrcell.model.cell_text_model import CellTextModel
    from okrcell.model.checkpoint import Checkpoint

    _, file = labeled
    other = CellTextModel(checkpoint.model.settings, n_genes=len(vocabulary) // 2).eval()
    with torch.no_grad():
        for _, parameter in other.text_encoder.named_adapted_parameters():
            parameter.add_(0.5)  # a text encoder that was trained says other things
    genes = type(vocabulary)(
        *(part[: len(vocabulary) // 2] for part in (vocabulary.ensembl_id, vocabulary.symbol, vocabulary.scale))
    )
    evaluator = ZeroShotEvaluator([read_labeled_file(file)])
    first = evaluator.evaluate(Embedder(checkpoint))
    scores_of_other = evaluator.evaluate(Embedder(Checkpoint(other, genes, {}, "other")))
    assert evaluator.evaluate(Embedder(checkpoint)) == first
    assert scores_of_other == ZeroShotEvaluator([read_labeled_file(file)]).evaluate(
        Embedder(Checkpoint(other, genes, {}, "other"))
    )


def test_a_cell_without_expression_has_no_answer(labeled, checkpoint):
    adata, file = labeled
    empty = adata.copy()
    empty.X = empty.X * 0
    empty.X.eliminate_zeros()
    matrix = empty.X.tolil()
    matrix[0] = adata.X[0].toarray()  # a file of nothing but zeros would be refused
    empty.X = matrix.tocsr()
    empty.write_h5ad(file)
    (scores,) = ZeroShotEvaluator([read_labeled_file(file)]).evaluate(Embedder(checkpoint))
    assert scores["accuracy"] == 0


def test_held_out_studies_have_their_own_types_as_candidates(corpus):
    pairs = PairDataset.from_corpus(corpus)
    (study,) = read_held_out_studies(pairs, ("second",))
    assert study.name == "second"
    assert len(study.truth) == int((corpus.obs["study"] == "second").sum()) - 10
    names = [candidate.name for candidate in study.candidates]
    labels = corpus.obs["cell_type"][corpus.obs["study"] == "second"].astype(str)
    assert set(names) == set(labels) - {"unknown", ""}
    np.testing.assert_array_equal(np.bincount(study.truth) > 0, True)


def test_a_file_that_does_not_say_what_its_cells_are_is_refused(blood, tmp_path):
    blood[:5].copy().write_h5ad(tmp_path / "bare.h5ad")
    with pytest.raises(InputError, match=TRUE_TYPE_KEY):
        read_labeled_file(tmp_path / "bare.h5ad")
