"""Language-model client with response cache, budget and retries."""

import json
import threading
from collections.abc import Mapping, Sequence
from hashlib import sha256
from math import ceil
from secrets import SystemRandom
from time import monotonic, sleep
from typing import Any

from okrcell.texts.endpoint.answers import WritingFailed, read_reply
from okrcell.texts.endpoint.budget import Cost
from okrcell.texts.endpoint.ledger import Asked, Ledger, Paid
from okrcell.texts.endpoint.post import FORMS, EndpointError, Lost, Post, Received, Refused, TryLater, Unreadable
from okrcell.texts.endpoint.settings import EndpointSettings

FAILURES_IN_A_ROW = 4
"""Consecutive failed requests, in addition to the concurrent ones, after which the endpoint counts as down."""

Messages = Sequence[Mapping[str, str]]
Schema = Mapping[str, Any]


class Asking:
    """Returns answers from the ledger, else from the endpoint. Thread-safe."""

    def __init__(self, settings: EndpointSettings, ledger: Ledger) -> None:
        self._settings = settings
        self._ledger = ledger
        self._post: Post | None = None
        self._lock = threading.Lock()
        self._not_before = 0.0
        self._failures = 0
        self._chance = SystemRandom()
        self._form = ledger.dialect(settings.base_url, settings.model) or FORMS[0]

    def key(self, messages: Messages, attempt: int) -> str:
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

    def answer(self, key: str, messages: Messages, schema: Schema) -> str:
        """Return the body of a response that `read_reply` can parse; it is stored in the ledger before.

        Raises
        ------
        WritingFailed
            If this request fails.
        EndpointError
            If the endpoint cannot be used at all.
        BudgetSpent
            If the request could exceed the budget.
        """
        with self._ledger.alone(key):
            stored = self._ledger.answer(key)
            if stored is not None:
                return stored
            try:
                body = self._asked_patiently(key, messages, schema)
            except WritingFailed as error:
                if error.lasting:
                    raise
                with self._lock:
                    self._failures += 1
                    hopeless = self._failures >= FAILURES_IN_A_ROW + self._settings.concurrency
                if hopeless:
                    raise EndpointError(
                        f"{self._settings.base_url} answered none of the last {self._failures} requests; the last error:"
                        f" {error.reason}. All answers so far are stored; run again to continue."
                    ) from None
                raise
            with self._lock:
                self._failures = 0
            return body

    def _asked_patiently(self, key: str, messages: Messages, schema: Schema) -> str:
        reason, unreadable, repetition = "", 0, 0
        for repetition in range(self._settings.retries + 1):
            self._wait_for_turn()
            if self._settings.when_lost == "leave" and self._ledger.in_doubt(key):
                why = f" ({reason})" if reason else ""
                raise WritingFailed(
                    f"a request was sent and its answer never came{why}; it is not repeated, because when_lost is 'leave'",
                    lasting=True,
                )
            try:
                return self._asked_in_its_language(key, messages, schema)
            except Refused as error:
                raise WritingFailed(f"the server rejected the request: {error}", lasting=False) from None
            except TryLater as error:
                reason = str(error)
                self._put_off(repetition, error.wait)
            except Lost as error:
                reason = str(error)
                unreadable += isinstance(error, Unreadable)
                if unreadable > 1:
                    break  # each response was complete, and possibly billed
                self._put_off(repetition, None)
        raise WritingFailed(f"no answer after {repetition + 1} requests; the last error: {reason}", lasting=False)

    def _asked_in_its_language(self, key: str, messages: Messages, schema: Schema) -> str:
        """Send with the strictest response format that the server accepts; a format is stored once it gave an answer."""
        first = self._form
        refusal = Refused("")
        for form in FORMS[FORMS.index(first) :]:
            try:
                body = self._asked_once(key, messages, schema, form)
            except Refused as error:
                refusal = refusal if str(refusal) else error  # report the reason for the strictest format
                continue
            if form != first:
                with self._lock:
                    self._form = form
                self._ledger.learn_dialect(self._settings.base_url, self._settings.model, form)
            return body
        raise refusal

    def _asked_once(self, key: str, messages: Messages, schema: Schema, form: str) -> str:
        settings = self._settings
        request = json.dumps(list(messages), ensure_ascii=False)
        asked = Asked(key, settings.model, settings.prompt, settings.base_url, request)
        sender = self.ready()
        with self._ledger.call(asked, self.worst(messages), settings.budget) as call:
            received = sender.send(messages, schema, key, form)
            paid = self._paid(received, request)
            call.paid(paid)
        return paid.answer

    def worst(self, messages: Messages) -> Cost:
        """Return the maximum cost of a request; 2.5 characters per token is a lower bound even for gene names."""
        characters = sum(len(message["content"]) for message in messages)
        return self._settings.prices.cost(ceil(characters / 2.5), self._settings.max_tokens)

    def _paid(self, received: Received, request: str) -> Paid:
        reply = read_reply(received.body)
        # Without reported usage, assume 4 characters per token.
        prompt = len(request) // 4 if reply.prompt_tokens is None else reply.prompt_tokens
        written = len(reply.content) // 4 if reply.completion_tokens is None else reply.completion_tokens
        money = self._settings.prices.cost(prompt, written).money
        return Paid(received.body, prompt, written, money, received.replayed)

    def ready(self) -> Post:
        """Create the HTTP client once; raises if it is not installed or a key would be sent unencrypted."""
        with self._lock:
            if self._post is None:  # not needed if all answers are in the ledger
                self._post = Post(self._settings)
            return self._post

    def _wait_for_turn(self) -> None:
        """Wait until the time set by the server's Retry-After, for all threads."""
        while (left := self._not_before - monotonic()) > 0:
            # Jitter, so that the threads do not continue at the same moment.
            sleep(left * self._chance.uniform(1.0, 1.2))

    def _put_off(self, repetition: int, asked: float | None) -> None:
        if repetition == self._settings.retries:
            return
        if asked is not None:
            if asked > self._settings.longest_wait:
                raise EndpointError(
                    f"{self._settings.base_url} requests a wait of {asked:g} s. All answers so far are stored; run again later,"
                    " with a smaller concurrency or a longer longest_wait."
                )
            with self._lock:
                self._not_before = max(self._not_before, monotonic() + asked)
        else:
            wait = min(self._settings.first_wait * 2.0**repetition, self._settings.longest_wait)
            sleep(wait * self._chance.uniform(0.5, 1.0))
