"""Settings: frozen pydantic models that refuse unknown keys; read from YAML."""

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, cast

import yaml
from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, ValidationError

from okrcell.errors import SettingsError
from okrcell.escaping import hide_credentials

MAX_YAML_BYTES = 10_000_000
MAX_YAML_VALUES = 100_000
"""Maximum number of values of a settings file, with all aliases expanded."""
MAX_SHOWN = 200
"""Maximum number of characters of a wrong value in an error message."""


class Settings(BaseModel):
    """Base class of settings. Frozen; for an unknown key the error names the closest valid key."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


SettingsT = TypeVar("SettingsT", bound=Settings)


def former_values(**current: str) -> BeforeValidator:
    """Accept former names of a value: ``former_values(old="new")`` in the annotation of a field."""
    return BeforeValidator(lambda value: current.get(value, value) if isinstance(value, str) else value)


def rename_old_keys(settings_type: type[BaseModel], values: Mapping[str, Any]) -> dict[str, Any]:
    """Replace former keys (`AliasChoices` of a field) and values (`former_values`) by current ones, in nested settings too.

    Mappings can then be merged and compared key by key. A former key beside its new name is left as it is, and validation
    rejects it.
    """
    renamed = dict(values)
    for name, field in settings_type.model_fields.items():
        if isinstance(field.validation_alias, AliasChoices):
            for key in field.validation_alias.choices:
                if isinstance(key, str) and key in renamed and name not in renamed:
                    renamed[name] = renamed.pop(key)
        for validator in field.metadata if name in renamed else ():
            if isinstance(validator, BeforeValidator):  # `former_values`
                renamed[name] = cast(Callable[[Any], Any], validator.func)(renamed[name])
        nested_type, nested = field.annotation, renamed.get(name)
        if isinstance(nested_type, type) and issubclass(nested_type, BaseModel) and isinstance(nested, Mapping):
            renamed[name] = rename_old_keys(nested_type, cast(Mapping[str, Any], nested))
    return renamed


def parse_settings(settings_type: type[SettingsT], values: Any, origin: str) -> SettingsT:
    """Validate ``values`` (a mapping) as settings of type ``settings_type``; ``origin`` names their source in errors.

    Raises
    ------
    SettingsError
        If a key is unknown or a value is invalid; one line with the key, the value seen and what is allowed.
    """
    if not isinstance(values, dict):
        raise SettingsError(f"{origin} must hold a mapping of settings, but it holds a {type(values).__name__}.")
    try:
        return settings_type.model_validate(values)
    except ValidationError as error:
        details = error.errors()[0]
        path = ".".join(str(key) for key in details["loc"])
        if details["type"] == "extra_forbidden":
            valid_keys = _fields_at(settings_type, details["loc"][:-1])
            close_matches = get_close_matches(str(details["loc"][-1]), valid_keys, n=1)
            hint = (
                f"did you mean '{close_matches[0]}'?"
                if close_matches
                else f"known here: {', '.join(sorted(valid_keys))}."
            )
            raise SettingsError(f"{origin}: unknown setting '{path}'; {hint}") from None
        value = details.get("input")
        seen = hide_credentials(value) if isinstance(value, str) and path.endswith("url") else value
        raise SettingsError(f"{origin}: setting '{path}': {details['msg']}; seen: {repr(seen)[:MAX_SHOWN]}.") from None


def load_settings(kind: type[SettingsT], path: str | Path, **overrides: Any) -> SettingsT:
    """Read settings from a YAML file; keyword arguments other than None override the values of the file.

    Raises
    ------
    SettingsError
        If the file is missing, is not YAML, or contains an unknown or invalid setting.
    """
    values = read_yaml(path)
    if isinstance(values, dict):
        values = deep_merge(values, {name: value for name, value in overrides.items() if value is not None})
    return parse_settings(kind, values, str(path))


def read_yaml(path: str | Path) -> Any:
    """Read a YAML file; an empty file gives an empty mapping.

    Raises
    ------
    SettingsError
        If the file is missing or is not YAML.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        raise SettingsError(f"{path} cannot be read as YAML: it is no regular file.")
    try:
        if path.stat().st_size > MAX_YAML_BYTES:
            raise SettingsError(f"{path} has more than {MAX_YAML_BYTES:,} bytes; no settings file is that large.")
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"No settings file at {path}.") from None
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        if isinstance(error, SettingsError):
            raise
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise SettingsError(f"{path} cannot be read as YAML: {reason}.") from None
    _check_expanded_size(values, path)
    return {} if values is None else values


def _check_expanded_size(values: Any, path: Path) -> None:
    """Check that aliases (``*name``), which stand for a whole part of the file, do not expand to endless settings."""
    pending, n_values = [values], 0
    while pending:
        value = pending.pop()
        n_values += 1
        if n_values > MAX_YAML_VALUES:
            raise SettingsError(f"{path} has more than {MAX_YAML_VALUES:,} values once its aliases are expanded.")
        if isinstance(value, Mapping):
            pending += value.values()
        elif isinstance(value, list | tuple | set):
            pending += value


def deep_merge(base: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Merge nested mappings recursively; values of ``overrides`` take precedence. The arguments are not modified."""
    merged = dict(base)
    for key, value in overrides.items():
        nested = merged.get(key)
        merged[key] = deep_merge(nested, value) if isinstance(nested, Mapping) and isinstance(value, Mapping) else value
    return merged


def _fields_at(settings_type: type[BaseModel], location: tuple[str | int, ...]) -> list[str]:
    for key in location:
        field = settings_type.model_fields.get(str(key))
        nested_type = field.annotation if field else None
        if not (isinstance(nested_type, type) and issubclass(nested_type, BaseModel)):
            return []
        settings_type = nested_type
    return list(settings_type.model_fields)
