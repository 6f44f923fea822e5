"""Cost, spending and budget in tokens and money."""

import pytest

from okrcell.descriptions.llm_cache import Budget, Prices, RequestCost, Spending
from okrcell.errors import OkrcellError


def test_prices_are_for_a_million_tokens():
    assert Prices(2, 8).cost(500_000, 250_000) == RequestCost(750_000, 3.0)


@pytest.mark.parametrize(
    ("budget", "allowed"),
    [(Budget(), True), (Budget(tokens=30), True), (Budget(tokens=29), False), (Budget(money=2.9), False)],
)
def test_a_budget_is_the_most_that_may_be_spent(budget, allowed):
    assert budget.allows(RequestCost(10, 1.0), RequestCost(20, 2.0)) == allowed


def test_the_end_of_a_budget_says_what_to_do_in_one_line():
    spent = Spending(3, 1000, 200, 0.5, RequestCost(300, 0.1))
    message = str(Budget(tokens=1600).exceeded_error(spent, RequestCost(200, 0.1)))
    assert "1,500 of 1,600 tokens" in message
    assert "300 tokens of requests whose answer never came" in message
    assert "raise budget_tokens" in message
    assert "\n" not in message
    assert isinstance(Budget(money=0.6).exceeded_error(spent, RequestCost(200, 0.1)), OkrcellError)
    assert "raise budget_money" in str(Budget(money=0.6).exceeded_error(spent, RequestCost(200, 0.1)))
