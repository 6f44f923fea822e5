"""Prompt of a profile with numbered evidence."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from string import Template
from typing import Literal

from okrcell.knowledge.evidence import Aspect, Evidence
from okrcell.texts.profile import CellProfile, stated

PromptVersion = Literal["essay-1", "short-1"]
"""Names of the prompt files. A released file is never changed: another wording is another version."""

_ASPECT: dict[Aspect, str] = {
    "name": "name",
    "definition": "definition",
    "synonym": "other name",
    "metadata": "stated by the authors of the data",
    "passage": "literature",
    "description": "description",
    "marker": "marker genes",
    "absent_marker": "genes that it lacks",
    "gene": "what the gene is",
    "function": "function",
}


@dataclass(frozen=True)
class Question:
    """System and user message of a request, with the evidence that can be cited."""

    system: str
    user: str
    evidence: tuple[Evidence, ...]
    """Evidence in the order of its numbers; number 1 is the first."""

    def messages(self, trouble: str = "") -> list[dict[str, str]]:
        """Return the chat messages; ``trouble`` is the reason why the previous answer was rejected."""
        told = f"\n\nYour former answer was refused: {trouble}. Write the whole answer anew." if trouble else ""
        return [{"role": "system", "content": self.system}, {"role": "user", "content": self.user + told}]


def ask(version: PromptVersion, profile: CellProfile, evidence: Sequence[Evidence], limit: int) -> Question:
    """Build the prompt of a profile with its evidence.

    Parameters
    ----------
    version
        Version of the prompt.
    profile
        The profile; its facts come first.
    evidence
        Evidence on the profile; added in input order, without duplicates.
    limit
        Maximum number of characters of facts and evidence; a piece that would exceed it is skipped.
    """
    system, user = _prompt(version)
    cited: dict[tuple[str, str, str], Evidence] = {}
    for piece in (*facts_of(profile), *evidence):
        line = _line(piece)
        if limit - len(line) >= 0 and (piece.source, piece.record, line) not in cited:
            cited[piece.source, piece.record, line] = piece
            limit -= len(line)
    lines = (f"[{number}] {line}" for number, (_, _, line) in enumerate(cited, start=1))
    subject = profile.cell_type or "a cell of a type that is not known"
    filled = Template(user).substitute(subject=subject, evidence="\n".join(lines))
    return Question(system, filled, tuple(cited.values()))


def facts_of(profile: CellProfile) -> Iterator[Evidence]:
    """Yield the facts of a profile as evidence: the cell type as the author's label, the others as term names."""
    facts = {
        "cell_type": profile.label,
        "cell_type_ontology_term_id": "" if profile.label else profile.cell_type_id,
        "tissue": profile.tissue,
        "disease": profile.disease,
        "development_stage": profile.development_stage,
        "sex": profile.sex,
        "assay": profile.assay,
    }
    for fact, words in facts.items():
        if words:
            yield stated(fact, words)


def _line(piece: Evidence) -> str:
    words = " ".join(piece.text.split())
    if piece.aspect == "metadata":
        return f"{piece.record.removeprefix('profile.').replace('_', ' ')}: {words}"
    return f"{piece.source} {piece.record}, {_ASPECT[piece.aspect]}: {words}"


@cache
def _prompt(version: PromptVersion) -> tuple[str, str]:
    text = files("okrcell.texts.endpoint").joinpath("prompts", f"{version}.md").read_text(encoding="utf-8")
    system, _, user = text.partition("\n---\n")
    return system.strip(), user.strip()
