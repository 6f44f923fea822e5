"""The demo, walked with a model that knows the answers somewhat."""

import json
import re
from html.parser import HTMLParser

import anndata
import numpy as np
import pytest

from okrcell.demo.dataset import CANDIDATES, LABEL_KEY, LINEAGES, SENTENCES, blood_cells
from okrcell.demo.demo import run_demo
from okrcell.demo.metrics import agreement_metrics
from okrcell.errors import InputError
from okrcell.model.embedder import Embedder

WORDS = {
    "CD14+ Monocyte": ("monocyte",),
    "Dendritic": ("dendritic", "presents antigen"),
    "CD19+ B": ("b cell", "antibodies"),
    "CD56+ NK": ("natural killer", "nk cell", "infected"),
    "CD8+ Cytotoxic T": ("cytotoxic cd8",),
    "CD8+/CD45RA+ Naive Cytotoxic": ("naive cd8",),
    "CD4+/CD45RO+ Memory": ("memory cd4",),
    "CD4+/CD25 T Reg": ("regulatory", "treg"),
    "CD4+/CD45RA+/CD25- Naive T": ("naive cd4",),
    "CD34+": ("progenitor",),
}


class StandIn(Embedder):
    """Gives each cell the vector of its authors' label with noise, and each text that of the label it tells of."""

    def __init__(self, noise: float = 0.9) -> None:
        self.name = "stand-in"
        self.facts = {"weights_sha256": "0" * 64, "seen": {"studies": ["zheng_pbmc_facs", "baron"]}}
        self.vocabulary = range(1000)
        self._noise = noise

    dim = 24

    def n_measured_genes(self, expression):
        return 765

    def embed_cells(self, expression, progress=None):
        rng = np.random.default_rng(0)
        labels = blood_cells().obs[LABEL_KEY].astype(str)
        places = labels.map({label: place for place, label in enumerate(WORDS)}).to_numpy()
        family = labels.map(
            {label: 12 + list(LINEAGES.values()).index(name) for label, name in LINEAGES.items()}
        ).to_numpy()
        everything = np.eye(self.dim)
        vectors = (
            everything[places] * 0.6 + everything[family] + self._noise * rng.normal(size=(len(labels), self.dim)) / 3
        )
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)

    def embed_texts(self, texts):
        rng = np.random.default_rng(1)
        vectors = 0.05 * rng.normal(size=(len(texts), self.dim))
        for row, text in enumerate(texts):
            hits = [place for place, words in enumerate(WORDS.values()) if any(word in text.lower() for word in words)]
            for place in hits[:1]:
                vectors[row, [place, 12 + list(LINEAGES.values()).index(LINEAGES[list(WORDS)[place]])]] += 1
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


