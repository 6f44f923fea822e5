"""Language-model writer, and its client with response cache, budget and retries."""

import json
import threading
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from math import ceil
from secrets import SystemRandom
from time import monotonic, sleep
from typing import Any

from okrcell.descriptions.description import Description
from okrcell.descriptions.llm_cache import CachedResponse, CostEstimate, LLMRequest, RequestCache, RequestCost
from okrcell.descriptions.llm_client import (
    RESPONSE_FORMATS,
    EndpointError,
    HTTPClient,
    HTTPResponse,
    RequestRejected,
    ResponseLost,
    RetryableError,
    UnreadableResponse,
)
from okrcell.descriptions.llm_prompt import (
    MAX_SENTENCES,
    EndpointSettings,
    InvalidAnswer,
    InvalidCompletion,
    Prompt,
    PromptVersion,
    WritingFailed,
    answer_schema,
    build_prompt,
    parse_answer,
    parse_completion,
    shortened_texts,
)
from okrcell.evidence import Evidence
from okrcell.ontology.obs_profile import CellProfile

MAX_CONSECUTIVE_FAILURES = 4
"""Consecutive failed requests, in addition to the concurrent ones, after which the endpoint counts as down."""

Messages = Sequence[Mapping[str, str]]
Schema = Mapping[str, Any]
__all__ = ["EndpointSettings", "EndpointWriter"]
CHARACTERS_PER_TOKEN = 4.0
"""Characters per token of English prose; replaced by the measured average after the first answers."""
COMPLETION_TOKENS: dict[PromptVersion, int] = {"essay-1": 1200, "short-1": 350}
"""Expected completion tokens before the first answer: the text in JSON, with citations."""
MAX_ANSWER_SENTENCES: dict[PromptVersion, int] = {"essay-1": MAX_SENTENCES, "short-1": 10}
"""Maximum number of sentences of an answer, well above what the prompt requests."""


