"""Registry of the benchmark's methods: okrcell, its controls and the baselines."""

from collections.abc import Mapping

from okrcell.benchmarking.method import Method

_BASELINES = "okrcell.benchmarking.baselines"

METHODS: Mapping[str, Method] = {
    "okrcell": Method(
        "okrcell",
        {
            "clustering": f"{_BASELINES}.okrcell_tools:ClusterEmbedding",
            "integration": f"{_BASELINES}.okrcell_tools:IntegratedEmbedding",
            "annotation": f"{_BASELINES}.okrcell_tools:OkrcellReferenceAnnotator",
            "few_shot": f"{_BASELINES}.okrcell_tools:OkrcellFewShotAnnotator",
            "zero_shot": f"{_BASELINES}.okrcell_tools:OkrcellZeroShotAnnotator",
            "open_types": f"{_BASELINES}.okrcell_tools:OkrcellOpenAnnotator",
            "retrieval": f"{_BASELINES}.okrcell_tools:OkrcellTextMatcher",
        },
        kind="ours",
    ),
    "okrcell_raw": Method(
        "okrcell, vectors alone",
        {
            "clustering": f"{_BASELINES}.okrcell_vectors:RawEmbedding",
            "integration": f"{_BASELINES}.okrcell_vectors:RawEmbedding",
            "annotation": f"{_BASELINES}.okrcell_vectors:LinearProbeAnnotator",
            "few_shot": f"{_BASELINES}.okrcell_vectors:FewShotLinearProbeAnnotator",
        },
        kind="control",
    ),
    "hvg_pca": Method(
        "HVG + PCA",
        {"clustering": f"{_BASELINES}.hvg_pca:embed_hvg_pca", "integration": f"{_BASELINES}.hvg_pca:embed_hvg_pca"},
    ),
    "harmony": Method("Harmony", {"integration": f"{_BASELINES}.harmony:embed_harmony"}, packages=("harmonypy",)),
    "scanorama": Method(
        "Scanorama", {"integration": f"{_BASELINES}.scanorama:embed_scanorama"}, packages=("scanorama",)
    ),
    "scvi": Method(
        "scVI",
        {"clustering": f"{_BASELINES}.scvi:embed_scvi", "integration": f"{_BASELINES}.scvi:embed_scvi"},
        packages=("scvi",),
        slow=True,
    ),
    "scanvi": Method(
        "scANVI",
        {"annotation": f"{_BASELINES}.scanvi:annotate_scanvi", "few_shot": f"{_BASELINES}.scanvi:few_shot_scanvi"},
        packages=("scvi",),
        slow=True,
    ),
    "logistic_regression": Method(
        "logistic regression on genes",
        {
            "annotation": f"{_BASELINES}.logistic_regression:annotate_logistic_regression",
            "few_shot": f"{_BASELINES}.logistic_regression:few_shot_logistic_regression",
        },
    ),
    "logistic_regression_pca": Method(
        "logistic regression on PCA",
        {
            "annotation": f"{_BASELINES}.logistic_regression:annotate_logistic_regression_pca",
            "few_shot": f"{_BASELINES}.logistic_regression:few_shot_logistic_regression_pca",
        },
    ),
    "knn": Method(
        "nearest neighbours on PCA",
        {"annotation": f"{_BASELINES}.knn:annotate_knn", "few_shot": f"{_BASELINES}.knn:few_shot_knn"},
    ),
    "celltypist": Method("CellTypist", {"annotation": f"{_BASELINES}.celltypist:annotate"}, packages=("celltypist",)),
    "celltypist_voting": Method(
        "CellTypist, majority voting",
        {"annotation": f"{_BASELINES}.celltypist:annotate_by_majority"},
        packages=("celltypist",),
    ),
    "singler": Method(
        "SingleR",
        {"annotation": f"{_BASELINES}.singler:annotate", "few_shot": f"{_BASELINES}.singler:few_shot"},
        packages=("singler", "scranpy"),
    ),
    "markers": Method(
        "marker genes",
        {
            "zero_shot": f"{_BASELINES}.markers:MarkerAnnotator",
            "open_types": f"{_BASELINES}.markers_openly:OpenMarkerAnnotator",
        },
        requires=("knowledge",),
    ),
    "markers_smoothed": Method(
        "marker genes, smoothed over neighbours",
        {
            "zero_shot": f"{_BASELINES}.markers:SmoothedMarkerAnnotator",
            "open_types": f"{_BASELINES}.markers_openly:SmoothedOpenMarkerAnnotator",
        },
        requires=("knowledge",),
    ),
    "label_transfer": Method(
        "label transfer from the pretraining sets",
        {"zero_shot": f"{_BASELINES}.label_transfer:PretrainingLabelTransfer"},
        requires=("data",),
    ),
}
"""Method by its name on the command line, in the order of the report."""
