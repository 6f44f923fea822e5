"""Named objectives: the paper's, ours, and the controls between them."""

from collections.abc import Mapping
from typing import Any

from okrcell.settings import deep_merge

Overrides = Mapping[str, Any]
"""Fields of `ObjectiveSettings` that differ from their defaults, which are the paper's."""

CONTROL: Overrides = {
    "bank": {"size": 0},
    "reliability": {"use": False},
    "curriculum": {"use": False},
    "negative_weight": 0.0,
}
IMPROVED: Overrides = {
    "partners": {"alike": "shared", "kin": "masked"},
    "bank": {"size": 0, "view": "full"},
    "reliability": {
        "sharpness": "temperature",
        "duplicates": "correct",
        "trust": "bet",
        "keys": "trusted",
        "warmup": 1,
        "wake": 0.25,
        "stability": "smooth",
    },
    "curriculum": {"guard": "trust", "scale": "keys"},
    "omega": "adaptive",
}
PRESETS: Mapping[str, Overrides] = {"control": CONTROL, "faithful": {}, "improved": IMPROVED}

WITHOUT_BANK: Overrides = {"bank": {"size": 0}}
WITHOUT_CURRICULUM: Overrides = {"curriculum": {"use": False}}
ABLATIONS: Mapping[str, Overrides] = {
    "cell_only": {"preset": "control", "alignment": "none"},
    "siglip": {"preset": "control", "alignment": "sigmoid"},
    "info_nce": {"preset": "control"},
    "info_nce_shared": {"preset": "control", "partners": {"alike": "shared", "kin": "masked"}},
    "info_nce_bank": {"preset": "control", "bank": {"size": 4096}},
    "cca": {"preset": "faithful", **WITHOUT_BANK, **WITHOUT_CURRICULUM},
    "cca_cmmb": {"preset": "faithful", **WITHOUT_CURRICULUM},
    "cca_psw": {"preset": "faithful", **WITHOUT_BANK},
    "faithful": {"preset": "faithful"},
    "improved": {"preset": "improved"},
    "improved_bank": {"preset": "improved", "bank": {"size": 4096}},
}
"""Ablations (method 10): each objective that a benchmark compares, as values for `ObjectiveSettings`."""


def with_preset(values: Mapping[str, Any]) -> dict[str, Any]:
    """Fill missing ``values`` from the preset they name; the field's own validation rejects an unknown name."""
    name = values.get("preset", "control")
    if not isinstance(name, str) or name not in PRESETS:
        return dict(values)
    return deep_merge(PRESETS[name], values)


def changed_settings(settings: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that differ from ``defaults``, by dotted name such as ``bank.size``."""
    changes: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            changes |= {
                f"{name}.{inner}": inner_value for inner, inner_value in changed_settings(value, defaults[name]).items()
            }
        elif value != defaults[name]:
            changes[name] = value
    return changes
