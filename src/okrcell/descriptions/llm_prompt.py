"""Parse a language model's response into cited sentences; JSON schema of the answer."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from okrcell.errors import OkrcellError
from okrcell.evidence import Evidence
from okrcell.texts.description import Sentence
from okrcell.texts.sentences import split_sentences

_THINKING_BLOCK = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)
_CODE_FENCE = re.compile(r"\A\s*```(?:json)?\s*\n(.*?)\n?\s*```\s*\Z", re.DOTALL)
_CITATION_NUMBERS = re.compile(r"\s*\[\d+(?:\s*[,;–-]\s*\d+)*\]")


MAX_CITATIONS = 6
"""Maximum number of citations of a sentence."""
MAX_SENTENCES = 60
"""Maximum number of sentences of an answer, well above what any prompt requests."""
MAX_RESPONSE_CHARS = 4_000_000
"""Maximum number of characters of a response body, far above any usable response."""
MAX_USAGE_TOKENS = 10**9
"""Maximum plausible token usage; larger values from a server are ignored."""


def answer_schema(n_evidence: int, max_sentences: int) -> dict[str, Any]:
    """Return the JSON schema of an answer: at most ``max_sentences`` sentences that cite evidence 1 to ``n_evidence``.

    The bounds keep a weak model from enumerating without end. They take few values, because some providers spend seconds
    to compile each new schema.
    """
    index_schema = {"type": "integer", "minimum": 1, "maximum": n_evidence}
    properties = {
        "text": {"type": "string"},
        "evidence": {"type": "array", "minItems": 1, "maxItems": MAX_CITATIONS, "items": index_schema},
    }
    sentence_schema = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {
            "sentences": {"type": "array", "minItems": 1, "maxItems": max_sentences, "items": sentence_schema}
        },
        "required": ["sentences"],
        "additionalProperties": False,
    }


class WritingFailed(OkrcellError):  # noqa: N818 - a state of a description, not a user error
    """A language model returned no usable description; the original text is used instead."""

    def __init__(self, reason: str, permanent: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.permanent = permanent
        """Whether the answers are stored in the ledger, so that a repetition fails too; otherwise it may succeed."""


class InvalidAnswer(Exception):  # noqa: N818 - sent to the model, not shown to the user
    """The answer does not have the requested form; the message is sent to the model."""


class InvalidCompletion(Exception):  # noqa: N818 - a transport fault, not a user error
    """The response body is not a chat completion of an OpenAI-compatible server."""


@dataclass(frozen=True)
class ChatCompletion:
    """The relevant fields of a chat completion."""

    content: str
    truncated: bool
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
    prompt_tokens: Annotated[int, Field(ge=0, le=MAX_USAGE_TOKENS)]
    completion_tokens: Annotated[int, Field(ge=0, le=MAX_USAGE_TOKENS)]


class _CitedSentence(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")
    text: Annotated[str, Field(min_length=1)]
    evidence: Annotated[list[int], Field(min_length=1, max_length=MAX_CITATIONS)]


class _Answer(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")
    sentences: Annotated[list[_CitedSentence], Field(min_length=1, max_length=MAX_SENTENCES)]


def parse_completion(body: str) -> ChatCompletion:
    """Parse a chat completion.

    Raises
    ------
    InvalidCompletion
        If the body is no JSON (truncated, a proxy's page), has no choice, or is longer than `MAX_RESPONSE_CHARS`.
    """
    if len(body) > MAX_RESPONSE_CHARS:
        raise InvalidCompletion(
            f"the response body has {len(body):,} characters; more than {MAX_RESPONSE_CHARS:,} are not read"
        )
    try:
        parsed = json.loads(body)
        completion = _Completion.model_validate(parsed)
    except (ValueError, RecursionError):
        raise InvalidCompletion("the response body is not a chat completion") from None
    try:
        usage = _Usage.model_validate(parsed.get("usage"))
    except ValidationError:
        usage = None
    choice = completion.choices[0]
    return ChatCompletion(
        content=choice.message.content or "",
        truncated=choice.finish_reason == "length",
        prompt_tokens=usage.prompt_tokens if usage else None,
        completion_tokens=usage.completion_tokens if usage else None,
    )


def parse_answer(completion: ChatCompletion, evidence: Sequence[Evidence]) -> tuple[Sentence, ...]:
    """Parse the model's JSON into sentences with the evidence that they cite by number, from 1.

    A text of several sentences is split, each with the same evidence. Citation numbers in square brackets are removed,
    missing full stops added and duplicate sentences dropped. A ``<think>`` block before the JSON and a code fence around
    it are allowed.

    Raises
    ------
    InvalidAnswer
        If the answer is no JSON, has another schema, is too long, or a sentence cites no or unknown evidence.
    """
    if completion.truncated:
        raise InvalidAnswer("it was cut off at the limit of length; write fewer words")
    content = _THINKING_BLOCK.sub("", completion.content)
    if not content.strip():
        raise InvalidAnswer("it was empty")
    fence_match = _CODE_FENCE.match(content)
    try:
        answer = _Answer.model_validate_json(fence_match[1] if fence_match else content)
    except ValidationError as error:
        first_error = error.errors(include_url=False)[0]
        location = ".".join(str(part) for part in first_error["loc"])
        raise InvalidAnswer(f"{location}: {first_error['msg']}" if location else first_error["msg"]) from None
    sentences: dict[str, Sentence] = {}
    for index, item in enumerate(answer.sentences, start=1):
        missing = [cited for cited in item.evidence if not 1 <= cited <= len(evidence)]
        if missing:
            raise InvalidAnswer(
                f"sentence {index} cites evidence {missing[0]}, but the evidence is numbered 1 to {len(evidence)}"
            )
        cited = tuple(evidence[cited - 1] for cited in dict.fromkeys(item.evidence))
        printable = "".join(letter if letter.isprintable() else " " for letter in item.text)
        text = " ".join(_CITATION_NUMBERS.sub("", printable).split())
        if not re.search(r"[^\W\d_]", text):
            raise InvalidAnswer(f"sentence {index} has no words")
        for part in split_sentences(text):
            sentence = part if part.endswith((".", "!", "?")) else f"{part}."
            sentences.setdefault(sentence, Sentence(sentence, cited))
    if len(sentences) > MAX_SENTENCES:
        raise InvalidAnswer(f"it has {len(sentences)} sentences; write at most {MAX_SENTENCES}")
    return tuple(sentences.values())
