"""The page's sentences follow from the numbers."""

from dataclasses import replace

from okrcell.demo.metrics import AgreementMetrics, GroupMetrics
from okrcell.demo.report import calibration_sentence, frequent_errors, percent, training_overlap

FIGURES = AgreementMetrics(
    cells=100,
    right=60,
    accuracy=0.6,
    balanced_accuracy=0.5,
    macro_f1=0.5,
    lineage_accuracy=0.8,
    commonest=0.3,
    mean_confidence=0.62,
    calibration_error=0.05,
    by_label=(
        GroupMetrics("B", 50, 0.9, 0.8, "B cell", "T cell", 5),
        GroupMetrics("T", 50, 0.3, 0.8, "T cell", "NK cell", 30),
        GroupMetrics("NK", 5, 1.0, 0.8, "NK cell"),
    ),
    by_status=(),
    by_confidence=(),
)


def test_confidence_near_agreement_is_believed():
    assert "confidence matches accuracy" in calibration_sentence(FIGURES, calibrated=True)


def test_confidence_above_agreement_is_called_too_sure():
    assert "overconfident by 30 points" in calibration_sentence(replace(FIGURES, mean_confidence=0.9), calibrated=True)


def test_confidence_below_agreement_is_called_less_sure():
    assert "underconfident by 40 points" in calibration_sentence(replace(FIGURES, mean_confidence=0.2), calibrated=True)


def test_a_model_without_calibration_is_told_so():
    assert "not calibrated" in calibration_sentence(FIGURES, calibrated=False)


def test_the_largest_slips_come_first():
    assert frequent_errors(FIGURES) == [
        "30 of 50 “T” predicted as “NK cell”",
        "5 of 50 “B” predicted as “T cell”",
    ]


def test_nearly_all_is_not_all():
    assert [percent(share) for share in (0, 0.001, 0.5, 0.999, 1)] == ["0%", "< 1%", "50%", "> 99%", "100%"]


def test_what_the_model_has_seen_is_told_from_its_own_facts():
    assert "does not list" in training_overlap({})
    assert "is from this study" in training_overlap({"seen": {"studies": ["baron"]}})
    assert "sorted blood cells" in training_overlap({"seen": {"studies": ["baron", "zheng_pbmc_facs"]}})
    assert "trained on cells of this sample" in training_overlap({"seen": {"studies": ["pbmc68k", "zheng_pbmc_facs"]}})
