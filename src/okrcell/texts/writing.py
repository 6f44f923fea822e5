"""Requests are written, some at a time, and what a language model wrote is reviewed."""

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
"""Told how many profiles of how many are done."""


@dataclass(frozen=True)
class Request:
    """A profile with all that a writer is told of it."""

    profile: CellProfile
    evidence: tuple[Evidence, ...]
    """What the sources know of its terms and genes, then passages of literature."""


@dataclass(frozen=True)
class Reviewed:
    """What a language model wrote, after the screening."""

    descriptions: list[Description]
    report: ScreeningReport


def requests_for(
    profiles: Sequence[CellProfile], sources: Sequence[KnowledgeSource], retriever: Retriever | None
) -> Iterator[Request]:
    """Gather the evidence of each profile, in the order given; a term is asked about once."""
    inquiry = Inquiry(sources)
    if retriever is not None:
        retriever.prepare(profiles)
    for profile in profiles:
        passages = retriever.passages(profile) if retriever else ()
        yield Request(profile, tuple(dict.fromkeys((*evidence_for(profile, inquiry), *passages))))


def written(
    requests: Sequence[Request], writer: Writer, *, at_once: int = 1, progress: Progress | None = None
) -> list[Description]:
    """Have each request written, ``at_once`` at a time, and hand the descriptions back in the order of the requests.

    A text that could not be had is replaced by the original one, with the reason. When the budget ends, requests that are
    under way are still waited for, so that what was paid is kept; then the exception goes on.
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
    """Screen what a language model wrote, and put the original phrasings beside what passed."""
    originals = [original_of(text.profile) for text in texts]
    screened = screen(texts, originals, embedder, settings, progress)
    kept = [
        replace(after, original=original.phrasings) if after else _nothing_in_place_of(before, original)
        for before, after, original in zip(texts, screened.descriptions, originals, strict=True)
    ]
    return Reviewed(kept, screened.report)


def _nothing_in_place_of(text: Description, original: Description) -> Description:
    reason = "the whole text was refused"
    dropped = (*text.dropped, *(Dropped(sentence.text, reason) for sentence in text.sentences))
    return replace(
        text, sentences=(), phrasings=(), original=original.phrasings, dropped=dropped, outcome="dropped", remark=reason
    )


def original_of(profile: CellProfile) -> Description:
    """Say what metadata and ontology alone tell of a profile."""
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
