"""What a run does when numbers go wrong: bad steps are left out, the rate is halved, and at last it says so."""

import json
from itertools import pairwise

import pytest
import torch

from saccade import storage
from saccade.errors import DivergedError, UsageError
from saccade.training import engine
from saccade.training.alerts import look_at
from saccade.training.ema import MovingAverage
from saccade.training.engine import auto_precision, pick_device
from saccade.training.progress import Progress
from saccade.training.schedules import SCHEDULES, rate_factor
from saccade.training.settings import Settings
from tests.support.training import TinyNet, train


def events(folder, kind):
    return [e for e in map(json.loads, (folder / "events.jsonl").read_text().splitlines()) if e["event"] == kind]


def test_one_poisoned_image_costs_its_steps_and_nothing_else(tmp_path):
    net = train(tmp_path, poisoned=[7], epochs=2)
    assert len([e for e in events(tmp_path, "alert") if e["code"] == "RUN-NAN"]) == 2  # once an epoch
    assert all(torch.isfinite(v).all() for v in net.state_dict().values())  # the batch norm's running mean too
    assert events(tmp_path, "epoch")[-1]["train_loss"] < events(tmp_path, "epoch")[0]["train_loss"]


def test_poison_everywhere_ends_with_the_batch_kept(tmp_path):
    with pytest.raises(DivergedError) as stopped:
        train(tmp_path, poisoned=range(256))
    assert stopped.value.code == "RUN-DIVERGED" and stopped.value.exit == 5
    kept = storage.load_tensors(tmp_path / "nan_batch" / "inputs.safetensors")
    assert torch.isnan(kept["0"]).all()
    assert len(json.loads((tmp_path / "nan_batch" / "samples.json").read_text())) == 32
    assert [e["factor"] for e in events(tmp_path, "rewind")] == [0.5, 0.25, 0.125]


def test_a_rate_far_too_high_is_halved_or_refused(tmp_path):
    with pytest.raises(DivergedError):
        train(tmp_path, optimiser="sgd", rate=1e8, warmup=0.0)


def test_patience_ends_a_run_early_and_keeps_the_best_epoch(tmp_path):
    train(tmp_path, epochs=40, patience=2, optimiser="sgd", rate=1e-12, warmup=0.0)
    stop = events(tmp_path, "early_stop")
    assert stop and stop[0]["epoch"] - stop[0]["best_epoch"] == 2


def test_accumulated_gradients_equal_a_larger_batch(tmp_path):
    """Without batch norm and dropout two batches of 32 accumulated take the step of one batch of 64."""
    from saccade.training.engine import Engine
    from saccade.training.fit import Feeds, fit
    from saccade.training.run_folder import RunFolder
    from tests.support.training import TinyFeed

    states = []
    for name, batch, accumulate in (("a", 64, 1), ("b", 32, 2)):
        net = TinyNet()
        net.net[1], net.net[4] = torch.nn.Identity(), torch.nn.Identity()
        (tmp_path / name).mkdir()
        settings = Settings(epochs=1, optimiser="sgd", rate=0.1, accumulate=accumulate)
        fit(net, Feeds(TinyFeed(range(256), batch)), settings=settings, run=RunFolder(tmp_path / name), engine=Engine("cpu"))
        states.append(net.state_dict())
    for key, value in states[0].items():
        torch.testing.assert_close(value, states[1][key], rtol=1e-4, atol=1e-6)


def test_moving_average_equals_its_definition():
    net, decay = TinyNet(), 0.9
    average = MovingAverage(net, decay)
    expected = net.net[0].weight.detach().clone()
    for step in range(1, 30):
        with torch.no_grad():
            net.net[0].weight.add_(torch.randn_like(expected))
        average.update(net)
        d = min(decay, (1 + step) / (10 + step))
        expected = d * expected + (1 - d) * net.net[0].weight.detach()
    torch.testing.assert_close(average.mean["net.0.weight"], expected)
    own = net.net[0].weight.detach().clone()
    with average.applied(net):
        torch.testing.assert_close(net.net[0].weight, expected)
    assert torch.equal(net.net[0].weight, own)


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_start_at_the_full_rate_and_never_rise(name):
    factors = [rate_factor(step, 100, schedule=name) for step in range(100)]
    assert factors[0] == 1.0 and all(a >= b >= 0 for a, b in pairwise(factors))


