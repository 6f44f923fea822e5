"""Who can write a description."""

from collections.abc import Callable

from okrcell.texts.description import Writer
from okrcell.texts.template import TemplateWriter

WRITERS: dict[str, Callable[[], Writer]] = {"template": TemplateWriter}
"""Every writer by its name: how to make it."""