class Page(HTMLParser):
    """What a page shows and asks for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses, self.alts, self.open, self.ids, self.labelled, self.text = [], [], [], [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.addresses += [attrs[name] for name in ("src", "srcset", "href", "data", "action") if name in attrs]
        if tag == "img":
            self.alts.append(attrs.get("alt", ""))
        if "id" in attrs:
            self.ids.append(attrs["id"])
        if "aria-labelledby" in attrs:
            self.labelled.append(attrs["aria-labelledby"])
        if tag not in {"meta", "img", "source"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] not in {"style", "pre"}:
            self.text += data


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    messages = []
    result = run_demo(tmp_path_factory.mktemp("demo") / "okrcell-demo", StandIn(), messages.append)
    return result, messages


def test_all_that_was_promised_is_there(demo):
    result, _ = demo
    assert {path.name for path in result.folder.iterdir()} == {
        "report.html",
        "annotated.h5ad",
        "pictures",
        "receipt.json",
    }
    assert {path.name for path in (result.folder / "pictures").iterdir()} == {
        "answers.png", "labels.png", "confidence.png", "confusion.png", "overview.png",
        "search_1.png", "search_2.png", "search_3.png",
    }  # fmt: skip


def test_the_overview_is_1600_pixels_wide(demo):
    from matplotlib.image import imread

    assert imread(demo[0].folder / "pictures" / "overview.png").shape[:2] == (900, 1600)


def test_the_page_needs_nothing_from_elsewhere(demo):
    text = demo[0].report.read_text(encoding="utf-8")
    page = Page(text)
    assert page.open == []
    assert page.addresses
    assert all(address.startswith("data:image/svg+xml;base64,") for address in page.addresses)
    assert not re.search(r"@import|url\(|<script|<link", text)


def test_every_picture_has_words_and_every_section_a_name(demo):
    page = Page(demo[0].report.read_text(encoding="utf-8"))
    assert len(page.alts) == 7
    assert all(len(alt) > 30 for alt in page.alts)
    assert set(page.labelled) <= set(page.ids)


def test_numbers_are_those_of_the_run(demo):
    result, messages = demo
    adata = anndata.read_h5ad(result.folder / "annotated.h5ad")
    accuracy = float(
        (adata.obs[LABEL_KEY].astype(str).map(CANDIDATES) == adata.obs["okrcell_cell_type"].astype(str)).mean()
    )
    assert 0.4 < accuracy < 1
    assert result.agreement.accuracy == pytest.approx(accuracy)
    receipt = json.loads((result.folder / "receipt.json").read_text(encoding="utf-8"))
    assert receipt["agreement"]["accuracy"] == pytest.approx(accuracy)
    assert f"{accuracy * 100:.1f}%" in Page(result.report.read_text(encoding="utf-8")).text
    assert any(f"{accuracy:.1%}" in line for line in messages)


def test_balanced_accuracy_and_f1_equal_the_reference(demo):
    from sklearn.metrics import balanced_accuracy_score, f1_score

    result, _ = demo
    obs = anndata.read_h5ad(result.folder / "annotated.h5ad").obs
    truth, given = obs[LABEL_KEY].astype(str).map(CANDIDATES), obs["okrcell_cell_type"].astype(str)
    assert result.agreement.balanced_accuracy == pytest.approx(balanced_accuracy_score(truth, given))
    assert result.agreement.macro_f1 == pytest.approx(f1_score(truth, given, average="macro"))


def test_the_page_says_that_the_study_is_known_to_the_model(demo):
    text = Page(demo[0].report.read_text(encoding="utf-8")).text
    assert "zheng_pbmc_facs" in text
    assert "in none of the 2 training datasets" in text


def test_cells_keep_their_order_and_their_own_map(demo):
    before, after = blood_cells(), anndata.read_h5ad(demo[0].folder / "annotated.h5ad")
    assert before.obs_names.equals(after.obs_names)
    np.testing.assert_array_equal(before.obsm["X_umap"], after.obsm["X_umap"])


def test_an_earlier_demo_is_replaced_but_nothing_else(demo, tmp_path):
    with pytest.raises(InputError, match="not from an earlier demo"):
        run_demo(demo[0].folder.parent, StandIn())
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(InputError, match="is a file"):
        run_demo(file, StandIn())
    assert file.read_text() == "mine"


def test_each_label_has_its_words_and_each_sentence_its_hope():
    labels = set(blood_cells().obs[LABEL_KEY].cat.categories)
    assert set(CANDIDATES) == set(LINEAGES) == labels
    assert len(set(CANDIDATES.values())) == len(CANDIDATES)
    assert all(set(hoped) <= labels for hoped in SENTENCES.values())


def test_a_model_that_is_always_wrong_is_told_as_such():
    obs = blood_cells().obs
    obs["okrcell_cell_type"] = np.where(obs[LABEL_KEY] == "CD34+", "B cell", "CD34+ hematopoietic progenitor")
    obs["okrcell_confidence"] = np.float32(0.9)
    obs["okrcell_status"] = "confident"
    figures = agreement_metrics(obs, LABEL_KEY, CANDIDATES, LINEAGES)
    assert (figures.accuracy, figures.balanced_accuracy, figures.macro_f1, figures.lineage_accuracy) == (0, 0, 0, 0)
    assert figures.calibration_error == pytest.approx(0.9)
