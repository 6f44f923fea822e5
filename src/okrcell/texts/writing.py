"""Write descriptions concurrently; screen those of a language model."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace

from okrcell.knowledge.evidence import Evidence, KnowledgeSource
from okrcell.knowledge.ontology import OntologySource
from okrcell.knowledge.vectors import TextEmbedder
from okrcell.texts.description import Description, Dropped, Writer
from okrcell.texts.endpoint.answers import WritingFailed
from okrcell.texts.gather import Inquiry, evidence_for
from okrcell.texts.profile import CellProfile
from okrcell.texts.retrieve import Retriever
from okrcell.texts.screening.screen import ScreeningReport, ScreeningSettings, screen
from okrcell.texts.template.original import original_description

Progress = Callable[[int, int], None]
"""Progress callback: number of finished profiles, total number."""


@dataclass(frozen=True)
class Request:
    """A profile with its evidence: the input of a writer."""

    profile: CellProfile
    evidence: tuple[Evidence, ...]
    """Evidence for its terms and genes, then literature passages."""


@dataclass(frozen=True)
class Reviewed:
    """Descriptions of a language model after screening, with the report."""

    descriptions: list[Description]
    report: ScreeningReport


def requests_for(
    profiles: Sequence[CellProfile], sources: Sequence[KnowledgeSource], retriever: Retriever | None
) -> Iterator[Request]:
    """Collect the evidence of each profile, in input order; each term is looked up once."""
    inquiry = Inquiry(sources)
    if retriever is not None:
        retriever.prepare(profiles)
    for profile in profiles:
        passages = retriever.passages(profile) if retriever else ()
        yield Request(profile, tuple(dict.fromkeys((*evidence_for(profile, inquiry), *passages))))


def written(
    requests: Sequence[Request], writer: Writer, *, at_once: int = 1, progress: Progress | None = None
) -> list[Description]:
    """Write a description for each request, ``at_once`` in parallel; results are in the order of the requests.

    If a writer fails for a profile, its original text is used, with the reason in ``remark``. When the budget is
    exhausted, running requests are completed first, so that paid answers are stored; then the exception is raised.
    """
    done: dict[int, Description] = {}
    if at_once == 1:
        for place, request in enumerate(requests):
            done[place] = _one(request, writer)
            _tell(progress, place + 1, len(requests))
        return list(done.values())
    with ThreadPoolExecutor(at_once) as pool:
        waiting = iter(enumerate(requests))
        running: dict[Future[Description], int] = {}
        try:
            while running or len(done) < len(requests):
                for place, request in waiting:
                    running[pool.submit(_one, request, writer)] = place
                    if len(running) == at_once:
                        break
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    done[running.pop(future)] = future.result()
                _tell(progress, len(done), len(requests))
        finally:
            wait(running)
    return [done[place] for place in range(len(requests))]


def reviewed(
    texts: Sequence[Description],
    embedder: TextEmbedder,
    settings: ScreeningSettings,
    progress: Progress | None = None,
) -> Reviewed:
    """Screen the texts of a language model, and add the original phrasings to those that passed."""
    originals = [original_of(text.profile) for text in texts]
    screened = screen(texts, originals, embedder, settings, progress)
    kept = [
        replace(after, original=original.phrasings) if after else _nothing_in_place_of(before, original)
        for before, after, original in zip(texts, screened.descriptions, originals, strict=True)
    ]
    return Reviewed(kept, screened.report)


def _nothing_in_place_of(text: Description, original: Description) -> Description:
    reason = "the whole text was rejected"
    dropped = (*text.dropped, *(Dropped(sentence.text, reason) for sentence in text.sentences))
    return replace(
        text, sentences=(), phrasings=(), original=original.phrasings, dropped=dropped, outcome="dropped", remark=reason
    )


def original_of(profile: CellProfile) -> Description:
    """Return the original description of a profile: metadata and ontology only."""
    return original_description(profile, evidence_for(profile, Inquiry((OntologySource(),))))


def _one(request: Request, writer: Writer) -> Description:
    try:
        return writer.write(request.profile, request.evidence)
    except WritingFailed as error:
        plain = original_of(request.profile)
        outcome = "original" if error.lasting else "failed"
        return replace(plain, writer=writer.name, outcome=outcome, remark=error.reason)


def _tell(progress: Progress | None, done: int, of: int) -> None:
    if progress is not None:
        progress(done, of)
