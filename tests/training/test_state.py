"""What a run carries from step to step is moved on by the loop, and by nothing else."""

import pytest
import torch
from torch.nn import functional

from okrcell.losses.contrastive import PairEmbeddings
from okrcell.losses.objective import ABLATIONS, ObjectiveSettings
from okrcell.training import pretrain as loop
from okrcell.training.schedule import StepInfo
from okrcell.training.setup import RunInputs, build_optimizer, launch_fabric
from okrcell.training.state import StepRecord, TrainState
from okrcell.training.step import TrainingStep

CPU = torch.device("cpu")
WHOLE = {"preset": "faithful", "bank": {"size": 6}, "reliability": {"recorded_from": 2}}
HEAT = torch.tensor(0.05)


@pytest.fixture
def model(checkpoint):
    for parameter in checkpoint.model.text_encoder.adapted_parameters():
        parameter.requires_grad_()
    return checkpoint.model


def pairs(*kinds, seed=0):
    rng = torch.Generator().manual_seed(seed)
    vectors = functional.normalize(torch.randn(len(kinds), 16, generator=rng), dim=-1)
    return PairEmbeddings(vectors, vectors.roll(1, dims=1), torch.tensor(kinds))


def visit(*rows, seed=0, r=0.5, trust=0.25):
    embeddings = pairs(*rows, seed=seed)
    return StepRecord(
        embeddings,
        torch.tensor(rows),
        torch.full((len(rows),), r),
        torch.full((len(rows),), trust),
        reliability_active=True,
    )


