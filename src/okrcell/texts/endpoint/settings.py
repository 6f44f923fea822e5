"""Which language model writes, how, and what it may cost."""

import ipaddress
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from okrcell.settings import Settings
from okrcell.texts.endpoint.budget import Budget, Prices
from okrcell.texts.endpoint.prompt import PromptVersion


class EndpointSettings(Settings):
    """An OpenAI-compatible endpoint. Its key is in the environment only (OKRCELL_API_KEY, else OPENAI_API_KEY)."""

    model: Annotated[str, Field(min_length=1)]
    """The model's name, as the provider calls it."""
    base_url: str
    """Address of the API, up to and with its version: "https://api.deepseek.com/v1", "http://localhost:8000/v1"."""
    prompt: PromptVersion = "essay-1"
    """essay-1: the paper's 550 to 600 words; short-1: what fits a text encoder of 256 word pieces."""
    temperature: Annotated[float, Field(ge=0, le=2)] | None = 0.3
    """How freely words are drawn; None leaves it to the provider."""
    max_tokens: Annotated[int, Field(ge=1)] = 3000
    """The longest answer, in tokens; 600 words in JSON take about 1,200, and thinking models need room to think."""
    limit_name: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """What the provider calls that limit; OpenAI's thinking models want the second."""
    evidence_limit: Annotated[int, Field(ge=200)] = 24_000
    """Characters of facts and evidence in one prompt, about 6,000 tokens."""
    concurrency: Annotated[int, Field(ge=1, le=256)] = 8
    """Requests on their way at a time."""
    retries: Annotated[int, Field(ge=0, le=20)] = 5
    """How often a request is repeated after a fault of the server or the network."""
    timeout: Annotated[float, Field(gt=0)] = 180.0
    """Seconds without a word from the server after which a request is given up."""
    first_wait: Annotated[float, Field(gt=0)] = 1.0
    """Seconds before the first repetition; each further wait is about twice as long."""
    longest_wait: Annotated[float, Field(gt=0)] = 300.0
    """Seconds; if a server asks for more patience than this, the run stops and can be gone on with later."""
    when_lost: Literal["ask_again", "leave"] = "ask_again"
    """What to do where a request was sent and no answer came. ask_again: nothing is missed, and a provider that does not
    heed Idempotency-Key may bill that answer twice; leave: nothing is ever paid twice, and the original text stands."""
    price_prompt: Annotated[float, Field(ge=0)] = 0.0
    """Price of a million tokens sent, in any currency."""
    price_completion: Annotated[float, Field(ge=0)] = 0.0
    """Price of a million tokens written, in the same currency."""
    budget_tokens: Annotated[int, Field(ge=0)] | None = None
    """The most tokens to be spent over all runs with one ledger; None is no limit."""
    budget_money: Annotated[float, Field(ge=0)] | None = None
    """The most money to be spent over all runs with one ledger, in the currency of the prices; None is no limit."""

    @field_validator("base_url")
    @classmethod
    def _is_an_address(cls, address: str) -> str:
        try:
            parts = urlsplit(address)
            _ = parts.port
        except ValueError as error:
            raise ValueError(f"this is no web address: {error}") from None
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("this must be a web address such as https://api.deepseek.com/v1")
        return address.rstrip("/")

    @model_validator(mode="after")
    def _money_needs_prices(self) -> Self:
        if self.budget_money is not None and not (self.price_prompt or self.price_completion):
            raise ValueError("budget_money needs price_prompt and price_completion")
        return self

    @property
    def prices(self) -> Prices:
        """What tokens cost."""
        return Prices(self.price_prompt, self.price_completion)

    @property
    def budget(self) -> Budget:
        """What may be spent."""
        return Budget(self.budget_tokens, self.budget_money)

    @property
    def holds_a_secret(self) -> bool:
        """Whether the address holds more than an address: it is stored with the answers, so nothing else may be."""
        # Not refused when settings are read: such a refusal quotes what it saw.
        parts = urlsplit(self.base_url)
        return bool(parts.username or parts.password or parts.query or parts.fragment)

    @property
    def on_this_machine(self) -> bool:
        """Whether requests stay on this machine, so that nobody can listen on the way."""
        host = (urlsplit(self.base_url).hostname or "").rstrip(".")
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost" or host.endswith(".localhost")

    @property
    def in_the_clear(self) -> bool:
        """Whether what is sent can be read on the way."""
        return urlsplit(self.base_url).scheme == "http" and not self.on_this_machine