class LLMClient:
    """Returns answers from the ledger, else from the endpoint. Thread-safe."""

    def __init__(self, settings: EndpointSettings, cache: RequestCache) -> None:
        self._settings = settings
        self._cache = cache
        self._client: HTTPClient | None = None
        self._lock = threading.Lock()
        self._not_before = 0.0
        self._n_failures = 0
        self._random = SystemRandom()
        self._response_format = cache.response_format(settings.base_url, settings.model) or RESPONSE_FORMATS[0]

    def cache_key(self, messages: Messages, attempt: int) -> str:
        """Return the sha256 of everything that determines the answer.

        The URL is not part of it, so that the same model on another server is not paid again; nor is the response format.
        Of a second attempt, only the attempt number is part of it.
        """
        parts = {
            "prompt": self._settings.prompt,
            "messages": list(messages),
            "model": self._settings.model,
            "temperature": self._settings.temperature,
            "max_tokens": self._settings.max_tokens,
            "attempt": attempt,
        }
        return sha256(json.dumps(parts, sort_keys=True, ensure_ascii=False).encode()).hexdigest()

    def complete(self, key: str, messages: Messages, schema: Schema) -> str:
        """Return the body of a response that `parse_completion` can parse; it is stored in the ledger before.

        Raises
        ------
        WritingFailed
            If this request fails.
        EndpointError
            If the endpoint cannot be used at all.
        BudgetExceeded
            If the request could exceed the budget.
        """
        with self._cache.lock_key(key):
            stored = self._cache.get(key)
            if stored is not None:
                return stored
            try:
                body = self._request_with_retries(key, messages, schema)
            except WritingFailed as error:
                if error.permanent:
                    raise
                with self._lock:
                    self._n_failures += 1
                    is_down = self._n_failures >= MAX_CONSECUTIVE_FAILURES + self._settings.concurrency
                if is_down:
                    raise EndpointError(
                        f"{self._settings.base_url} answered none of the last {self._n_failures} requests; the last error:"
                        f" {error.reason}. All answers so far are stored; run again to continue."
                    ) from None
                raise
            with self._lock:
                self._n_failures = 0
            return body

    def _request_with_retries(self, key: str, messages: Messages, schema: Schema) -> str:
        reason, n_unreadable, attempt = "", 0, 0
        for attempt in range(self._settings.retries + 1):
            self._wait_until_allowed()
            if self._settings.when_lost == "leave" and self._cache.is_unconfirmed(key):
                detail = f" ({reason})" if reason else ""
                raise WritingFailed(
                    f"a request was sent and its answer never came{detail}; it is not repeated, because when_lost is 'leave'",
                    permanent=True,
                )
            try:
                return self._request_with_format_fallback(key, messages, schema)
            except RequestRejected as error:
                raise WritingFailed(f"the server rejected the request: {error}", permanent=False) from None
            except RetryableError as error:
                reason = str(error)
                self._back_off(attempt, error.retry_after)
            except ResponseLost as error:
                reason = str(error)
                n_unreadable += isinstance(error, UnreadableResponse)
                if n_unreadable > 1:
                    break  # each response was complete, and possibly billed
                self._back_off(attempt, None)
        raise WritingFailed(f"no answer after {attempt + 1} requests; the last error: {reason}", permanent=False)

    def _request_with_format_fallback(self, key: str, messages: Messages, schema: Schema) -> str:
        """Send with the strictest response format that the server accepts; a format is stored once it gave an answer."""
        initial_format = self._response_format
        rejection = RequestRejected("")
        for response_format in RESPONSE_FORMATS[RESPONSE_FORMATS.index(initial_format) :]:
            try:
                body = self._request_once(key, messages, schema, response_format)
            except RequestRejected as error:
                rejection = rejection if str(rejection) else error  # report the reason for the strictest format
                continue
            if response_format != initial_format:
                with self._lock:
                    self._response_format = response_format
                self._cache.save_response_format(self._settings.base_url, self._settings.model, response_format)
            return body
        raise rejection

    def _request_once(self, key: str, messages: Messages, schema: Schema, response_format: str) -> str:
        settings = self._settings
        messages_json = json.dumps(list(messages), ensure_ascii=False)
        request = LLMRequest(key, settings.model, settings.prompt, settings.base_url, messages_json)
        client = self.get_client()
        with self._cache.open_request(request, self.max_cost(messages), settings.budget) as pending:
            response = client.send(messages, schema, key, response_format)
            cached_response = self._to_cached_response(response, messages_json)
            pending.commit(cached_response)
        return cached_response.body

    def max_cost(self, messages: Messages) -> RequestCost:
        """Return the maximum cost of a request; 2.5 characters per token is a lower bound even for gene names."""
        characters = sum(len(message["content"]) for message in messages)
        return self._settings.prices.cost(ceil(characters / 2.5), self._settings.max_tokens)

    def _to_cached_response(self, response: HTTPResponse, messages_json: str) -> CachedResponse:
        completion = parse_completion(response.body)
        # Without reported usage, assume 4 characters per token.
        prompt_tokens = len(messages_json) // 4 if completion.prompt_tokens is None else completion.prompt_tokens
        completion_tokens = (
            len(completion.content) // 4 if completion.completion_tokens is None else completion.completion_tokens
        )
        money = self._settings.prices.cost(prompt_tokens, completion_tokens).money
        return CachedResponse(response.body, prompt_tokens, completion_tokens, money, response.replayed)

    def get_client(self) -> HTTPClient:
        """Create the HTTP client once; raises if it is not installed or a key would be sent unencrypted."""
        with self._lock:
            if self._client is None:  # not needed if all answers are in the ledger
                self._client = HTTPClient(self._settings)
            return self._client

    def _wait_until_allowed(self) -> None:
        """Wait until the time set by the server's Retry-After, for all threads."""
        while (remaining := self._not_before - monotonic()) > 0:
            # Jitter, so that the threads do not continue at the same moment.
            sleep(remaining * self._random.uniform(1.0, 1.2))

    def _back_off(self, attempt: int, retry_after: float | None) -> None:
        if attempt == self._settings.retries:
            return
        if retry_after is not None:
            if retry_after > self._settings.longest_wait:
                raise EndpointError(
                    f"{self._settings.base_url} requests a wait of {retry_after:g} s. All answers so far are stored; run "
                    "again later, with a smaller concurrency or a longer longest_wait."
                )
            with self._lock:
                self._not_before = max(self._not_before, monotonic() + retry_after)
        else:
            wait = min(self._settings.first_wait * 2.0**attempt, self._settings.longest_wait)
            sleep(wait * self._random.uniform(0.5, 1.0))


