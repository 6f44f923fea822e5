"""Prices, spending and budget of language-model requests."""

from dataclasses import dataclass

from okrcell.errors import OkrcellError


class BudgetExceeded(OkrcellError):  # noqa: N818 - a state one stops in, not a mistake
    """The next request could exceed the budget; all answers so far are stored."""


@dataclass(frozen=True)
class RequestCost:
    """Cost in tokens and in money."""

    tokens: int = 0
    money: float = 0.0
    """In the currency of the prices."""

    def __add__(self, other: "RequestCost") -> "RequestCost":
        """Add tokens and money."""
        return RequestCost(self.tokens + other.tokens, self.money + other.money)


@dataclass(frozen=True)
class Prices:
    """Prices of a provider per million tokens, in any currency."""

    prompt: float = 0.0
    completion: float = 0.0

    def cost(self, prompt_tokens: int, completion_tokens: int) -> RequestCost:
        """Return the cost of a request with its completion."""
        money = (prompt_tokens * self.prompt + completion_tokens * self.completion) / 1e6
        return RequestCost(prompt_tokens + completion_tokens, money)


@dataclass(frozen=True)
class Spending:
    """Spending of a ledger over all runs."""

    calls: int = 0
    """Number of paid answers."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    money: float = 0.0
    unconfirmed: RequestCost = RequestCost()
    """Maximum cost of requests without an answer (connection cut, timeout, killed run); possibly not billed."""

    @property
    def max_cost(self) -> RequestCost:
        """Maximum that may have been billed."""
        return RequestCost(self.prompt_tokens + self.completion_tokens, self.money) + self.unconfirmed

    def plus(self, increment: "Spending") -> "Spending":
        """Return the sum of this and further spending."""
        return Spending(
            self.calls + increment.calls,
            self.prompt_tokens + increment.prompt_tokens,
            self.completion_tokens + increment.completion_tokens,
            self.money + increment.money,
            self.unconfirmed + increment.unconfirmed,
        )


@dataclass(frozen=True)
class CostEstimate:
    """Estimated cost of writing, before the first request."""

    calls: int
    """Number of requests, if every first answer is usable."""
    cached: int
    """Number of answers that are already in the ledger."""
    prompt_tokens: int
    completion_tokens: int
    money: float
    """In the currency of the prices; 0 without prices."""

    @property
    def cost(self) -> RequestCost:
        """Total tokens and money."""
        return RequestCost(self.prompt_tokens + self.completion_tokens, self.money)


@dataclass(frozen=True)
class Budget:
    """Maximum spending over all runs of a ledger; None is no limit."""

    tokens: int | None = None
    money: float | None = None

    def allows(self, spent: RequestCost, max_cost: RequestCost) -> bool:
        """Whether a request of at most ``max_cost`` fits into the remaining budget."""
        total = spent + max_cost
        within_tokens = self.tokens is None or total.tokens <= self.tokens
        return within_tokens and (self.money is None or total.money <= self.money)

    def exceeded_error(self, spent: Spending, max_cost: RequestCost) -> BudgetExceeded:
        """Return the error for an exhausted budget: what was spent, what the next request may cost, what to do."""
        spent_cost = spent.max_cost
        if self.tokens is not None and spent_cost.tokens + max_cost.tokens > self.tokens:
            amounts = f"{spent_cost.tokens:,} of {self.tokens:,} tokens are spent and the next request may take {max_cost.tokens:,}"
            setting = "budget_tokens"
        else:
            max_money = 0.0 if self.money is None else self.money
            amounts = f"{spent_cost.money:.4g} of {max_money:.4g} in money is spent and the next request may cost {max_cost.money:.2g}"
            setting = "budget_money"
        unconfirmed_tokens = spent.unconfirmed.tokens
        note = (
            f", counting {unconfirmed_tokens:,} tokens of requests whose answer never came"
            if unconfirmed_tokens
            else ""
        )
        return BudgetExceeded(
            f"The budget is exhausted: {amounts}{note}. All answers so far are stored; raise {setting} and run again to continue."
        )
