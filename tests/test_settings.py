"""Settings are frozen and refuse unknown keys; the error suggests the correct key."""

from pathlib import Path
from typing import Annotated

import pytest
from pydantic import Field, ValidationError

from okrcell.errors import OkrcellError, SettingsError
from okrcell.settings import Settings, load_settings, parse_settings, read_yaml


class Curriculum(Settings):
    """When doubtful pairs are shut out."""

    strictest: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Share of pairs that have no say by the end."""


class Training(Settings):
    """A run, as a user writes it down."""

    steps: int = 100
    """How often the weights move."""
    curriculum: Curriculum = Curriculum()
    """When doubtful pairs are shut out."""


def write(folder: Path, text: str) -> Path:
    path = folder / "run.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_of_settings_is_read_with_its_defaults(tmp_path: Path):
    settings = load_settings(Training, write(tmp_path, "steps: 3\ncurriculum:\n  strictest: 0.25\n"))
    assert settings == Training(steps=3, curriculum=Curriculum(strictest=0.25))
    assert load_settings(Training, write(tmp_path, "")) == Training()


def test_settings_cannot_be_changed_afterwards():
    settings = Training()
    with pytest.raises(ValidationError, match="frozen"):
        settings.steps = 7  # type: ignore[misc]


def test_every_field_is_documented_by_the_line_under_it():
    assert Training.model_fields["steps"].description == "How often the weights move."


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"stpes": 3}, r"unknown setting 'stpes'; did you mean 'steps'\?"),
        (
            {"curriculum": {"strictes": 0.1}},
            r"unknown setting 'curriculum\.strictes'; did you mean 'strictest'\?",
        ),
        ({"zzz": 1}, r"unknown setting 'zzz'; known here: curriculum, steps\."),
        ({"steps": "many"}, r"setting 'steps': .*integer.*; seen: 'many'\."),
        (
            {"curriculum": {"strictest": 1.5}},
            r"setting 'curriculum\.strictest': .*less than or equal to 1; seen: 1\.5\.",
        ),
        ({"curriculum": 3}, r"setting 'curriculum': .*; seen: 3\."),
        ([1, 2], r"must hold a mapping of settings, but it holds a list\."),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_the_place_and_what_was_seen(values: object, says: str):
    with pytest.raises(SettingsError, match=says) as caught:
        parse_settings(Training, values, "run.yaml")
    assert str(caught.value).startswith("run.yaml")
    assert "\n" not in str(caught.value)


def test_a_settings_error_is_one_the_command_line_prints_without_a_traceback():
    assert issubclass(SettingsError, OkrcellError)


def test_a_missing_file_of_settings_is_named(tmp_path: Path):
    with pytest.raises(SettingsError, match=r"No settings file at .*absent\.yaml\."):
        load_settings(Training, tmp_path / "absent.yaml")


@pytest.mark.parametrize("content", [b"steps: [1,", b"\xff\xfe\x00", b"steps: !!python/object/apply:os.getcwd []"])
def test_what_is_no_plain_yaml_is_refused_and_nothing_in_it_is_run(tmp_path: Path, content: bytes):
    path = tmp_path / "run.yaml"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=r"run\.yaml cannot be read as YAML: ") as caught:
        load_settings(Training, path)
    assert "\n" not in str(caught.value)


def test_a_folder_is_no_file_of_settings(tmp_path: Path):
    with pytest.raises(SettingsError, match="cannot be read as YAML"):
        load_settings(Training, tmp_path)


BOMB = "\n".join(["a0: &a0 [x]", *(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12))])


@pytest.mark.parametrize("content", [BOMB, "&a [*a]", "a: &a {b: *a}"])
def test_aliases_that_expand_without_end_are_refused(tmp_path: Path, content: str):
    (tmp_path / "run.yaml").write_text(content)
    with pytest.raises(SettingsError, match=r"run\.yaml has more than 100,000 values"):
        load_settings(Training, tmp_path / "run.yaml")


@pytest.mark.parametrize("content", ["steps: 2020-99-99", f"steps: {'9' * 5000}", "[" * 5000])
def test_values_that_python_cannot_hold_are_refused(tmp_path: Path, content: str):
    (tmp_path / "run.yaml").write_text(content)
    with pytest.raises(SettingsError, match=r"run\.yaml cannot be read as YAML: ") as caught:
        load_settings(Training, tmp_path / "run.yaml")
    assert "\n" not in str(caught.value)


def test_an_alias_is_no_harm(tmp_path: Path):
    (tmp_path / "run.yaml").write_text("steps: &n 3\ncurriculum: {strictest: 0.5}\nseed: *n\n")
    assert read_yaml(tmp_path / "run.yaml")["seed"] == 3
