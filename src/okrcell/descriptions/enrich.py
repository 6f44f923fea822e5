"""Write descriptions concurrently; screen those of a language model."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace

from okrcell.evidence import Evidence, KnowledgeSource
from okrcell.ontology.ontology import OntologySource
from okrcell.knowledge.vectors import TextEmbedder
from okrcell.texts.description import Description, Dropped, Writer
from okrcell.descriptions.llm_prompt import WritingFailed
from okrcell.texts.gather import EvidenceCache, gather_evidence
from okrcell.ontology.obs_profile import CellProfile
from okrcell.texts.retrieve import LiteratureRetriever
from okrcell.descriptions.screening import ScreeningReport, ScreeningSettings, screen
from okrcell.descriptions.metadata_text import original_description

CountProgress = Callable[[int, int], None]
"""Progress callback: number of finished profiles, total number."""


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