def copied(memory):
    return {name: tensor.clone() for name, tensor in memory.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def memory_of(model, **chosen):
    return TrainState(model, ObjectiveSettings(**chosen), n_pairs=10, n_epochs=4, device=CPU)


@pytest.mark.parametrize("name", ABLATIONS)
def test_a_run_remembers_what_its_objective_asks_for_and_no_more(model, name):
    objective = ObjectiveSettings(**ABLATIONS[name])
    memory = memory_of(model, **ABLATIONS[name])
    assert (memory.ema_model is not None) == (objective.bank.size > 0 or objective.reliability.embeddings == "ema")
    assert memory.bank.size == objective.bank.size * (objective.alignment != "none")
    assert len(memory.history) == 10 * objective.uses_reliability


def test_after_a_step_twins_follow_banks_take_in_the_batch_and_the_table_records(model):
    memory = memory_of(model, **WHOLE)
    before = memory.ema_model.model.cell_projector[1].weight.clone()
    with torch.no_grad():
        model.cell_projector[1].weight += 1
    memory.update(visit(3, 7, r=0.5, trust=0.25), model, epoch=2)
    torch.testing.assert_close(memory.ema_model.model.cell_projector[1].weight, before + 0.005, rtol=0, atol=1e-6)
    assert memory.bank.entries.cell_type.tolist() == [3, 7]
    assert memory.history.visits[[3, 7], 1].tolist() == [1, 1]
    assert memory.history.visits.sum() == 2
    assert memory.last_weights.tolist() == [0.25 if row in (3, 7) else 1.0 for row in range(10)]


def test_epochs_before_the_first_recorded_one_leave_no_record_but_their_trust(model):
    memory = memory_of(model, **WHOLE)
    memory.update(visit(3, trust=0.75), model, epoch=1)
    assert not memory.history.visits.any()
    assert memory.last_weights[3] == 0.75


def test_a_step_without_pairs_moves_the_twin_alone(model):
    memory = memory_of(model, **WHOLE)
    with torch.no_grad():
        model.cell_projector[1].weight += 1
    before = copied(memory)
    memory.update(None, model, epoch=3)
    changed = {name for name, tensor in memory.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == {"twin.cell_projector.1.weight"}


def test_to_judge_changes_nothing_and_everybody_is_trusted_where_nobody_is_judged(model):
    memory = memory_of(model, **WHOLE)
    before = copied(memory)
    agreed, trust, _ = memory.pair_weights(pairs(1, 2, 3), torch.tensor([1, 2, 3]), 2, HEAT)
    assert torch.equal(agreed, trust)
    assert trust.max() < 1
    assert same(before, memory.state_dict())
    bare = memory_of(model, preset="control")
    assert [each.tolist() for each in bare.pair_weights(pairs(1, 2), torch.tensor([1, 2]), 5, HEAT)[:2]] == [
        [1, 1],
        [1, 1],
    ]


def test_a_pair_that_spreads_over_epochs_loses_its_trust_after_the_third(model):
    memory = memory_of(model, **{**WHOLE, "reliability": {"stability": "smooth"}})
    for epoch, r in ((2, 0.1), (3, 0.9)):
        memory.update(visit(4, r=r), model, epoch)
        memory.update(visit(*(row for row in range(10) if row != 4), r=0.5), model, epoch)
    embeddings = PairEmbeddings(torch.eye(16)[:2], torch.eye(16)[:2], torch.tensor([0, 1]))
    for epoch, expected in ((3, 1.0), (4, 0.02)):
        _, trust, _ = memory.pair_weights(embeddings, torch.tensor([4, 5]), epoch, HEAT)
        assert trust[0] <= expected
        assert trust[1] == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("reset", [True, False])
def test_a_new_stage_forgets_texts_that_from_now_on_read_differently(model, reset):
    memory = memory_of(model, preset="faithful", bank={"size": 6, "reset_at_stage": reset})
    memory.update(visit(1, 2), model, epoch=2)
    memory.new_stage()
    assert len(memory.bank) == (0 if reset else 2)
    assert memory.history.visits.sum() == 2


def test_a_memory_put_back_is_the_same_and_one_that_lacks_something_is_refused(model):
    memory, other = memory_of(model, **WHOLE), memory_of(model, **WHOLE)
    for epoch in (1, 2, 2, 3):
        memory.update(visit(epoch, 5, 6, seed=epoch, r=0.3), model, epoch)
    state = copied(memory)
    assert not same(state, other.state_dict())
    other.load_state_dict(state)
    assert same(state, other.state_dict())
    for each in (memory, other):
        each.update(visit(8, 5), model, 4)
    assert same(memory.state_dict(), other.state_dict())
    for part in ("bank.pushed", "table.trust", "twin.log_sharpness"):
        with pytest.raises(KeyError):
            other.load_state_dict({name: tensor for name, tensor in state.items() if name != part})


@pytest.fixture
def taking(run_settings):
    """Return what takes a step, a batch for it, and its memory, for an objective."""

    def of(chosen):
        settings = run_settings({"objective": chosen, "model": {"cell_encoder": {"dropout": 0.0}}})
        ground, fabric = RunInputs.from_settings(settings), launch_fabric(settings)
        torch.manual_seed(0)
        from okrcell.model.cell_text_model import CellTextModel

        model = CellTextModel(settings.model, n_genes=len(ground.vocabulary))
        step_of = TrainingStep(model, ground.pairs, settings, fabric, ground.text_cache)
        build_optimizer(step_of, settings)
        memory = TrainState(model, settings.objective, len(ground.pairs.corpus), 3, CPU)
        stream, _ = ground.loaders(ground.pairs, settings.stream)
        return step_of, stream, memory

    return of


@pytest.mark.parametrize("name", ["info_nce", "faithful", "improved_bank", "siglip", "cell_only"])
def test_a_step_reads_the_memory_and_does_not_move_it(taking, name):
    step_of, stream, memory = taking(ABLATIONS[name])
    memory.update(step_of(stream.batch(0), StepInfo(1, 0.0, 2), memory).record, step_of.model, 2)
    before = copied(memory)
    one, other = (step_of(stream.batch(1), StepInfo(2, 0.5, 2), memory) for _ in range(2))
    one.loss.total.backward()
    assert same(before, memory.state_dict())
    assert all(torch.equal(first, second) for first, second in zip(one.loss, other.loss, strict=True))


def test_what_was_seen_a_step_ago_is_a_negative_now(taking):
    step_of, stream, memory = taking({"preset": "control", "bank": {"size": 40}})
    moment = StepInfo(1, 0.5, 1)
    alone = step_of(stream.batch(1), moment, memory).loss
    memory.update(step_of(stream.batch(0), moment, memory).record, step_of.model, 1)
    assert step_of(stream.batch(1), moment, memory).loss.cell_to_text > alone.cell_to_text
    # For validation every pair is compared with its batch alone.
    assert torch.equal(step_of(stream.batch(1), moment, None).loss.cell_to_text, alone.cell_to_text)


def test_a_cell_without_a_text_is_neither_remembered_nor_judged(taking):
    step_of, stream, memory = taking({"preset": "faithful", "bank": {"size": 700}})
    batch = next(batch for batch in map(stream.batch, range(40)) if (batch.weight == 0).any())
    seen = step_of(batch, StepInfo(1, 0.1, 2), memory).record
    assert seen.rows.tolist() == batch.row[batch.weight > 0].tolist()
    memory.update(seen, step_of.model, 2)
    assert len(memory.bank) == int(batch.weight.sum())
    assert not memory.history.visits[batch.row[batch.weight == 0]].any()


def test_a_pair_that_is_not_trusted_is_remembered_as_one_without_a_say(taking):
    step_of, stream, memory = taking(
        {
            **ABLATIONS["improved_bank"],
            "reliability": {"chance_multiple": 1e6, "steepness": 50, "min_reliable_fraction": 0.0},
        }
    )
    seen = step_of(stream.batch(0), StepInfo(1, 0.5, 5), memory).record
    doubted = seen.weights < 0.5
    assert doubted.any()
    assert (seen.ema_embeddings.cell_type[doubted] == -1).all()
    assert (seen.ema_embeddings.cell_type[~doubted] >= 0).all()


def test_trust_sleeps_until_enough_of_a_batch_would_be_trusted_and_then_stays_awake(model):
    """A model that knows little would trust the commonest type alone, and learn nothing else."""
    memory = memory_of(
        model, preset="improved", reliability={"min_reliable_fraction": 0.5, "weighting": "symmetry", "sharpness": 0.05}
    )
    fits, rows = torch.eye(16)[:4], torch.arange(4)
    well = PairEmbeddings(fits, fits, rows)
    badly = PairEmbeddings(fits, fits.roll(1, dims=0), rows)
    assert not memory.pair_weights(well, rows, epoch=1, temperature=HEAT).reliability_active
    asleep = memory.pair_weights(badly, rows, epoch=2, temperature=HEAT)
    assert not asleep.reliability_active
    assert asleep.weights.tolist() == [1, 1, 1, 1]
    assert asleep.match_prob.max() < 0.5
    awake = memory.pair_weights(well, rows, epoch=2, temperature=HEAT)
    assert awake.reliability_active
    memory.update(StepRecord(None, rows, awake.match_prob, awake.weights, awake.reliability_active), model, epoch=2)
    again = memory_of(
        model, preset="improved", reliability={"min_reliable_fraction": 0.5, "weighting": "symmetry", "sharpness": 0.05}
    )
    again.load_state_dict(memory.state_dict())
    for one in (memory, again):
        assert one.pair_weights(badly, rows, epoch=2, temperature=HEAT).weights.max() < 0.5


@pytest.mark.parametrize(("name", "view"), [("faithful", "masked"), ("improved_bank", "full")])
def test_the_ema_model_sees_the_view_that_its_preset_names(taking, name, view):
    step_of, loader, state = taking(ABLATIONS[name])
    batch = loader.batch(0)
    assert batch.masked.any()
    embeddings = step_of(batch, StepInfo(1, 0.5, 2), state).record.ema_embeddings
    has_text = batch.weight > 0
    with torch.no_grad():
        masked, full = (
            state.ema_model.model.embed_cells(batch.cells, hidden)[has_text] for hidden in (batch.masked, None)
        )
    assert not torch.allclose(masked, full, atol=1e-3)
    torch.testing.assert_close(embeddings.cells, {"masked": masked, "full": full}[view])


@pytest.mark.parametrize("reset", [True, False])
def test_a_run_empties_the_bank_when_stage_2_begins(run_settings, monkeypatch, reset):
    states, sizes = [], []

    class RecordedState(TrainState):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            states.append(self)

    monkeypatch.setattr(loop, "TrainState", RecordedState)
    objective = {"preset": "control", "bank": {"size": 100, "reset_at_stage": reset}}
    changes = {"objective": objective, "stream": {"batch_size": 10}, "schedule": {"steps": [3, 2]}, "calibrate": False}
    loop.pretrain(run_settings(changes), progress=lambda *_: sizes.append(len(states[0].bank)))
    assert len(sizes) == 5
    assert sizes[2] > 20
    assert (sizes[3] <= 10) == reset
    assert sizes[4] > sizes[3] > 0
