"""Render a page from a template: escaped, with the common style."""

from importlib.resources import files
from typing import Any


def render_page(package: str, template: str, **values: Any) -> str:
    """Render a template of a package as one self-contained HTML page; ``style`` is the common style sheet.

    Parameters
    ----------
    package
        Package that holds the template.
    template
        Name of the file.
    values
        Variables of the template; a missing one is an error.
    """
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["percent"] = percent
    source = files(package).joinpath(template).read_text(encoding="utf-8")
    style = files("okrcell.report").joinpath("style.css").read_text(encoding="utf-8")
    return environment.from_string(source).render(style=style, **values)


def percent(fraction: float, digits: int = 0) -> str:
    """Format a fraction as a percentage; values just below 1 or above 0 become "> 99%" and "< 1%"."""
    if 0.995 <= fraction < 1 and digits == 0:
        return "> 99%"
    if 0 < fraction < 0.005 and digits == 0:
        return "< 1%"
    return f"{fraction * 100:.{digits}f}%"
