"""Endpoint settings, prompts, JSON schema of the answer, and parsing of a language model's response."""

import ipaddress
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from string import Template
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from okrcell.descriptions.description import Sentence
from okrcell.descriptions.llm_cache import Budget, Prices
from okrcell.descriptions.metadata_text import capitalize_first
from okrcell.errors import OkrcellError
from okrcell.evidence import Aspect, Evidence, split_sentences
from okrcell.ontology.obs_profile import CellProfile, profile_evidence
from okrcell.settings import Settings

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
_WORD_PATTERN = re.compile(r"[^\W\d_]{1,6}|\d{1,2}|[^\w\s]|_")
_PIECES_PER_MATCH = 1.17
"""Word pieces of a BERT tokenizer per match of the pattern: the 95th percentile over biological texts."""
LENGTH_LIMITS = (254, 128, 64)
"""Maximum lengths in word pieces; an encoder with a limit of 256 uses two of them for special tokens."""
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
    text = files("okrcell.descriptions").joinpath("prompts", f"{version}.md").read_text(encoding="utf-8")
    system, _, user = text.partition("\n---\n")
    return system.strip(), user.strip()


class EndpointSettings(Settings):
    """An OpenAI-compatible endpoint. The API key is read from OKRCELL_API_KEY, else OPENAI_API_KEY, only."""

    model: Annotated[str, Field(min_length=1)]
    """Name of the model at the provider."""
    base_url: str
    """URL of the API including its version: "https://api.deepseek.com/v1", "http://localhost:8000/v1"."""
    prompt: PromptVersion = "essay-1"
    """essay-1: 550 to 600 words, as in the paper; short-1: fits a text encoder of 256 word pieces."""
    temperature: Annotated[float, Field(ge=0, le=2)] | None = 0.3
    """Sampling temperature; None is the default of the provider."""
    max_tokens: Annotated[int, Field(ge=1)] = 3000
    """Maximum length of an answer in tokens; 600 words in JSON take about 1,200, reasoning models need more."""
    limit_name: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """Name of that limit in the API; OpenAI's reasoning models require the second."""
    evidence_limit: Annotated[int, Field(ge=200)] = 24_000
    """Maximum number of characters of facts and evidence in a prompt; the default is about 6,000 tokens."""
    concurrency: Annotated[int, Field(ge=1, le=256)] = 8
    """Maximum number of concurrent requests."""
    retries: Annotated[int, Field(ge=0, le=20)] = 5
    """Maximum number of retries after a server or network error."""
    timeout: Annotated[float, Field(gt=0)] = 180.0
    """Timeout of a request in seconds without data from the server."""
    first_wait: Annotated[float, Field(gt=0)] = 1.0
    """Seconds before the first retry; the wait about doubles with each retry."""
    longest_wait: Annotated[float, Field(gt=0)] = 300.0
    """Maximum wait in seconds; if a server requests a longer one, the run stops and can be continued later."""
    when_lost: Literal["ask_again", "leave"] = "ask_again"
    """What to do if a request was sent and no answer came. ask_again: send it again; a provider that ignores
    Idempotency-Key may bill that answer twice. leave: never pay twice; the original text is used."""
    price_prompt: Annotated[float, Field(ge=0)] = 0.0
    """Price per million prompt tokens, in any currency."""
    price_completion: Annotated[float, Field(ge=0)] = 0.0
    """Price per million completion tokens, in the same currency."""
    budget_tokens: Annotated[int, Field(ge=0)] | None = None
    """Maximum number of tokens over all runs with one ledger; None is no limit."""
    budget_money: Annotated[float, Field(ge=0)] | None = None
    """Maximum cost over all runs with one ledger, in the currency of the prices; None is no limit."""

    @field_validator("base_url")
    @classmethod
    def _validate_url(cls, address: str) -> str:
        try:
            parts = urlsplit(address)
            _ = parts.port
        except ValueError:
            raise ValueError("this is no web address") from None
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("this must be a web address such as https://api.deepseek.com/v1")
        return address.rstrip("/")

    @model_validator(mode="after")
    def _check_prices(self) -> Self:
        if self.budget_money is not None and not (self.price_prompt or self.price_completion):
            raise ValueError("budget_money needs price_prompt and price_completion")
        return self

    @property
    def prices(self) -> Prices:
        """Prices per million tokens."""
        return Prices(self.price_prompt, self.price_completion)

    @property
    def budget(self) -> Budget:
        """Maximum spending."""
        return Budget(self.budget_tokens, self.budget_money)

    @property
    def has_credentials(self) -> bool:
        """Whether the URL contains credentials, a query or a fragment; the URL is stored with the answers."""
        # Not validated when settings are read: a validation error would print the value.
        parts = urlsplit(self.base_url)
        return bool(parts.username or parts.password or parts.query or parts.fragment)

    @property
    def is_local(self) -> bool:
        """Whether the host is a loopback address, so that requests stay on this machine."""
        host = (urlsplit(self.base_url).hostname or "").rstrip(".")
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost" or host.endswith(".localhost")

    @property
    def is_unencrypted(self) -> bool:
        """Whether requests are sent unencrypted over a network."""
        return urlsplit(self.base_url).scheme == "http" and not self.is_local


def estimate_n_pieces(text: str) -> int:
    """Estimate the number of word pieces of a text without a tokenizer; tends to overestimate."""
    return round(_PIECES_PER_MATCH * len(_WORD_PATTERN.findall(text)))


def shortened_texts(name: str, sentences: Sequence[str]) -> tuple[str, ...]:
    """Return the whole text, beginnings of at most `LENGTH_LIMITS` word pieces, and the name with the first sentence.

    Without a name, the last is the first sentence alone. Duplicates are removed; the result is empty without sentences.
    """
    if not sentences:
        return ()
    shorter = (" ".join(_leading_sentences(sentences, limit)) for limit in LENGTH_LIMITS)
    opening = f"{capitalize_first(name)}: {sentences[0]}" if name else sentences[0]
    return tuple(dict.fromkeys(text for text in (" ".join(sentences), *shorter, opening) if text))


def _leading_sentences(sentences: Sequence[str], limit: int) -> list[str]:
    selected: list[str] = []
    for sentence in sentences:
        limit -= estimate_n_pieces(sentence)
        if limit < 0:
            break
        selected.append(sentence)
    return selected


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