def test_unknown_names_list_the_options():
    with pytest.raises(UsageError, match="did you mean cosine"):
        rate_factor(0, 10, schedule="cosin")
    with pytest.raises(UsageError, match="adamw"):
        train_settings = Settings(epochs=1, optimiser="adamv")
        from saccade.training.optimisers import make_optimiser

        make_optimiser([{"params": [torch.nn.Parameter(torch.ones(1))]}], train_settings)
    with pytest.raises(UsageError, match="expected 1 to"):
        Settings(epochs=0)
    with pytest.raises(UsageError, match="did you mean warmup"):
        Settings.from_dict({"epochs": 1, "warmupp": 1})


def test_devices():
    assert pick_device("cpu").type == "cpu"
    with pytest.raises(UsageError, match="the options are"):
        pick_device("gpu")
    assert auto_precision(torch.device("cpu"), 1e3) == "fp32"


@pytest.mark.parametrize(("gain", "found"), [(0.0, "fp32"), (0.6, "fp32"), (1.7, "bf16"), (float("inf"), "bf16")])
def test_bfloat16_is_chosen_where_it_is_faster(monkeypatch, gain, found):
    monkeypatch.setattr(engine, "bf16_gain", lambda: gain)
    assert auto_precision(torch.device("cpu"), 1e9) == found


def test_the_gain_of_bfloat16_is_measured_where_the_instructions_alone_do_not_tell(monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    seconds = {torch.float32: iter([3.0, 2.0, *[9.0] * 6]), torch.bfloat16: iter([8.0] * 7 + [4.0])}
    monkeypatch.setattr(engine, "_seconds", lambda x, w: next(seconds[x.dtype]))
    for has, gain in ((True, 0.5), (False, 0.0)):
        monkeypatch.setattr(engine, "cpu_has_bf16", lambda has=has: has)
        assert engine.bf16_gain.__wrapped__() == gain
    monkeypatch.setattr(engine, "cpu_has_bf16", lambda: True)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    assert engine.bf16_gain.__wrapped__() == float("inf")


def rows(losses):
    return [{"train_loss": loss} for loss in losses]


@pytest.mark.parametrize(
    "losses, answers, code",
    [
        ([2.3, 2.3, 2.31, 2.3, 2.3], None, "RUN-FLAT"),
        ([2.0, 2.5, 4.0, 9.0], None, "RUN-RATE"),
        ([2.0, 1.5, 1.2, 1.0, 0.9], {3: 64}, "RUN-ONECLASS"),
        ([2.0, 1.5, 1.2, 1.0, 0.9], {3: 30, 1: 34}, None),
        ([2.0, 2.1, 1.2], None, None),
        ([2.0, 1.0, 0.5, 0.6, 0.4], {1: 9}, None),
    ],
)
def test_alerts_name_the_curve(losses, answers, code):
    assert [a.code for a in look_at(rows(losses), answers)] == ([code] if code else [])


def test_the_best_epoch_is_by_the_monitor_and_then_by_the_loss():
    p = Progress(epoch=1)
    assert p.improves("accuracy", 0.9, 0.5)
    assert not p.improves("accuracy", 0.9, 0.6) and p.worse_epochs == 1
    assert p.improves("accuracy", 0.9, 0.4) and p.worse_epochs == 0
    q = Progress()
    assert q.improves("val_loss", 1.0, 1.0) and q.improves("val_loss", 0.5, 0.5) and not q.improves("val_loss", 0.7, 0.7)
