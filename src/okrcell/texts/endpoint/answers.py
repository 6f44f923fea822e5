"""What a language model sent back becomes cited sentences, or a reason why not."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from okrcell.errors import OkrcellError
from okrcell.knowledge.evidence import Evidence
from okrcell.texts.description import Sentence
from okrcell.texts.sentences import split

_THOUGHT = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)
_FENCED = re.compile(r"\A\s*```(?:json)?\s*\n(.*?)\n?\s*```\s*\Z", re.DOTALL)
_NUMBERS = re.compile(r"\s*\[\d+(?:\s*[,;–-]\s*\d+)*\]")


MOST_CITED = 6
"""Pieces of evidence that one sentence may cite."""
MOST_SENTENCES = 60
"""Sentences of the longest answer, well above what any prompt asks for."""
LONGEST_REPLY = 4_000_000
"""Characters of a reply's body; none that is of use comes near."""
MOST_TOKENS = 10**9
"""No request uses more, so a server that says so is not believed."""


def schema(evidence: int, sentences: int) -> dict[str, Any]:
    """Make the JSON schema of an answer: at most so many sentences, that cite evidence numbered 1 to ``evidence``.

    The bounds keep a weak model from counting on for ever. They take few values, for some providers spend seconds on
    each schema that is new to them.
    """
    number = {"type": "integer", "minimum": 1, "maximum": evidence}
    properties = {
        "text": {"type": "string"},
        "evidence": {"type": "array", "minItems": 1, "maxItems": MOST_CITED, "items": number},
    }
    cited = {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
    return {
        "type": "object",
        "properties": {"sentences": {"type": "array", "minItems": 1, "maxItems": sentences, "items": cited}},
        "required": ["sentences"],
        "additionalProperties": False,
    }


class WritingFailed(OkrcellError):  # noqa: N818 - a state of a description, not a mistake
    """A language model gave no description that can be used; the original text stands in its place."""

    def __init__(self, reason: str, lasting: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.lasting = lasting
        """Whether the answers are in the ledger, so that asking again gives the same; otherwise it may go well."""


class WrongAnswer(Exception):  # noqa: N818 - told to the model, not to the user
    """The answer is not what the prompt asked for; the message is told to the model."""


class WrongReply(Exception):  # noqa: N818 - a fault on the way, not a mistake
    """The body of a reply is not what an OpenAI-compatible server sends."""


@dataclass(frozen=True)
class Reply:
    """The parts of a server's reply that count."""

    content: str
    cut: bool
    """Whether the model was stopped at the limit of tokens."""
    prompt_tokens: int | None
    """None where the server does not tell."""
    completion_tokens: int | None


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Completion(BaseModel):
    choices: Annotated[list[_Choice], Field(min_length=1)]


class _Usage(BaseModel):
    prompt_tokens: Annotated[int, Field(ge=0, le=MOST_TOKENS)]
    completion_tokens: Annotated[int, Field(ge=0, le=MOST_TOKENS)]


class _CitedSentence(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")
    text: Annotated[str, Field(min_length=1)]
    evidence: Annotated[list[int], Field(min_length=1, max_length=MOST_CITED)]


class _Answer(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")
    sentences: Annotated[list[_CitedSentence], Field(min_length=1, max_length=MOST_SENTENCES)]


def read_reply(body: str) -> Reply:
    """Read a chat completion.

    Raises
    ------
    WrongReply
        If the body is no JSON (cut on the way, a proxy's page), holds no choice, or is longer than `LONGEST_REPLY`.
    """
    if len(body) > LONGEST_REPLY:
        raise WrongReply(
            f"the body of the reply has {len(body):,} characters; more than {LONGEST_REPLY:,} are not read"
        )
    try:
        parsed = json.loads(body)
        completion = _Completion.model_validate(parsed)
    except (ValueError, RecursionError):
        raise WrongReply("the body of the reply is not a chat completion") from None
    try:
        usage = _Usage.model_validate(parsed.get("usage"))
    except ValidationError:
        usage = None
    first = completion.choices[0]
    return Reply(
        content=first.message.content or "",
        cut=first.finish_reason == "length",
        prompt_tokens=usage.prompt_tokens if usage else None,
        completion_tokens=usage.completion_tokens if usage else None,
    )


def read_answer(reply: Reply, evidence: Sequence[Evidence]) -> tuple[Sentence, ...]:
    """Turn the model's JSON into sentences that hold the evidence they cite, by its number from 1.

    A text of several sentences becomes several, each with the same evidence. Numbers in square brackets are taken out
    of the text, a full stop is added where there is none, and what is said twice is kept once. A thought before the
    JSON and a code fence around it are allowed; nothing else is.

    Raises
    ------
    WrongAnswer
        If it is no JSON, has another schema, is too long, or a sentence cites nothing or what is not there.
    """
    if reply.cut:
        raise WrongAnswer("it was cut off at the limit of length; write fewer words")
    content = _THOUGHT.sub("", reply.content)
    if not content.strip():
        raise WrongAnswer("it was empty")
    fenced = _FENCED.match(content)
    try:
        answer = _Answer.model_validate_json(fenced[1] if fenced else content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise WrongAnswer(f"{place}: {first['msg']}" if place else first["msg"]) from None
    sentences: dict[str, Sentence] = {}
    for number, said in enumerate(answer.sentences, start=1):
        missing = [cited for cited in said.evidence if not 1 <= cited <= len(evidence)]
        if missing:
            raise WrongAnswer(
                f"sentence {number} cites evidence {missing[0]}, but the evidence is numbered 1 to {len(evidence)}"
            )
        cited = tuple(evidence[cited - 1] for cited in dict.fromkeys(said.evidence))
        printable = "".join(letter if letter.isprintable() else " " for letter in said.text)
        text = " ".join(_NUMBERS.sub("", printable).split())
        if not re.search(r"[^\W\d_]", text):
            raise WrongAnswer(f"sentence {number} has no words")
        for part in split(text):
            whole = part if part.endswith((".", "!", "?")) else f"{part}."
            sentences.setdefault(whole, Sentence(whole, cited))
    if len(sentences) > MOST_SENTENCES:
        raise WrongAnswer(f"it has {len(sentences)} sentences; write at most {MOST_SENTENCES}")
    return tuple(sentences.values())
