"""Enrichment pipeline: collect the evidence of many profiles, write their descriptions and screen them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from okrcell.descriptions.description import Description, Dropped, Writer
from okrcell.descriptions.evidence_lookup import EvidenceCache, gather_evidence
from okrcell.descriptions.llm_cache import CostEstimate, RequestCache
from okrcell.descriptions.llm_prompt import EndpointSettings, WritingFailed
from okrcell.descriptions.llm_writer import EndpointWriter
from okrcell.descriptions.metadata_text import original_description
from okrcell.descriptions.rag import TEXT_SEARCH_SOURCES, LiteratureRetriever, RetrievalSettings, open_retriever
from okrcell.descriptions.screening import ScreeningReport, ScreeningSettings, screen
from okrcell.descriptions.template_writer import TemplateWriter
from okrcell.errors import InputError, SettingsError
from okrcell.evidence import Evidence, KnowledgeSource, TextEmbedder
from okrcell.ontology.obs_profile import CellProfile
from okrcell.ontology.ontology import OntologySource
from okrcell.settings import Settings, parse_settings, read_yaml

CountProgress = Callable[[int, int], None]
"""Progress callback: number of finished profiles, total number."""
StageProgress = Callable[[int, int, str], None]
"""Progress callback: number of finished items, total number, name of the stage."""


@dataclass(frozen=True)
class DescriptionRequest:
    """A profile with its evidence: the input of a writer."""

    profile: CellProfile
    evidence: tuple[Evidence, ...]
    """Evidence for its terms and genes, then literature passages."""


@dataclass(frozen=True)
class ReviewResult:
    """Descriptions of a language model after screening, with the report."""

    descriptions: list[Description]
    report: ScreeningReport


def build_requests(
    profiles: Sequence[CellProfile], sources: Sequence[KnowledgeSource], retriever: LiteratureRetriever | None
) -> Iterator[DescriptionRequest]:
    """Collect the evidence of each profile, in input order; each term is looked up once."""
    cache = EvidenceCache(sources)
    if retriever is not None:
        retriever.embed_queries(profiles)
    for profile in profiles:
        passages = retriever.passages(profile) if retriever else ()
        yield DescriptionRequest(profile, tuple(dict.fromkeys((*gather_evidence(profile, cache), *passages))))


def write_descriptions(
    requests: Sequence[DescriptionRequest], writer: Writer, *, n_workers: int = 1, progress: CountProgress | None = None
) -> list[Description]:
    """Write a description for each request, ``n_workers`` in parallel; results are in the order of the requests.

    If a writer fails for a profile, its original text is used, with the reason in ``remark``. When the budget is
    exhausted, running requests are completed first, so that paid answers are stored; then the exception is raised.
    """
    descriptions: dict[int, Description] = {}
    if n_workers == 1:
        for index, request in enumerate(requests):
            descriptions[index] = _write_or_fallback(request, writer)
            _report_progress(progress, index + 1, len(requests))
        return list(descriptions.values())
    with ThreadPoolExecutor(n_workers) as pool:
        pending = iter(enumerate(requests))
        futures: dict[Future[Description], int] = {}
        try:
            while futures or len(descriptions) < len(requests):
                for index, request in pending:
                    futures[pool.submit(_write_or_fallback, request, writer)] = index
                    if len(futures) == n_workers:
                        break
                finished, _ = wait(futures, return_when=FIRST_COMPLETED)
                for future in finished:
                    descriptions[futures.pop(future)] = future.result()
                _report_progress(progress, len(descriptions), len(requests))
        finally:
            wait(futures)
    return [descriptions[index] for index in range(len(requests))]


def review_descriptions(
    descriptions: Sequence[Description],
    embedder: TextEmbedder,
    settings: ScreeningSettings,
    progress: CountProgress | None = None,
) -> ReviewResult:
    """Screen the texts of a language model, and add the original phrasings to those that passed."""
    originals = [build_original(text.profile) for text in descriptions]
    screening = screen(descriptions, originals, embedder, settings, progress)
    results = [
        replace(screened_description, original=original.phrasings)
        if screened_description
        else _dropped_description(description, original)
        for description, screened_description, original in zip(
            descriptions, screening.descriptions, originals, strict=True
        )
    ]
    return ReviewResult(results, screening.report)


def _dropped_description(text: Description, original: Description) -> Description:
    reason = "the whole text was rejected"
    dropped = (*text.dropped, *(Dropped(sentence.text, reason) for sentence in text.sentences))
    return replace(
        text, sentences=(), phrasings=(), original=original.phrasings, dropped=dropped, outcome="dropped", remark=reason
    )


def build_original(profile: CellProfile) -> Description:
    """Return the original description of a profile: metadata and ontology only."""
    return original_description(profile, gather_evidence(profile, EvidenceCache((OntologySource(),))))


def _write_or_fallback(request: DescriptionRequest, writer: Writer) -> Description:
    try:
        return writer.write(request.profile, request.evidence)
    except WritingFailed as error:
        original = build_original(request.profile)
        outcome = "original" if error.permanent else "failed"
        return replace(original, writer=writer.name, outcome=outcome, remark=error.reason)


def _report_progress(progress: CountProgress | None, done: int, total: int) -> None:
    if progress is not None:
        progress(done, total)


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
    BudgetExceeded
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
