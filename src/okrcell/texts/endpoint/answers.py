"""Parse a language model's response into cited sentences; JSON schema of the answer."""

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
"""Maximum number of citations of a sentence."""
MOST_SENTENCES = 60
"""Maximum number of sentences of an answer, well above what any prompt requests."""
LONGEST_REPLY = 4_000_000
"""Maximum number of characters of a response body, far above any usable response."""
MOST_TOKENS = 10**9
"""Maximum plausible token usage; larger values from a server are ignored."""


def schema(evidence: int, sentences: int) -> dict[str, Any]:
    """Return the JSON schema of an answer: at most ``sentences`` sentences that cite evidence 1 to ``evidence``.

    The bounds keep a weak model from enumerating without end. They take few values, because some providers spend seconds
    to compile each new schema.
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


class WritingFailed(OkrcellError):  # noqa: N818 - a state of a description, not a user error
    """A language model returned no usable description; the original text is used instead."""

    def __init__(self, reason: str, lasting: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.lasting = lasting
        """Whether the answers are stored in the ledger, so that a repetition fails too; otherwise it may succeed."""


class WrongAnswer(Exception):  # noqa: N818 - sent to the model, not shown to the user
    """The answer does not have the requested form; the message is sent to the model."""


class WrongReply(Exception):  # noqa: N818 - a transport fault, not a user error
    """The response body is not a chat completion of an OpenAI-compatible server."""


@dataclass(frozen=True)
class Reply:
    """The relevant fields of a chat completion."""

    content: str
    cut: bool
    """Whether the answer was truncated at the token limit."""
    prompt_tokens: int | None
    """None if the server does not report it."""
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
    """Parse a chat completion.

    Raises
    ------
    WrongReply
        If the body is no JSON (truncated, a proxy's page), has no choice, or is longer than `LONGEST_REPLY`.
    """
    if len(body) > LONGEST_REPLY:
        raise WrongReply(f"the response body has {len(body):,} characters; more than {LONGEST_REPLY:,} are not read")
    try:
        parsed = json.loads(body)
        completion = _Completion.model_validate(parsed)
    except (ValueError, RecursionError):
        raise WrongReply("the response body is not a chat completion") from None
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
    """Parse the model's JSON into sentences with the evidence that they cite by number, from 1.

    A text of several sentences is split, each with the same evidence. Citation numbers in square brackets are removed,
    missing full stops added and duplicate sentences dropped. A ``<think>`` block before the JSON and a code fence around
    it are allowed.

    Raises
    ------
    WrongAnswer
        If the answer is no JSON, has another schema, is too long, or a sentence cites no or unknown evidence.
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
