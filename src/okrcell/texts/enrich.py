"""Description pipeline: settings, evidence retrieval, writing and screening."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from okrcell.errors import InputError, SettingsError
from okrcell.evidence import KnowledgeSource
from okrcell.knowledge.vectors import TextEmbedder
from okrcell.settings import Settings, parse_settings, read_yaml
from okrcell.texts.description import Description
from okrcell.texts.endpoint.budget import CostEstimate
from okrcell.descriptions.llm_cache import RequestCache
from okrcell.texts.endpoint.settings import EndpointSettings
from okrcell.texts.endpoint.writer import EndpointWriter
from okrcell.descriptions.rag import TEXT_SEARCH_SOURCES, open_retriever
from okrcell.ontology.obs_profile import CellProfile
from okrcell.texts.retrieve import RetrievalSettings
from okrcell.descriptions.screening import ScreeningSettings
from okrcell.descriptions.template_writer import TemplateWriter
from okrcell.descriptions.enrich import DescriptionRequest, build_requests, review_descriptions, write_descriptions

StageProgress = Callable[[int, int, str], None]
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


def load_enrich_settings(path: Path | None, endpoint: Mapping[str, Any], **overrides: Any) -> EnrichSettings:
    """Read settings from a YAML file or start from the defaults, and apply overrides.

    Parameters
    ----------
    path
        YAML file of settings; None for the defaults.
    endpoint
        Overrides of single endpoint settings.
    overrides
        Overrides of top-level settings; None leaves a setting unchanged.

    Raises
    ------
    SettingsError
        If the file cannot be read, or a setting is unknown or out of range.
    """
    values = read_yaml(path) if path else {}
    if not isinstance(values, dict):
        return parse_settings(EnrichSettings, values, str(path))
    values |= {name: value for name, value in overrides.items() if value is not None}
    if endpoint:
        values["endpoint"] = {**(values.get("endpoint") or {}), **endpoint}
    return parse_settings(EnrichSettings, values, str(path or "the command line"))


def describe_profiles(
    profiles: Sequence[CellProfile],
    settings: EnrichSettings,
    sources: Sequence[KnowledgeSource],
    build_embedder: Callable[[], TextEmbedder],
    ledger: str | Path | None,
    confirm: Callable[[CostEstimate], None] | None,
    progress: StageProgress,
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
    build_embedder
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
    uses_template = settings.writer == "template"
    needs_search = any(source.name in TEXT_SEARCH_SOURCES for source in sources)
    embedder = None if uses_template and not needs_search else build_embedder()
    retriever = open_retriever(
        sources, settings.retrieval, embedder, lambda done, total: progress(done, total, "indexing")
    )
    requests = list(build_requests(profiles, sources, retriever))
    if uses_template or embedder is None:
        return write_descriptions(
            requests, TemplateWriter(), progress=lambda done, total: progress(done, total, "writing")
        ), None
    descriptions = _describe_with_llm(
        requests, settings, ledger, confirm, lambda done, total: progress(done, total, "writing")
    )
    review = review_descriptions(
        descriptions, embedder, settings.screening, lambda done, total: progress(done, total, "screening")
    )
    return review.descriptions, asdict(review.report)


def _describe_with_llm(
    requests: Sequence[DescriptionRequest],
    settings: EnrichSettings,
    ledger: str | Path | None,
    confirm: Callable[[CostEstimate], None] | None,
    progress: Callable[[int, int], None],
) -> list[Description]:
    if settings.endpoint is None:
        raise SettingsError(
            "The writer 'endpoint' needs a language model, but none is set: set endpoint.model and endpoint.base_url, or "
            "pass --llm and --base-url."
        )
    if ledger is None:
        raise InputError("A language model's answers need a file to be stored in: give an output or a ledger file.")
    with RequestCache(ledger) as cache:
        writer = EndpointWriter(settings.endpoint, cache)
        writer.check_client()
        if confirm is not None:
            confirm(writer.estimate((request.profile, request.evidence) for request in requests))
        return write_descriptions(requests, writer, n_workers=settings.endpoint.concurrency, progress=progress)
