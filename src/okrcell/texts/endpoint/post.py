"""HTTP client of an OpenAI-compatible endpoint and its errors."""

import os
import re
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from json import loads
from math import isfinite
from time import time
from typing import Any

from okrcell.errors import MissingExtraError, OkrcellError, SettingsError
from okrcell.texts.endpoint.answers import WrongReply, read_reply
from okrcell.texts.endpoint.ledger import NotBilled
from okrcell.texts.endpoint.settings import EndpointSettings

KEY_NAMES = ("OKRCELL_API_KEY", "OPENAI_API_KEY")
"""Environment variables of the API key, in order of precedence; the key is read from nowhere else."""

FORMS = ("json_schema", "json_object", "text")
"""Response formats, the strictest first; "text" is a plain request."""

_REFUSED = {400, 413, 414, 415, 422, 501}
_FATE_UNKNOWN = {408, 502, 504}
"""Gateway timeouts: the model may have continued, and the request may be billed."""


class EndpointError(OkrcellError, NotBilled):
    """The endpoint cannot be used at all (no such model, a wrong key, no credit): the run stops and can be continued."""


class Refused(NotBilled):
    """The server rejects this request; another one may succeed."""


class TryLater(NotBilled):
    """The server is busy or has an error; the request can be retried."""

    def __init__(self, reason: str, wait: float | None) -> None:
        super().__init__(reason)
        self.wait = wait
        """Seconds to wait, as requested by the server; None without a request."""


class Lost(Exception):  # noqa: N818 - a state of a request
    """The request was sent and no answer came; it is unknown whether it was billed."""


class Unreadable(Lost):
    """The response is complete but cannot be parsed."""


@dataclass(frozen=True)
class Received:
    """A response that can be parsed."""

    body: str
    replayed: bool
    """Whether the server reports a stored answer to an earlier request with the same key."""


