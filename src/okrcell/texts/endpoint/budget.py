"""Prices, spending and budget of language-model requests."""

from dataclasses import dataclass

from okrcell.errors import OkrcellError


class BudgetSpent(OkrcellError):  # noqa: N818 - a state one stops in, not a mistake
    """The next request could exceed the budget; all answers so far are stored."""


@dataclass(frozen=True)
class Cost:
    """Cost in tokens and in money."""

    tokens: int = 0
    money: float = 0.0
    """In the currency of the prices."""

    def __add__(self, other: "Cost") -> "Cost":
        """Add tokens and money."""
        return Cost(self.tokens + other.tokens, self.money + other.money)


@dataclass(frozen=True)
class Prices:
    """Prices of a provider per million tokens, in any currency."""

    prompt: float = 0.0
    completion: float = 0.0

    def cost(self, prompt_tokens: int, completion_tokens: int) -> Cost:
        """Return the cost of a request with its completion."""
        money = (prompt_tokens * self.prompt + completion_tokens * self.completion) / 1e6
        return Cost(prompt_tokens + completion_tokens, money)


@dataclass(frozen=True)
class Spent:
    """Spending of a ledger over all runs."""

    calls: int = 0
    """Number of paid answers."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    money: float = 0.0
    doubtful: Cost = Cost()
    """Maximum cost of requests without an answer (connection cut, timeout, killed run); possibly not billed."""

    @property
    def most(self) -> Cost:
        """Maximum that may have been billed."""
        return Cost(self.prompt_tokens + self.completion_tokens, self.money) + self.doubtful

    def after(self, more: "Spent") -> "Spent":
        """Return the sum of this and further spending."""
        return Spent(
            self.calls + more.calls,
            self.prompt_tokens + more.prompt_tokens,
            self.completion_tokens + more.completion_tokens,
            self.money + more.money,
            self.doubtful + more.doubtful,
        )


@dataclass(frozen=True)
class Estimate:
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
    def cost(self) -> Cost:
        """Total tokens and money."""
        return Cost(self.prompt_tokens + self.completion_tokens, self.money)


@dataclass(frozen=True)
class Budget:
    """Maximum spending over all runs of a ledger; None is no limit."""

    tokens: int | None = None
    money: float | None = None

    def allows(self, spent: Cost, worst: Cost) -> bool:
        """Whether a request of at most ``worst`` fits into the remaining budget."""
        total = spent + worst
        few_enough = self.tokens is None or total.tokens <= self.tokens
        return few_enough and (self.money is None or total.money <= self.money)

    def refusal(self, spent: Spent, worst: Cost) -> BudgetSpent:
        """Return the error for an exhausted budget: what was spent, what the next request may cost, what to do."""
        used = spent.most
        if self.tokens is not None and used.tokens + worst.tokens > self.tokens:
            said = f"{used.tokens:,} of {self.tokens:,} tokens are spent and the next request may take {worst.tokens:,}"
            raised = "budget_tokens"
        else:
            most = 0.0 if self.money is None else self.money
            said = f"{used.money:.4g} of {most:.4g} in money is spent and the next request may cost {worst.money:.2g}"
            raised = "budget_money"
        unsure = spent.doubtful.tokens
        doubt = f", counting {unsure:,} tokens of requests whose answer never came" if unsure else ""
        return BudgetSpent(
            f"The budget is exhausted: {said}{doubt}. All answers so far are stored; raise {raised} and run again to continue."
        )
