"""A twin follows its model slowly, and shares what does not move."""

import pytest
import torch
from torch import nn

from okrcell.losses.momentum import EMAModel


def made(seed=0):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.Linear(4, 2))
    model[2].requires_grad_(requires_grad=False)
    return model


def moved(model, step):
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(step * torch.arange(parameter.numel()).view_as(parameter))


def test_after_many_steps_it_is_the_moving_average_of_where_the_model_was():
    model, m, steps = made(), 0.9, 25
    twin = EMAModel(model, m)
    been = [model[0].weight.detach().double().clone()]
    for step in range(steps):
        moved(model, 0.01 * (step - 7))
        been.append(model[0].weight.detach().double().clone())
        twin.update(model)
    expected = m**steps * been[0] + (1 - m) * sum(m ** (steps - n) * been[n] for n in range(1, steps + 1))
    torch.testing.assert_close(twin.model[0].weight.double(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("m", [0.0, 1.0])
def test_at_its_ends_it_is_the_model_itself_or_never_moves(m):
    model = made()
    twin, before = EMAModel(model, m), model[0].weight.detach().clone()
    moved(model, 0.3)
    twin.update(model)
    torch.testing.assert_close(twin.model[0].weight, model[0].weight.detach() if m == 0 else before)


def test_it_shares_what_is_not_trained_and_copies_the_rest():
    model = made()
    twin = EMAModel(model, 0.9).model
    assert twin[2].weight is model[2].weight
    assert twin[2].bias is model[2].bias
    assert twin[0].weight is not model[0].weight
    assert twin[0].weight.data_ptr() != model[0].weight.data_ptr()
    torch.testing.assert_close(twin[0].weight, model[0].weight.detach())


def test_it_has_no_gradient_and_no_dropout_and_leaves_the_model_as_it_was():
    model = made().train()
    twin = EMAModel(model, 0.9)
    assert model.training
    assert model[0].weight.requires_grad
    assert not twin.model.training
    assert not any(parameter.requires_grad for parameter in twin.model.parameters())
    seen = twin.model(torch.ones(5, 3))
    assert not seen.requires_grad
    torch.testing.assert_close(seen[0], seen[1])


def test_a_twin_put_back_goes_on_as_it_would_have():
    model = made()
    twin = EMAModel(model, 0.7)
    moved(model, 0.1)
    twin.update(model)
    state = {name: tensor.clone() for name, tensor in twin.state_dict().items()}
    assert set(state) == {"0.weight", "0.bias"}
    other = EMAModel(made(seed=5), 0.7)
    other.load_state_dict(state)
    for each in (twin, other):
        moved_on = made()
        moved(moved_on, 0.5)
        each.update(moved_on)
    assert torch.equal(twin.model[0].weight, other.model[0].weight)
    assert torch.equal(twin.model[0].bias, other.model[0].bias)
    with pytest.raises(KeyError):
        other.load_state_dict({"0.weight": state["0.weight"]})


def test_to_follow_moves_only_the_twin():
    model = made()
    twin, before = EMAModel(model, 0.5), [parameter.detach().clone() for parameter in model.parameters()]
    with torch.no_grad():
        twin.model[0].weight += 1
    twin.update(model)
    assert all(torch.equal(one, two) for one, two in zip(before, model.parameters(), strict=True))
