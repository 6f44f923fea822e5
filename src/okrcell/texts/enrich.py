"""Description pipeline: settings, evidence retrieval, writing and screening."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from okrcell.errors import InputError, SettingsError
from okrcell.knowledge.evidence import KnowledgeSource
from okrcell.knowledge.vectors import TextEmbedder
from okrcell.settings import Settings, parse_settings, read_yaml
from okrcell.texts.description import Description
from okrcell.texts.endpoint.budget import Estimate
from okrcell.texts.endpoint.ledger import Ledger
from okrcell.texts.endpoint.settings import EndpointSettings
from okrcell.texts.endpoint.writer import EndpointWriter
from okrcell.texts.library import SEARCHED, retriever_of
from okrcell.texts.profile import CellProfile
from okrcell.texts.retrieve import RetrievalSettings
from okrcell.texts.screening.screen import ScreeningSettings
from okrcell.texts.template.writer import TemplateWriter
from okrcell.texts.writing import Request, requests_for, reviewed, written

Progress = Callable[[int, int, str], None]
"""Progress callback: number of finished items, total number, name of the stage."""


class EnrichSettings(Settings):
    """Settings of the descriptions."""

    writer: Literal["template", "endpoint"] = "template"
    """template: offline, from the sources alone. endpoint: a language model, configured by `endpoint`."""
    sources: tuple[str, ...] | None = None
    """Knowledge sources to use; by default all whose files are available."""
    leaks: bool = False
    """Whether to use marker rows that derive from atlases used in benchmarks."""
    retrieval: RetrievalSettings = RetrievalSettings()
    screening: ScreeningSettings = ScreeningSettings()
    endpoint: EndpointSettings | None = None
    """The language model; required by the writer ``endpoint``."""


def enrich_settings(path: Path | None, endpoint: Mapping[str, Any], **given: Any) -> EnrichSettings:
    """Read settings from a YAML file or start from the defaults, and apply overrides.

    Parameters
    ----------
    path
        YAML file of settings; None for the defaults.
    endpoint
        Overrides of single endpoint settings.
    given
        Overrides of top-level settings; None leaves a setting unchanged.

    Raises
    ------
    SettingsError
        If the file cannot be read, or a setting is unknown or out of range.
    """
    values = read_yaml(path) if path else {}
    if not isinstance(values, dict):
        return parse_settings(EnrichSettings, values, str(path))
    values |= {name: value for name, value in given.items() if value is not None}
    if endpoint:
        values["endpoint"] = {**(values.get("endpoint") or {}), **endpoint}
    return parse_settings(EnrichSettings, values, str(path or "the command line"))


def describe_with(
    profiles: Sequence[CellProfile],
    settings: EnrichSettings,
    sources: Sequence[KnowledgeSource],
    encoder: Callable[[], TextEmbedder],
    ledger: str | Path | None,
    confirm: Callable[[Estimate], None] | None,
    progress: Progress,
) -> tuple[list[Description], dict[str, Any] | None]:
    """Retrieve evidence, write the descriptions and screen them.

    Parameters
    ----------
    profiles
        Profiles to describe.
    settings
        Settings of sources, writer and screening.
    sources
        Opened knowledge sources.
    encoder
        Builds the text embedder; called only if vectors are needed: for literature search or for screening.
    ledger
        SQLite file that stores the language model's answers; required by the writer ``endpoint``.
    confirm
        Called with the cost estimate before the first request; may raise to stop.
    progress
        Progress callback: number of finished items, total number, name of the stage.

    Returns
    -------
    The descriptions in the order of ``profiles``, and the screening report as a dictionary (None for the template
    writer).

    Raises
    ------
    SettingsError
        If the writer is a language model and ``settings.endpoint`` is missing.
    InputError
        If the writer is a language model and ``ledger`` is None.
    BudgetSpent
        If the next request could exceed the budget; all answers so far are stored.
    """
    by_template = settings.writer == "template"
    searching = any(source.name in SEARCHED for source in sources)
    embedder = None if by_template and not searching else encoder()
    retriever = retriever_of(sources, settings.retrieval, embedder, lambda done, of: progress(done, of, "indexing"))
    requests = list(requests_for(profiles, sources, retriever))
    if by_template or embedder is None:
        return written(requests, TemplateWriter(), progress=lambda done, of: progress(done, of, "writing")), None
    texts = _by_endpoint(requests, settings, ledger, confirm, lambda done, of: progress(done, of, "writing"))
    review = reviewed(texts, embedder, settings.screening, lambda done, of: progress(done, of, "screening"))
    return review.descriptions, asdict(review.report)


def _by_endpoint(
    requests: Sequence[Request],
    settings: EnrichSettings,
    ledger: str | Path | None,
    confirm: Callable[[Estimate], None] | None,
    progress: Callable[[int, int], None],
) -> list[Description]:
    if settings.endpoint is None:
        raise SettingsError(
            "The writer 'endpoint' needs a language model, but none is set: set endpoint.model and endpoint.base_url, or "
            "pass --llm and --base-url."
        )
    if ledger is None:
        raise InputError("A language model's answers need a file to be stored in: give an output or a ledger file.")
    with Ledger(ledger) as kept:
        writer = EndpointWriter(settings.endpoint, kept)
        writer.ready()
        if confirm is not None:
            confirm(writer.estimate((request.profile, request.evidence) for request in requests))
        return written(requests, writer, at_once=settings.endpoint.concurrency, progress=progress)
