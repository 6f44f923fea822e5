"""HTML report of the demo and its generated sentences."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from okrcell import pl
from okrcell.demo.dataset import CANDIDATES, LABEL_KEY, match_key
from okrcell.demo.metrics import AgreementMetrics, SearchMetrics
from okrcell.pl._canvas import assign_colors
from okrcell.report.page import percent, render_page
from okrcell.report.pictures import DrawFunction, Picture, draw_picture, new_figure, theme_style

if TYPE_CHECKING:
    from anndata import AnnData

    from okrcell.demo.metrics import AgreementMetrics, SearchMetrics


UMAP_KEY = "X_umap_okrcell"
"""Slot of ``obsm`` with the UMAP of the embeddings."""
PREDICTION_COLORS = assign_colors(CANDIDATES.values())
LABEL_COLORS = {label: PREDICTION_COLORS[name] for label, name in CANDIDATES.items()}
"""A label has the color of the type that is expected for it."""


WELL_CALIBRATED = 0.05
"""Maximum difference of mean confidence and accuracy that is reported as calibrated."""


def draw_pictures(
    adata: "AnnData", metrics: AgreementMetrics, searches: Sequence[SearchMetrics], folder: Path
) -> dict[str, Picture]:
    """Draw the figures of the report; also save each as PNG in ``folder``, with an overview."""
    agreement_text = f"{metrics.accuracy:.0%} of {metrics.cells} cells"
    specs = [
        (
            "answers",
            f"UMAP of the cells, colored and numbered by predicted cell type; {agreement_text} agree with the author labels.",
            plot_predictions(adata),
            (6.2, 4.0),
        ),
        ("labels", "The same UMAP, colored and numbered by author label.", plot_labels(adata), (6.2, 4.0)),
        (
            "confidence",
            f"The same UMAP, colored by confidence; the mean is {metrics.mean_confidence:.0%}.",
            plot_confidence(adata),
            (5.8, 4.0),
        ),
        (
            "confusion",
            "Confusion matrix of author labels and predictions; the table below lists the main numbers.",
            plot_confusion(adata),
            (11.2, 6.8),
        ),
    ]
    for index, result in enumerate(searches, start=1):
        hits_text = f"{result.hits} of the top {result.top} cells are {' or '.join(result.hoped_for)}"
        alt_text = f"The same UMAP, colored by match with “{result.sentence}”; {hits_text}."
        specs.append((f"search_{index}", alt_text, plot_match(adata, match_key(index), result.sentence), (4.5, 3.6)))
    pictures = {name: draw_picture(name, alt, draw_function, size, folder) for name, alt, draw_function, size in specs}
    title = f"Zero-shot annotation of {metrics.cells} blood cells: accuracy {metrics.accuracy:.0%}"
    draw_overview(adata, searches[0].sentence, match_key(1), title, folder / "overview.png")
    return pictures


def draw_overview(adata: "AnnData", text: str, key: str, title: str, path: Path) -> None:
    """Draw predictions, one search and the confusion matrix on a sheet of 1600 by 900 pixels."""
    with theme_style("light"):
        figure = new_figure((12.8, 7.2))
        subfigures: Any = figure.subfigures(1, 2, width_ratios=[0.76, 1])
        left, right = subfigures
        top_ax, bottom_ax = left.subplots(2, 1)
        plot_predictions(adata)(top_ax)
        plot_match(adata, key, text)(bottom_ax)
        plot_confusion(adata)(right.subplots())
        figure.suptitle(title, x=0.012, ha="left", fontsize=13, fontweight="bold")
        figure.savefig(path, dpi=125)


def plot_predictions(adata: "AnnData") -> DrawFunction:
    """Cells by predicted cell type."""
    return lambda ax: pl.answers(
        adata,
        key="okrcell_cell_type",
        basis=UMAP_KEY,
        palette=PREDICTION_COLORS,
        title="Predicted cell types",
        ax=ax,
        show=False,
    )


def plot_labels(adata: "AnnData") -> DrawFunction:
    """Cells by author label, in the colors and numbers of the corresponding predictions."""
    return lambda ax: pl.answers(
        adata, key=LABEL_KEY, basis=UMAP_KEY, palette=LABEL_COLORS, title="Author labels", ax=ax, show=False
    )


def plot_confidence(adata: "AnnData") -> DrawFunction:
    """Cells by confidence."""
    return lambda ax: pl.confidence(adata, basis=UMAP_KEY, title="Confidence", ax=ax, show=False)


def plot_confusion(adata: "AnnData") -> DrawFunction:
    """Confusion matrix of author labels and predictions."""
    return lambda ax: pl.confusion(
        adata, truth=LABEL_KEY, expected=CANDIDATES, title="Predictions by author label", ax=ax, show=False
    )


def plot_match(adata: "AnnData", key: str, text: str) -> DrawFunction:
    """Cells by match with a text."""
    return lambda ax: pl.match(adata, key=key, basis=UMAP_KEY, title=f"“{text}”", ax=ax, show=False)


def report(
    metrics: "AgreementMetrics",
    searches: "Sequence[SearchMetrics]",
    pictures: "Mapping[str, Picture]",
    provenance: Mapping[str, Any],
    facts: Mapping[str, Any],
) -> str:
    """Render the report as one self-contained HTML page, with light and dark theme.

    Parameters
    ----------
    provenance
        Provenance record of the run; the page shows it and takes times and settings from it.
    facts
        Facts about the model: training studies and calibration.
    """
    import json

    return render_page(
        "okrcell.demo",
        "report.html.jinja",
        figures=metrics,
        searches=searches,
        pictures=pictures,
        receipt=provenance,
        receipt_text=json.dumps(provenance, indent=2, ensure_ascii=False),
        overlap=training_overlap(facts),
        reliability=calibration_sentence(metrics, calibrated="calibration" in facts),
        errors=frequent_errors(metrics),
    )


def calibration_sentence(metrics: "AgreementMetrics", *, calibrated: bool) -> str:
    """Compare mean confidence and accuracy in a sentence."""
    gap = metrics.mean_confidence - metrics.accuracy
    confidence, accuracy = percent(metrics.mean_confidence), percent(metrics.accuracy)
    points = f"{abs(gap) * 100:.0f} points"
    if abs(gap) < WELL_CALIBRATED:
        sentence = (
            f"Mean confidence is {confidence} and accuracy is {accuracy}: on average, confidence matches accuracy."
        )
    elif gap > 0:
        sentence = (
            f"Mean confidence is {confidence}, but accuracy is {accuracy}: the model is overconfident by {points}."
        )
    else:
        sentence = (
            f"Mean confidence is {confidence}, but accuracy is {accuracy}: the model is underconfident by {points}."
        )
    if not calibrated:
        sentence += " The confidence of this model was not calibrated on held-out cells; use it for ranking only."
    return sentence


def frequent_errors(metrics: "AgreementMetrics") -> list[str]:
    """Describe the most frequent wrong prediction of each label, at most three, in descending order."""
    mistaken = sorted((group for group in metrics.by_label if group.mistakes), key=lambda group: -group.mistakes)
    return [
        f"{group.mistakes} of {group.cells} “{group.name}” predicted as “{group.mistaken_for}”"
        for group in mistaken[:3]
    ]


def training_overlap(facts: Mapping[str, Any]) -> str:
    """Describe the overlap of these cells with the training data of the model."""
    studies: Sequence[str] = facts.get("seen", {}).get("studies", ())
    if not studies:
        return "The model does not list its training studies, so it is unknown whether it was trained on these cells."
    related = [name for name in studies if "zheng" in name.lower()]
    if any("68k" in name.lower() for name in studies):
        return "The model was trained on cells of this sample, so these results do not show how it generalises."
    if not related:
        return f"None of the {len(studies)} training datasets of the model is from this study."
    return (
        f"The 700 cells are in none of the {len(studies)} training datasets of the model, but sorted blood cells of the "
        f"same study are ({', '.join(related)}), and the author labels were computed by comparison with such sorted cells. "
        "Laboratory, chemistry and cell types are therefore not new to the model; expect lower accuracy on data from "
        "elsewhere."
    )
