"""Who can write a description."""

from collections.abc import Callable

from okrcell.texts.description import Writer
from okrcell.texts.endpoint.writer import EndpointWriter
from okrcell.texts.template.writer import TemplateWriter

WRITERS: dict[str, Callable[..., Writer]] = {"template": TemplateWriter, "endpoint": EndpointWriter}
"""Every writer by its name: how to make it. The second takes its settings and a ledger."""
