"""Registry of the benchmark's methods: okrcell, its controls and the baselines."""

from collections.abc import Mapping

from okrcell.benchmarking.method import Method

_HERE = "okrcell.benchmarking.baselines"

METHODS: Mapping[str, Method] = {
    "okrcell": Method(
        "okrcell",
        {
            "clustering": f"{_HERE}.okrcell_tools:Clusters",
            "integration": f"{_HERE}.okrcell_tools:Integrates",
            "annotation": f"{_HERE}.okrcell_tools:FromReference",
            "few_shot": f"{_HERE}.okrcell_tools:FromExamples",
            "zero_shot": f"{_HERE}.okrcell_tools:FromWords",
            "open_types": f"{_HERE}.okrcell_tools:Openly",
            "retrieval": f"{_HERE}.okrcell_tools:WithTexts",
        },
        kind="ours",
    ),
    "okrcell_raw": Method(
        "okrcell, vectors alone",
        {
            "clustering": f"{_HERE}.okrcell_vectors:Embeds",
            "integration": f"{_HERE}.okrcell_vectors:Embeds",
            "annotation": f"{_HERE}.okrcell_vectors:FromReference",
            "few_shot": f"{_HERE}.okrcell_vectors:FromExamples",
        },
        kind="control",
    ),
    "hvg_pca": Method("HVG + PCA", {"clustering": f"{_HERE}.hvg_pca:embed", "integration": f"{_HERE}.hvg_pca:embed"}),
    "harmony": Method("Harmony", {"integration": f"{_HERE}.harmony:embed"}, packages=("harmonypy",)),
    "scanorama": Method("Scanorama", {"integration": f"{_HERE}.scanorama:embed"}, packages=("scanorama",)),
    "scvi": Method(
        "scVI",
        {"clustering": f"{_HERE}.scvi:embed", "integration": f"{_HERE}.scvi:embed"},
        packages=("scvi",),
        slow=True,
    ),
    "scanvi": Method(
        "scANVI",
        {"annotation": f"{_HERE}.scanvi:annotate", "few_shot": f"{_HERE}.scanvi:few_shot"},
        packages=("scvi",),
        slow=True,
    ),
    "logistic_regression": Method(
        "logistic regression on genes",
        {
            "annotation": f"{_HERE}.logistic_regression:annotate",
            "few_shot": f"{_HERE}.logistic_regression:few_shot",
        },
    ),
    "logistic_regression_pca": Method(
        "logistic regression on PCA",
        {
            "annotation": f"{_HERE}.logistic_regression:annotate_on_pca",
            "few_shot": f"{_HERE}.logistic_regression:few_shot_on_pca",
        },
    ),
    "knn": Method(
        "nearest neighbours on PCA", {"annotation": f"{_HERE}.knn:annotate", "few_shot": f"{_HERE}.knn:few_shot"}
    ),
    "celltypist": Method("CellTypist", {"annotation": f"{_HERE}.celltypist:annotate"}, packages=("celltypist",)),
    "celltypist_voting": Method(
        "CellTypist, majority voting",
        {"annotation": f"{_HERE}.celltypist:annotate_by_majority"},
        packages=("celltypist",),
    ),
    "singler": Method(
        "SingleR",
        {"annotation": f"{_HERE}.singler:annotate", "few_shot": f"{_HERE}.singler:few_shot"},
        packages=("singler", "scranpy"),
    ),
    "markers": Method(
        "marker genes",
        {"zero_shot": f"{_HERE}.markers:Plain", "open_types": f"{_HERE}.markers_openly:Plain"},
        needs=("knowledge",),
    ),
    "markers_smoothed": Method(
        "marker genes, smoothed over neighbours",
        {"zero_shot": f"{_HERE}.markers:Smoothed", "open_types": f"{_HERE}.markers_openly:Smoothed"},
        needs=("knowledge",),
    ),
    "label_transfer": Method(
        "label transfer from the pretraining sets",
        {"zero_shot": f"{_HERE}.label_transfer:FromPretraining"},
        needs=("data",),
    ),
}
"""Method by its name on the command line, in the order of the report."""
