"""HTTP client of an OpenAI-compatible endpoint and its errors."""

import os
import re
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from importlib import import_module
from json import loads
from math import isfinite
from socket import SHUT_RDWR
from threading import Timer
from time import monotonic, time
from typing import Any

from okrcell.descriptions.llm_cache import NotBilled
from okrcell.descriptions.llm_prompt import EndpointSettings, InvalidCompletion, parse_completion
from okrcell.errors import MissingExtraError, OkrcellError, SettingsError

API_KEY_VARIABLES = ("OKRCELL_API_KEY", "OPENAI_API_KEY")
"""Environment variables of the API key, in order of precedence; the key is read from nowhere else."""

RESPONSE_FORMATS = ("json_schema", "json_object", "text")
"""Response formats, the strictest first; "text" is a plain request."""

MAX_RESPONSE_BYTES = 20_000_000
"""Maximum length of a response; answers of reasoning models have up to a million characters."""
MAX_RESPONSE_TIMEOUTS = 5
"""Maximum time of receiving a response's headers, and of receiving its body, in multiples of the timeout without data."""

_REJECTION_STATUS = {400, 413, 414, 415, 422, 501}
_UNKNOWN_OUTCOME_STATUS = {408, 502, 504}
"""Gateway timeouts: the model may have continued, and the request may be billed."""


class EndpointError(OkrcellError, NotBilled):
    """The endpoint cannot be used at all (no such model, a wrong key, no credit): the run stops and can be continued."""


class RequestRejected(NotBilled):
    """The server rejects this request; another one may succeed."""


