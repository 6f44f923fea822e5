"""Prompt of a profile with numbered evidence."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from string import Template
from typing import Literal

from okrcell.evidence import Aspect, Evidence
from okrcell.ontology.obs_profile import CellProfile, profile_evidence

PromptVersion = Literal["essay-1", "short-1"]
"""Names of the prompt files. A released file is never changed: another wording is another version."""

_ASPECT_LABELS: dict[Aspect, str] = {
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
class Prompt:
    """System and user message of a request, with the evidence that can be cited."""

    system: str
    user: str
    evidence: tuple[Evidence, ...]
    """Evidence in the order of its numbers; number 1 is the first."""

    def messages(self, error_message: str = "") -> list[dict[str, str]]:
        """Return the chat messages; ``error_message`` is the reason why the previous answer was rejected."""
        correction = (
            f"\n\nYour former answer was refused: {error_message}. Write the whole answer anew."
            if error_message
            else ""
        )
        return [{"role": "system", "content": self.system}, {"role": "user", "content": self.user + correction}]


def build_prompt(version: PromptVersion, profile: CellProfile, evidence: Sequence[Evidence], limit: int) -> Prompt:
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
    system, user = _load_prompt(version)
    evidence_by_key: dict[tuple[str, str, str], Evidence] = {}
    for piece in (*profile_facts(profile), *evidence):
        line = _evidence_line(piece)
        if limit - len(line) >= 0 and (piece.source, piece.record, line) not in evidence_by_key:
            evidence_by_key[piece.source, piece.record, line] = piece
            limit -= len(line)
    lines = (f"[{index}] {line}" for index, (_, _, line) in enumerate(evidence_by_key, start=1))
    subject = profile.cell_type or "a cell of a type that is not known"
    user_message = Template(user).substitute(subject=subject, evidence="\n".join(lines))
    return Prompt(system, user_message, tuple(evidence_by_key.values()))


def profile_facts(profile: CellProfile) -> Iterator[Evidence]:
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
    for fact, value in facts.items():
        if value:
            yield profile_evidence(fact, value)


def _evidence_line(piece: Evidence) -> str:
    text = " ".join(piece.text.split())
    if piece.aspect == "metadata":
        return f"{piece.record.removeprefix('profile.').replace('_', ' ')}: {text}"
    return f"{piece.source} {piece.record}, {_ASPECT_LABELS[piece.aspect]}: {text}"


@cache
def _load_prompt(version: PromptVersion) -> tuple[str, str]:
    text = files("okrcell.texts.endpoint").joinpath("prompts", f"{version}.md").read_text(encoding="utf-8")
    system, _, user = text.partition("\n---\n")
    return system.strip(), user.strip()
