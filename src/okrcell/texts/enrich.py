"""Every profile of a study gets a description that was looked up, written, screened and cited."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from okrcell.knowledge.evidence import Evidence, KnowledgeSource
from okrcell.knowledge.ontology import OntologySource
from okrcell.knowledge.vectors import TextEmbedder
from okrcell.settings import Settings, parse_settings, read_yaml
from okrcell.texts.description import Description, Writer
from okrcell.texts.endpoint.answers import WritingFailed
from okrcell.texts.endpoint.settings import EndpointSettings
from okrcell.texts.gather import Inquiry, evidence_for
from okrcell.texts.profile import CellProfile
from okrcell.texts.retrieve import RetrievalSettings, Retriever
from okrcell.texts.screening.screen import ScreeningReport, ScreeningSettings, screen
from okrcell.texts.template.original import original_description
from okrcell.texts.template.writer import TemplateWriter

Progress = Callable[[int, int], None]
"""Told how many profiles of how many are described."""


class EnrichSettings(Settings):
    """How descriptions are made."""

    writer: Literal["template", "endpoint"] = "template"
    """template: offline, from the sources alone. endpoint: a language model, by `endpoint`."""
    sources: tuple[str, ...] | None = None
    """Which knowledge sources are asked; by default all whose files are at hand."""
    leaks: bool = False
    """Whether marker rows that derive from atlases which benchmarks use may be read."""
    retrieval: RetrievalSettings = RetrievalSettings()
    screening: ScreeningSettings = ScreeningSettings()
    endpoint: EndpointSettings | None = None
    """The language model; needed by the writer ``endpoint``."""


def enrich_settings(path: Path | None, endpoint: Mapping[str, Any], **given: Any) -> EnrichSettings:
    """Read settings from a YAML file, or start from the defaults; what is ``given`` and not None takes their place.

    Raises
    ------
    SettingsError
        If the file cannot be read, or a setting is unknown or impossible.
    """
    values = read_yaml(path) if path else {}
    if not isinstance(values, dict):
        return parse_settings(EnrichSettings, values, str(path))
    values |= {name: value for name, value in given.items() if value is not None}
    if endpoint:
        values["endpoint"] = {**(values.get("endpoint") or {}), **endpoint}
    return parse_settings(EnrichSettings, values, str(path or "the command line"))


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


def by_template(requests: Sequence[Request], progress: Progress | None = None) -> list[Description]:
    """Write by template."""
    return written(requests, TemplateWriter(), progress=progress)


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
        replace(text, original=original.phrasings) if text else Description(original.profile, (), (), outcome="dropped")
        for text, original in zip(screened.descriptions, originals, strict=True)
    ]
    return Reviewed(kept, screened.report)


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
