"""Settings of the language-model endpoint: model, address, sampling, retries, prices and budget."""

import ipaddress
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from okrcell.settings import Settings
from okrcell.texts.endpoint.budget import Budget, Prices
from okrcell.texts.endpoint.prompt import PromptVersion


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
        except ValueError as error:
            raise ValueError(f"this is no web address: {error}") from None
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