class Post:
    """HTTP client of one endpoint, without retries. Thread-safe.

    Raises
    ------
    MissingExtraError
        If the package openai is not installed.
    SettingsError
        If the key would be sent unencrypted over a network, the key is malformed, or the URL contains credentials.
    """

    def __init__(self, settings: EndpointSettings) -> None:
        try:
            import openai
        except ImportError:
            raise MissingExtraError("openai", "endpoint", "Writing with a language model") from None
        self._settings = settings
        self._key = next((key for name in KEY_NAMES if (key := os.environ.get(name, "").strip())), "")
        if settings.holds_a_secret:
            raise SettingsError(
                "base_url must contain no user, password, query or fragment, because it is stored with the answers."
                f" Set the key in the environment variable {KEY_NAMES[0]}."
            )
        if self._key and settings.in_the_clear:
            raise SettingsError(
                f"base_url {settings.base_url} would send your key unencrypted over the network. Use https, or unset"
                f" {' and '.join(KEY_NAMES)} if the server needs none."
            )
        if not (self._key.isascii() and self._key.isprintable()) or " " in self._key:
            raise SettingsError("The API key in the environment contains characters that no key has; copy it again.")
        self._key_as_sent_back = _spellings(self._key)
        # No proxy for requests to this machine, and no redirects: both would send the evidence to another host.
        http = openai.DefaultHttpxClient(trust_env=not settings.on_this_machine, follow_redirects=False)
        self._client = openai.OpenAI(
            api_key=self._key or "none",
            base_url=settings.base_url,
            timeout=openai.Timeout(settings.timeout, connect=min(10.0, settings.timeout)),
            max_retries=0,
            http_client=http,
        )
        weakref.finalize(self, http.close)

    def send(self, messages: Sequence[Mapping[str, str]], schema: Mapping[str, Any], key: str, form: str) -> Received:
        """Send a chat request and return its response.

        Parameters
        ----------
        messages
            Chat messages.
        schema
            JSON schema of the answer.
        key
            Idempotency-Key; a provider that supports it bills a repeated request once.
        form
            Response format, one of `FORMS`.

        Raises
        ------
        Refused, TryLater, EndpointError
            If nothing was billed.
        Lost
            If the request was possibly billed.
        """
        import openai

        settings = self._settings
        asked: dict[str, Any] = {"model": settings.model, "messages": messages}
        asked[settings.limit_name] = settings.max_tokens
        if settings.temperature is not None:
            asked["temperature"] = settings.temperature
        if form == "json_schema":
            named = {"name": "description", "strict": True, "schema": schema}
            asked["response_format"] = {"type": form, "json_schema": named}
        elif form == "json_object":
            asked["response_format"] = {"type": form}
        # A provider may reject a key that was used with another request body.
        header = key if form == FORMS[0] else f"{key}-{form}"
        try:
            raw = self._client.chat.completions.with_raw_response.create(
                **asked, extra_headers={"Idempotency-Key": header}
            )
            headers, body = raw.http_response.headers, self._clean(raw.http_response.content)
        except openai.APIStatusError as error:
            raise self._of_status(
                error.status_code, error.response.headers, self._clean(error.response.content)
            ) from None
        except openai.APITimeoutError as error:
            raise self._of_silence(error, f"no response from the server for {settings.timeout:g} s") from None
        except openai.APIConnectionError as error:
            raise self._of_silence(error, "the connection was cut") from None
        except openai.OpenAIError as error:
            raise Unreadable(f"the response could not be parsed ({type(error).__name__})") from None
        try:
            read_reply(body)
        except WrongReply as error:
            if said := self._fit_to_print(_error_in(body)):
                raise TryLater(f"the server returned the error: {said}", None) from None
            raise Unreadable(str(error)) from None
        return Received(body, headers.get("idempotent-replayed", "").casefold() == "true")

    def _of_status(self, status: int, headers: Mapping[str, str], body: str) -> Exception:
        """Map an HTTP error status to an exception; the API key is removed from the message."""
        where, model = self._settings.base_url, self._settings.model
        said = f"HTTP {status}: {self._fit_to_print(_error_in(body) or body) or 'no explanation'}"
        if status in {401, 403}:
            had = "rejects the API key in the environment" if self._key else "requires an API key, and none is set"
            return EndpointError(f"{where} {had} (HTTP {status}). Set a valid one in {KEY_NAMES[0]}.")
        if status == 402 or "insufficient_quota" in body:
            return EndpointError(f"The provider at {where} grants no more credit. Response: {said}")
        if status in {404, 405, 410} or 300 <= status < 400:
            return EndpointError(
                f"{where} does not answer for the model {model}. Check model and base_url (most end in /v1). Response: {said}"
            )
        if status in _REFUSED:
            return Refused(said)
        if status in _FATE_UNKNOWN:
            return Lost(said)
        if status in {409, 425, 429} or status >= 500:
            return TryLater(said, _patience(headers))
        return Refused(said)

    def _of_silence(self, error: Exception, said: str) -> Exception:
        # The client wraps the error of its HTTP library, which has several package names.
        if type(error.__cause__).__name__ in {"ConnectError", "ConnectTimeout", "PoolTimeout"}:
            return TryLater(f"no connection to {self._settings.base_url}", None)
        return Lost(said)

    def _clean(self, body: bytes) -> str:
        return self._without_key(body.decode("utf-8", errors="replace"))

    def _without_key(self, text: str) -> str:
        # Some servers echo the request. A short placeholder such as "EMPTY" is no secret and may occur in an answer.
        return self._key_as_sent_back.sub("[key]", text) if len(self._key) >= 8 else text

    def _fit_to_print(self, said: str) -> str:
        # Control characters would affect a terminal, and lone surrogates cannot be encoded.
        printable = "".join(letter if letter.isprintable() else " " for letter in said)
        return self._without_key(" ".join(printable.split()))[:200]


def _spellings(key: str) -> re.Pattern[str]:
    """Return a pattern that matches the key after repeated JSON encoding: any character, and any escape, may be escaped."""
    forms = (rf"(?:\\{{0,9}}{re.escape(letter)}|\\{{1,9}}u{ord(letter):04x})" for letter in key)
    return re.compile("".join(forms), re.IGNORECASE)


def _error_in(body: str) -> str:
    """Return the message in the body of an error response, "" without one."""
    with suppress(ValueError, RecursionError):
        parsed = loads(body)
        error = parsed.get("error", parsed.get("message")) if isinstance(parsed, dict) else None
        said = error.get("message") if isinstance(error, dict) else error
        return str(said) if said else ""
    return ""


def _patience(headers: Mapping[str, str]) -> float | None:
    """Return the wait in seconds from Retry-After (seconds or a date) or retry-after-ms; None without either."""
    said = headers.get("retry-after-ms"), headers.get("retry-after")
    for value, unit in zip(said, (1000, 1), strict=True):
        with suppress(TypeError, ValueError):
            seconds = float(str(value)) / unit
            if isfinite(seconds) and seconds >= 0:
                return seconds
    with suppress(TypeError, ValueError):
        return max(0.0, parsedate_to_datetime(said[1] or "").timestamp() - time())
    return None
