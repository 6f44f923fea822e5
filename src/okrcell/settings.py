"""Settings: frozen pydantic models that refuse unknown keys; read from YAML."""

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from okrcell.errors import SettingsError


class Settings(BaseModel):
    """Base class of settings. Frozen; for an unknown key the error names the closest valid key."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


AnySettings = TypeVar("AnySettings", bound=Settings)


def parse_settings(kind: type[AnySettings], values: Any, origin: str) -> AnySettings:
    """Validate ``values`` (a mapping) as settings of type ``kind``; ``origin`` names their source in errors.

    Raises
    ------
    SettingsError
        If a key is unknown or a value is invalid; one line with the key, the value seen and what is allowed.
    """
    if not isinstance(values, dict):
        raise SettingsError(f"{origin} must hold a mapping of settings, but it holds a {type(values).__name__}.")
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            known = _fields_at(kind, first["loc"][:-1])
            near = get_close_matches(str(first["loc"][-1]), known, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"known here: {', '.join(sorted(known))}."
            raise SettingsError(f"{origin}: unknown setting '{path}'; {hint}") from None
        raise SettingsError(f"{origin}: setting '{path}': {first['msg']}; seen: {first.get('input')!r}.") from None


def load_settings(kind: type[AnySettings], path: str | Path, **given: Any) -> AnySettings:
    """Read settings from a YAML file; keyword arguments other than None override the values of the file.

    Raises
    ------
    SettingsError
        If the file is missing, is not YAML, or contains an unknown or invalid setting.
    """
    values = read_yaml(path)
    if isinstance(values, dict):
        values = laid_over(values, {name: value for name, value in given.items() if value is not None})
    return parse_settings(kind, values, str(path))


def read_yaml(path: str | Path) -> Any:
    """Read a YAML file; an empty file gives an empty mapping.

    Raises
    ------
    SettingsError
        If the file is missing or is not YAML.
    """
    path = Path(path)
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"No settings file at {path}.") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = str(error).splitlines()[0]
        raise SettingsError(f"{path} cannot be read as YAML: {reason}.") from None
    return {} if values is None else values


def laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Merge nested mappings recursively; values of ``above`` take precedence. The arguments are not modified."""
    merged = dict(below)
    for name, value in above.items():
        inner = merged.get(name)
        merged[name] = laid_over(inner, value) if isinstance(inner, Mapping) and isinstance(value, Mapping) else value
    return merged


def _fields_at(kind: type[BaseModel], location: tuple[str | int, ...]) -> list[str]:
    for part in location:
        field = kind.model_fields.get(str(part))
        inner = field.annotation if field else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return []
        kind = inner
    return list(kind.model_fields)