class RetryableError(NotBilled):
    """The server is busy or has an error; the request can be retried."""

    def __init__(self, reason: str, retry_after: float | None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after
        """Seconds to wait, as requested by the server; None without a request."""


class ResponseLost(Exception):  # noqa: N818 - a state of a request
    """The request was sent and no answer came; it is unknown whether it was billed."""


class UnreadableResponse(ResponseLost):
    """The response is complete but cannot be parsed."""


class ResponseBoundError(Exception):
    """A response is too long, takes too long, or is compressed."""


@dataclass(frozen=True)
class HTTPResponse:
    """A response that can be parsed."""

    body: str
    replayed: bool
    """Whether the server reports a stored answer to an earlier request with the same key."""


class HTTPClient:
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
        self._api_key = next((value for name in API_KEY_VARIABLES if (value := os.environ.get(name, "").strip())), "")
        if settings.has_credentials:
            raise SettingsError(
                "base_url must contain no user, password, query or fragment, because it is stored with the answers."
                f" Set the key in the environment variable {API_KEY_VARIABLES[0]}."
            )
        if self._api_key and settings.is_unencrypted:
            raise SettingsError(
                f"base_url {settings.base_url} would send your key unencrypted over the network. Use https, or unset"
                f" {' and '.join(API_KEY_VARIABLES)} if the server needs none."
            )
        if not (self._api_key.isascii() and self._api_key.isprintable()) or " " in self._api_key:
            raise SettingsError("The API key in the environment contains characters that no key has; copy it again.")
        self._key_pattern = _compile_key_pattern(self._api_key)
        # No proxy for requests to this machine, and no redirects: both would send the evidence to another host.
        http_client = openai.DefaultHttpxClient(
            trust_env=not settings.is_local,
            follow_redirects=False,
            # A short compressed response could expand beyond all bounds.
            headers={"Accept-Encoding": "identity"},
            event_hooks={"request": [self._bound_headers], "response": [self._bound_body]},
            # A request whose time is over ends its connection, which no other request may use.
            limits=_http_library().Limits(max_keepalive_connections=0),
        )
        self._client = openai.OpenAI(
            api_key=self._api_key or "none",
            base_url=settings.base_url,
            timeout=openai.Timeout(settings.timeout, connect=min(10.0, settings.timeout)),
            max_retries=0,
            http_client=http_client,
        )
        weakref.finalize(self, http_client.close)

    def send(
        self,
        messages: Sequence[Mapping[str, str]],
        schema: Mapping[str, Any],
        idempotency_key: str,
        response_format: str,
    ) -> HTTPResponse:
        """Send a chat request and return its response.

        Parameters
        ----------
        messages
            Chat messages.
        schema
            JSON schema of the answer.
        idempotency_key
            Idempotency-Key; a provider that supports it bills a repeated request once.
        response_format
            Response format, one of `RESPONSE_FORMATS`.

        Raises
        ------
        RequestRejected, RetryableError, EndpointError
            If nothing was billed.
        ResponseLost
            If the request was possibly billed.
        """
        import openai

        settings = self._settings
        parameters: dict[str, Any] = {"model": settings.model, "messages": messages}
        parameters[settings.limit_name] = settings.max_tokens
        if settings.temperature is not None:
            parameters["temperature"] = settings.temperature
        if response_format == "json_schema":
            json_schema = {"name": "description", "strict": True, "schema": schema}
            parameters["response_format"] = {"type": response_format, "json_schema": json_schema}
        elif response_format == "json_object":
            parameters["response_format"] = {"type": response_format}
        # A provider may reject a key that was used with another request body.
        header = idempotency_key if response_format == RESPONSE_FORMATS[0] else f"{idempotency_key}-{response_format}"
        try:
            raw_response = self._client.chat.completions.with_raw_response.create(
                **parameters, extra_headers={"Idempotency-Key": header}
            )
            headers, body = raw_response.http_response.headers, self._decode(raw_response.http_response.content)
        except ResponseBoundError as error:
            raise UnreadableResponse(f"the response was given up: {error}") from None
        except openai.APIStatusError as error:
            raise self._status_error(
                error.status_code, error.response.headers, self._decode(error.response.content)
            ) from None
        except openai.APITimeoutError as error:
            raise self._connection_error(error, f"no response from the server for {settings.timeout:g} s") from None
        except openai.APIConnectionError as error:
            raise self._connection_error(error, "the connection was cut") from None
        except openai.OpenAIError as error:
            raise UnreadableResponse(f"the response could not be parsed ({type(error).__name__})") from None
        try:
            parse_completion(body)
        except InvalidCompletion as error:
            if message := self._printable(_error_message(body)):
                raise RetryableError(f"the server returned the error: {message}", None) from None
            raise UnreadableResponse(str(error)) from None
        return HTTPResponse(body, headers.get("idempotent-replayed", "").casefold() == "true")

    def _bound_headers(self, request: Any) -> None:
        """Bound the time of the response's headers, which are received after this call."""
        request.extensions["trace"] = _Deadline(MAX_RESPONSE_TIMEOUTS * self._settings.timeout)

    def _bound_body(self, response: Any) -> None:
        """Bound the length and the time of the response's body, which is received after this call."""
        response.request.extensions["trace"].end()
        encoding = response.headers.get("content-encoding", "identity")
        if encoding.casefold() != "identity":
            raise ResponseBoundError(f"it is compressed ({encoding[:20]}), which the request does not allow")
        response.stream = _bounded_stream(response.stream, MAX_RESPONSE_TIMEOUTS * self._settings.timeout)

    def _status_error(self, status: int, headers: Mapping[str, str], body: str) -> Exception:
        """Map an HTTP error status to an exception; the API key is removed from the message."""
        url, model = self._settings.base_url, self._settings.model
        message = f"HTTP {status}: {self._printable(_error_message(body) or body) or 'no explanation'}"
        if status in {401, 403}:
            problem = (
                "rejects the API key in the environment" if self._api_key else "requires an API key, and none is set"
            )
            return EndpointError(f"{url} {problem} (HTTP {status}). Set a valid one in {API_KEY_VARIABLES[0]}.")
        if status == 402 or "insufficient_quota" in body:
            return EndpointError(f"The provider at {url} grants no more credit. Response: {message}")
        if status in {404, 405, 410} or 300 <= status < 400:
            return EndpointError(
                f"{url} does not answer for the model {model}. Check model and base_url (most end in /v1). Response: {message}"
            )
        if status in _REJECTION_STATUS:
            return RequestRejected(message)
        if status in _UNKNOWN_OUTCOME_STATUS:
            return ResponseLost(message)
        if status in {409, 425, 429} or status >= 500:
            return RetryableError(message, _retry_after(headers))
        return RequestRejected(message)

    def _connection_error(self, error: Exception, message: str) -> Exception:
        # The client wraps the error of its HTTP library, which has several package names.
        if isinstance(error.__cause__, ResponseBoundError):
            return UnreadableResponse(f"the response was given up: {error.__cause__}")
        if type(error.__cause__).__name__ in {"ConnectError", "ConnectTimeout", "PoolTimeout"}:
            return RetryableError(f"no connection to {self._settings.base_url}", None)
        return ResponseLost(message)

    def _decode(self, body: bytes) -> str:
        return self._redact_key(body.decode("utf-8", errors="replace"))

    def _redact_key(self, text: str) -> str:
        # Some servers echo the request. A short placeholder such as "EMPTY" is no secret and may occur in an answer.
        return self._key_pattern.sub("[key]", text) if len(self._api_key) >= 8 else text

    def _printable(self, text: str) -> str:
        # Control characters would affect a terminal, and lone surrogates cannot be encoded.
        printable = "".join(letter if letter.isprintable() else " " for letter in text)
        return self._redact_key(" ".join(printable.split()))[:200]


def _http_library() -> Any:
    """HTTP library of the client, which has had several package names."""
    import openai

    return import_module(openai.DefaultHttpxClient.__mro__[1].__module__.partition(".")[0])


class _Deadline:
    """Trace function of a request: `ResponseBoundError` if the headers of the response are not complete after ``seconds``.

    The time without data is bounded by the client, but a server may send the headers byte by byte without end.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds, self._timer, self._is_over = seconds, None, False

    def __call__(self, event: str, info: Mapping[str, Any]) -> None:
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            self.end()
            self._timer = Timer(self._seconds, self._close, [info["return_value"]])
            self._timer.daemon = True
            self._timer.start()
        elif event.endswith("receive_response_headers.failed"):
            self.end()
            if self._is_over:
                raise ResponseBoundError(f"its headers were not complete after {self._seconds:g} s")

    def end(self) -> None:
        """Stop the clock."""
        if self._timer is not None:
            self._timer.cancel()

    def _close(self, stream: Any) -> None:
        self._is_over = True
        with suppress(OSError):  # it is closed already
            stream.get_extra_info("socket").shutdown(SHUT_RDWR)


def _bounded_stream(stream: Any, seconds: float) -> Any:
    """Wrap the body of a response: `ResponseBoundError` after ``seconds`` or `MAX_RESPONSE_BYTES`."""

    class BoundedStream(_http_library().SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            n_bytes, deadline = 0, monotonic() + seconds
            for part in stream:
                n_bytes += len(part)
                if n_bytes > MAX_RESPONSE_BYTES:
                    raise ResponseBoundError(f"it has more than {MAX_RESPONSE_BYTES:,} bytes")
                if monotonic() > deadline:
                    raise ResponseBoundError(f"it was not complete after {seconds:g} s")
                yield part

        def close(self) -> None:
            stream.close()

    return BoundedStream()


def _compile_key_pattern(key: str) -> re.Pattern[str]:
    """Return a pattern that matches the key after repeated JSON encoding: any character, and any escape, may be escaped."""
    forms = (rf"(?:\\{{0,9}}{re.escape(letter)}|\\{{1,9}}u{ord(letter):04x})" for letter in key)
    return re.compile("".join(forms), re.IGNORECASE)


def _error_message(body: str) -> str:
    """Return the message in the body of an error response, "" without one."""
    with suppress(ValueError, RecursionError):
        parsed = loads(body)
        error = parsed.get("error", parsed.get("message")) if isinstance(parsed, dict) else None
        message = error.get("message") if isinstance(error, dict) else error
        return str(message) if message else ""
    return ""


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the wait in seconds from Retry-After (seconds or a date) or retry-after-ms; None without either."""
    header_values = headers.get("retry-after-ms"), headers.get("retry-after")
    for value, unit in zip(header_values, (1000, 1), strict=True):
        with suppress(TypeError, ValueError):
            seconds = float(str(value)) / unit
            if isfinite(seconds) and seconds >= 0:
                return seconds
    with suppress(TypeError, ValueError):
        return max(0.0, parsedate_to_datetime(header_values[1] or "").timestamp() - time())
    return None