class EndpointWriter:
    """Writer that uses an OpenAI-compatible endpoint; `write` is thread-safe.

    Every answer is stored in the ledger before it is parsed, so that a second run makes no request and a killed run
    continues where it stopped.
    """

    name = "endpoint"

    def __init__(self, settings: EndpointSettings, cache: RequestCache) -> None:
        self.settings = settings
        self._cache = cache
        self._client = LLMClient(settings, cache)

    def write(self, profile: CellProfile, evidence: Sequence[Evidence]) -> Description:
        """Describe the profile, from the ledger or with a request; an unusable answer is requested once more.

        Raises
        ------
        WritingFailed
            If there is no usable answer for this profile; other profiles may succeed.
        EndpointError
            If the endpoint cannot be used at all.
        BudgetExceeded
            If the next request could exceed the budget.
        """
        if not profile.has_values:
            raise WritingFailed("nothing is known of this cell", permanent=True)
        prompt = self._prompt(profile, evidence)
        json_schema = answer_schema(len(prompt.evidence), MAX_ANSWER_SENTENCES[self.settings.prompt])
        error_message = ""
        for attempt in (1, 2):
            key = self._client.cache_key(prompt.messages(), attempt)
            body = self._client.complete(key, prompt.messages(error_message), json_schema)
            try:
                sentences = parse_answer(parse_completion(body), prompt.evidence)
            except (InvalidAnswer, InvalidCompletion) as error:  # a response stored by an earlier version may not parse
                error_message = str(error)
                continue
            texts = shortened_texts(profile.cell_type, [sentence.text for sentence in sentences])
            return Description(
                profile=profile,
                sentences=sentences,
                phrasings=texts,
                writer=self.name,
                prompt=f"{self.settings.prompt} {self.settings.model}",
            )
        raise WritingFailed(f"two answers of {self.settings.model} could not be used: {error_message}", permanent=True)

    def check_client(self) -> None:
        """Raise if no request can be sent: no client installed, or a key that would be sent unencrypted."""
        self._client.get_client()

    def estimate(self, requests: Iterable[tuple[CellProfile, Sequence[Evidence]]]) -> CostEstimate:
        """Estimate the cost of writing, without a request; duplicates count once."""
        average = self._cache.average_usage(self.settings.model, self.settings.prompt)
        characters_per_token = average.characters_per_token or CHARACTERS_PER_TOKEN
        expected_tokens = min(
            average.completion_tokens or COMPLETION_TOKENS[self.settings.prompt], float(self.settings.max_tokens)
        )
        missing_characters: dict[str, int] = {}
        cached: set[str] = set()
        for profile, evidence in requests:
            if profile.has_values:
                messages = self._prompt(profile, evidence).messages()
                key = self._client.cache_key(messages, 1)
                if key not in missing_characters and key not in cached and self._cache.get(key) is not None:
                    cached.add(key)
                elif key not in cached:
                    missing_characters[key] = sum(len(message["content"]) for message in messages)
        prompt_tokens = round(sum(missing_characters.values()) / characters_per_token)
        completion_tokens = round(len(missing_characters) * expected_tokens)
        money = self.settings.prices.cost(prompt_tokens, completion_tokens).money
        return CostEstimate(len(missing_characters), len(cached), prompt_tokens, completion_tokens, money)

    def _prompt(self, profile: CellProfile, evidence: Sequence[Evidence]) -> Prompt:
        return build_prompt(self.settings.prompt, profile, evidence, self.settings.evidence_limit)
