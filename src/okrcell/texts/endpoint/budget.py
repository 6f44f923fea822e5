"""What writing may cost, and what it has cost so far."""

from dataclasses import dataclass

from okrcell.errors import OkrcellError


class BudgetSpent(OkrcellError):  # noqa: N818 - a state one stops in, not a mistake
    """The next request could cost more than is left; all answers so far are kept."""


@dataclass(frozen=True)
class Cost:
    """An amount, in both measures."""

    tokens: int = 0
    money: float = 0.0
    """In the currency of the prices that were given."""

    def __add__(self, other: "Cost") -> "Cost":
        """Add both measures."""
        return Cost(self.tokens + other.tokens, self.money + other.money)


@dataclass(frozen=True)
class Prices:
    """What a provider asks for a million tokens, in any currency."""

    prompt: float = 0.0
    completion: float = 0.0

    def cost(self, prompt_tokens: int, completion_tokens: int) -> Cost:
        """Price an exchange."""
        money = (prompt_tokens * self.prompt + completion_tokens * self.completion) / 1e6
        return Cost(prompt_tokens + completion_tokens, money)


@dataclass(frozen=True)
class Spent:
    """What a ledger's answers have cost, over all runs."""

    calls: int = 0
    """Answers that were paid."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    money: float = 0.0
    doubtful: Cost = Cost()
    """The most that requests can have cost whose answer never came (cut, timed out, killed); perhaps nothing."""

    @property
    def most(self) -> Cost:
        """The most that can have been billed."""
        return Cost(self.prompt_tokens + self.completion_tokens, self.money) + self.doubtful

    def after(self, more: "Spent") -> "Spent":
        """Add what was spent since."""
        return Spent(
            self.calls + more.calls,
            self.prompt_tokens + more.prompt_tokens,
            self.completion_tokens + more.completion_tokens,
            self.money + more.money,
            self.doubtful + more.doubtful,
        )


@dataclass(frozen=True)
class Estimate:
    """What writing will take, before it starts."""

    calls: int
    """Requests to be made, if every answer is good at once."""
    cached: int
    """Answers that the ledger holds already."""
    prompt_tokens: int
    completion_tokens: int
    money: float
    """In the currency of the prices; 0 without prices."""

    @property
    def cost(self) -> Cost:
        """Tokens in all, and money."""
        return Cost(self.prompt_tokens + self.completion_tokens, self.money)


@dataclass(frozen=True)
class Budget:
    """The most that may be spent, over all runs of a ledger; None is no limit."""

    tokens: int | None = None
    money: float | None = None

    def allows(self, spent: Cost, worst: Cost) -> bool:
        """Whether a request that costs ``worst`` at most fits into what is left."""
        total = spent + worst
        few_enough = self.tokens is None or total.tokens <= self.tokens
        return few_enough and (self.money is None or total.money <= self.money)

    def refusal(self, spent: Spent, worst: Cost) -> BudgetSpent:
        """Say what was spent, what the next request may take, and how to go on."""
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
            f"The budget ends here: {said}{doubt}. Every answer so far is kept; raise {raised} and run again to go on."
        )
