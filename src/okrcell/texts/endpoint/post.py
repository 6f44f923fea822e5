"""One request to a language model, and what became of it."""

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
"""Environment variables that may hold the key, the first one first; it is read from nowhere else."""

FORMS = ("json_schema", "json_object", "text")
"""Ways to ask for JSON, the strictest first; a server that knows none of them gets a plain request."""

_REFUSED = {400, 413, 414, 415, 422, 501}
_FATE_UNKNOWN = {408, 502, 504}
"""A gateway gave up waiting; the model behind it may have gone on writing, and billing."""


class EndpointError(OkrcellError, NotBilled):
    """The endpoint cannot be used at all (no such model, a wrong key, no credit): the run stops, and can be gone on with."""


class Refused(NotBilled):
    """The server does not take this very request; another one may go well."""


class TryLater(NotBilled):
    """The server is busy or at fault."""

    def __init__(self, reason: str, wait: float | None) -> None:
        super().__init__(reason)
        self.wait = wait
        """Seconds that the server asks for."""


class Lost(Exception):  # noqa: N818 - a fact about a request
    """The request was sent and no answer came: nobody knows whether it was billed."""


class Unreadable(Lost):
    """A whole reply came, and it is nothing that can be read."""


@dataclass(frozen=True)
class Received:
    """A reply that can be read."""

    body: str
    replayed: bool
    """The server says that it is the stored answer to an earlier request with the same key."""


class Post:
    """Sends requests to one endpoint; each is sent once. Threads share it.

    Raises
    ------
    MissingExtraError
        If the client is not installed.
    SettingsError
        If the key would go over the network in the clear, or the address holds a secret.
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
                "base_url must hold neither user, password, query nor fragment, for it is stored with the answers."
                f" Put the key into the environment: {KEY_NAMES[0]}."
            )
        if self._key and settings.in_the_clear:
            raise SettingsError(
                f"base_url {settings.base_url} would send your key over the network in the clear. Use https, or unset"
                f" {' and '.join(KEY_NAMES)} if the server needs none."
            )
        if not (self._key.isascii() and self._key.isprintable()) or " " in self._key:
            raise SettingsError("The key in the environment holds characters that no key has; copy it again.")
        self._key_as_sent_back = _spellings(self._key)
        # A proxy would carry what is meant for this machine elsewhere; a redirect would carry the evidence elsewhere.
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
        """Send a chat whose answer shall have the ``schema``.

        ``key`` goes along as Idempotency-Key, so that a provider who heeds it bills a cut call once.

        Raises
        ------
        Refused, TryLater, EndpointError
            Nothing was billed.
        Lost
            Perhaps something was billed.
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
        # A provider may refuse a key that comes back with other contents.
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
            raise self._of_silence(error, f"no word from the server for {settings.timeout:g} s") from None
        except openai.APIConnectionError as error:
            raise self._of_silence(error, "the connection was cut") from None
        except openai.OpenAIError as error:
            raise Unreadable(f"the reply could not be read ({type(error).__name__})") from None
        try:
            read_reply(body)
        except WrongReply as error:
            if said := self._fit_to_print(_error_in(body)):
                raise TryLater(f"the server said: {said}", None) from None
            raise Unreadable(str(error)) from None
        return Received(body, headers.get("idempotent-replayed", "").casefold() == "true")

    def _of_status(self, status: int, headers: Mapping[str, str], body: str) -> Exception:
        """Tell what an error status means; what the server says of keys is not repeated."""
        where, model = self._settings.base_url, self._settings.model
        said = f"HTTP {status}: {self._fit_to_print(_error_in(body) or body) or 'no explanation'}"
        if status in {401, 403}:
            had = "refuses the key in the environment" if self._key else "asks for a key, and there is none"
            return EndpointError(f"{where} {had} (HTTP {status}). Put a valid one into {KEY_NAMES[0]}.")
        if status == 402 or "insufficient_quota" in body:
            return EndpointError(f"The provider at {where} gives no more credit. It said {said}")
        if status in {404, 405, 410} or 300 <= status < 400:
            return EndpointError(
                f"{where} does not answer for the model {model}. Check model and base_url (most end in /v1). It said {said}"
            )
        if status in _REFUSED:
            return Refused(said)
        if status in _FATE_UNKNOWN:
            return Lost(said)
        if status in {409, 425, 429} or status >= 500:
            return TryLater(said, _patience(headers))
        return Refused(said)

    def _of_silence(self, error: Exception, said: str) -> Exception:
        # The client wraps the error of its HTTP library, which goes by several package names.
        if type(error.__cause__).__name__ in {"ConnectError", "ConnectTimeout", "PoolTimeout"}:
            return TryLater(f"no connection to {self._settings.base_url}", None)
        return Lost(said)

    def _clean(self, body: bytes) -> str:
        return self._without_key(body.decode("utf-8", errors="replace"))

    def _without_key(self, text: str) -> str:
        # Some servers send back what they were sent. A word such as "EMPTY" is no secret, and may stand in an answer.
        return self._key_as_sent_back.sub("[key]", text) if len(self._key) >= 8 else text

    def _fit_to_print(self, said: str) -> str:
        # A terminal obeys control characters, and lone surrogates cannot be saved.
        printable = "".join(letter if letter.isprintable() else " " for letter in said)
        return self._without_key(" ".join(printable.split()))[:200]


def _spellings(key: str) -> re.Pattern[str]:
    """Match a key however often it was written as JSON: any of its characters may be escaped, and escapes too."""
    forms = (rf"(?:\\{{0,9}}{re.escape(letter)}|\\{{1,9}}u{ord(letter):04x})" for letter in key)
    return re.compile("".join(forms), re.IGNORECASE)


def _error_in(body: str) -> str:
    """Find the server's own words in the body of an error."""
    with suppress(ValueError, RecursionError):
        parsed = loads(body)
        error = parsed.get("error", parsed.get("message")) if isinstance(parsed, dict) else None
        said = error.get("message") if isinstance(error, dict) else error
        return str(said) if said else ""
    return ""


def _patience(headers: Mapping[str, str]) -> float | None:
    """Read Retry-After: seconds or a date, or milliseconds under another name."""
    said = headers.get("retry-after-ms"), headers.get("retry-after")
    for value, unit in zip(said, (1000, 1), strict=True):
        with suppress(TypeError, ValueError):
            seconds = float(str(value)) / unit
            if isfinite(seconds) and seconds >= 0:
                return seconds
    with suppress(TypeError, ValueError):
        return max(0.0, parsedate_to_datetime(said[1] or "").timestamp() - time())
    return None
