"""Recurrent layers against torch's own with the same weights; encoder, tagger and generator."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from saccade.core import Batch, Features, Geometry, Level, Meta, Model
from saccade.nn.heads.classify import Classify
from saccade.nn.heads.tag import Tagger, TagOut
from saccade.nn.recurrent import Recurrent, RecurrentEncoder
from saccade.nn.sequence_model import SequenceModel
from saccade.targets import TagSequence

pytestmark = pytest.mark.oracle
THEIRS = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
NAMES = {"weight_input": "weight_ih", "weight_hidden": "weight_hh", "bias_input": "bias_ih", "bias_hidden": "bias_hh"}
LENGTHS = torch.tensor([7, 3, 5, 1])
kinds = pytest.mark.parametrize("kind", THEIRS)


def pair(kind: str, layers: int, bidirectional: bool) -> tuple[Recurrent, nn.Module]:
    torch.manual_seed(0)
    peer = THEIRS[kind](3, 4, layers, batch_first=True, bidirectional=bidirectional).double()
    ours = Recurrent(kind, 3, 4, layers=layers, bidirectional=bidirectional).double()
    state = {}
    for layer, way, name in ((a, b, c) for a in range(layers) for b in range(1 + bidirectional) for c in NAMES):
        state[f"layers.{layer}.{way}.{name}"] = getattr(peer, f"{NAMES[name]}_l{layer}{'_reverse' * way}").detach()
    ours.load_state_dict(state)
    return ours, peer


@kinds
@pytest.mark.parametrize(("layers", "bidirectional"), [(1, False), (2, False), (1, True), (2, True)])
def test_outputs_states_and_gradients_are_torchs(kind, layers, bidirectional):
    ours, peer = pair(kind, layers, bidirectional)
    x = torch.randn(4, 7, 3, dtype=torch.float64, requires_grad=True)
    packed, last = peer(pack_padded_sequence(x, LENGTHS, batch_first=True, enforce_sorted=False))
    wanted, _ = pad_packed_sequence(packed, batch_first=True)
    found, states = ours(x, LENGTHS)
    torch.testing.assert_close(found, wanted)
    for place, theirs in enumerate(last if kind == "lstm" else (last,)):
        torch.testing.assert_close(torch.stack([state[place] for state in states]), theirs)
    weights = torch.randn_like(found)
    gradients = [torch.autograd.grad((y * weights).sum(), x)[0] for y in (found, wanted)]
    torch.testing.assert_close(*gradients)


@kinds
def test_step_by_step_is_all_at_once(kind):
    ours, _ = pair(kind, 2, False)
    x, states, found = torch.randn(4, 7, 3, dtype=torch.float64), None, []
    for t in range(7):
        y, states = ours.step(x[:, t], states)
        found.append(y)
    torch.testing.assert_close(torch.stack(found, 1), ours(x, torch.full((4,), 7))[0])


@kinds
@pytest.mark.parametrize("bidirectional", [False, True])
def test_what_lies_behind_the_end_changes_nothing(kind, bidirectional):
    torch.manual_seed(0)
    encoder = RecurrentEncoder(3, 4, kind=kind, layers=2, bidirectional=bidirectional).double()
    model = Model(encoder, {"label": Classify(encoder.levels[-1], 2), "tags": Tagger(encoder.levels[-1], 3)}).double()
    x = torch.randn(4, 3, 9, dtype=torch.float64)
    outs, last = model.outputs(x, LENGTHS[:, None]), encoder.last(x, LENGTHS[:, None])
    for row, length in enumerate(LENGTHS.tolist()):
        cut, size = x[row : row + 1, :, :length], torch.tensor([[length]])
        alone = model.outputs(cut, size)
        torch.testing.assert_close(alone["label"].logits[0], outs["label"].logits[row])
        torch.testing.assert_close(alone["tags"].logits[0], outs["tags"].logits[row, :length])
        torch.testing.assert_close(encoder.last(cut, size)[0], last[row])
    hidden = encoder(x, LENGTHS[:, None]).maps[1]
    assert hidden[1, :, 3:].abs().sum() == 0 and last.shape == (4, 8 if bidirectional else 4)
    torch.testing.assert_close(last[:, :4], hidden[torch.arange(4), :4, LENGTHS - 1])
    if bidirectional:
        torch.testing.assert_close(last[:, 4:], hidden[:, 4:, 0])


def test_the_memory_of_an_lstm_is_the_lag_it_was_told():
    torch.manual_seed(0)
    layer = Recurrent("lstm", 2, 200, memory=101).layers[0][0]
    bias = (layer.bias_input + layer.bias_hidden).detach()
    forget, let_in = torch.sigmoid(bias[200:400]), torch.sigmoid(bias[:200])
    torch.testing.assert_close(forget + let_in, torch.ones(200))
    steps = 1 / (1 - forget)  # u + 1
    assert 2 <= steps.min() and steps.max() <= 101 and 45 < steps.mean() < 60


def batch(lengths: list[int], tags: list[TagSequence | None]) -> Batch:
    torch.manual_seed(1)
    meta = [Meta(str(i), (1, 1), Geometry.identity((1, 1))) for i in range(len(lengths))]
    return Batch(torch.randn(len(lengths), 3, max(lengths)), torch.tensor(lengths)[:, None], {"tags": tags}, meta)


def test_a_tagger_learns_what_only_the_later_steps_tell():
    """The tag is the sign of the next step's first channel, which a net that reads forwards alone cannot know."""
    lengths = [9, 6, 8, 4] * 8
    given = batch(lengths, [])
    given.targets = {"tags": [TagSequence(torch.cat([(x[0, 1:n] > 0).long(), torch.tensor([-1])])) for x, n in zip(given.inputs, lengths, strict=True)]}
    right = {}
    for bidirectional in (False, True):
        torch.manual_seed(0)
        encoder = RecurrentEncoder(3, 12, bidirectional=bidirectional)
        model = Model(encoder, {"tags": Tagger(encoder.levels[-1], 2)})
        optimiser = torch.optim.Adam(model.parameters(), 0.03)
        for _ in range(60):
            loss = sum(model(given).values())
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        fresh = batch(lengths, [])
        fresh.inputs = torch.randn(32, 3, 9, generator=torch.Generator().manual_seed(5))
        answers = model.predict(fresh.inputs, fresh.sizes, fresh.meta)["tags"]
        pairs = [(a.tags[:-1], x[0, 1 : len(a)] > 0) for a, x in zip(answers, fresh.inputs, strict=True)]
        right[bidirectional] = torch.cat([found == wanted for found, wanted in pairs]).double().mean().item()
    assert right[True] > 0.85 > right[False] + 0.1, right


def test_the_ideal_tags_decode_and_ignored_steps_do_not_count():
    head = Tagger(Level(4, 1), 3)
    truth = [TagSequence(torch.tensor([0, 2, -1])), TagSequence(torch.tensor([1]))]
    logits = torch.randn(2, 3, 3, requires_grad=True)
    loss = head.loss(TagOut(logits, torch.tensor([3, 1])), truth)["cross_entropy"]
    logs = torch.log_softmax(logits, 2)
    torch.testing.assert_close(loss, -(logs[0, 0, 0] + logs[0, 1, 2] + logs[1, 0, 1]) / 3)
    ideal = TagOut(60 * torch.eye(3)[torch.tensor([[0, 2, 1], [1, 0, 0]])], torch.tensor([3, 1]))
    assert [a.tags.tolist() for a in head.decode(ideal, [])] == [[0, 2, 1], [1]]
    none = head.loss(TagOut(logits, torch.tensor([3, 1])), [TagSequence(torch.tensor([-1] * 3)), TagSequence(torch.tensor([-1]))])["cross_entropy"]
    (gradient,) = torch.autograd.grad(none, logits)
    assert none == 0 == gradient.abs().sum()


def test_a_generator_learns_its_sequence_and_never_looks_ahead():
    torch.manual_seed(0)
    model, text = SequenceModel(5, 24, kind="gru", embedding=8), torch.tensor([[0, 1, 0, 2, 0, 3, 4, 4, 1, 0]])
    optimiser = torch.optim.Adam(model.parameters(), 0.02)
    for _ in range(120):
        loss = model.loss(text, torch.tensor([10]))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss < 0.05 and torch.equal(model.sample(2, 10, temperature=0), text.expand(2, -1))
    one, two = (model.sample(3, 6, generator=torch.Generator().manual_seed(7), temperature=3.0) for _ in range(2))
    assert torch.equal(one, two) and one.unique().numel() > 2 and model.training and model.sample(2, 0).shape == (2, 0)
    changed = text.clone()
    changed[0, 6:] = 2
    a, b = (model(t, torch.tensor([10])) for t in (text, changed))
    assert torch.equal(a[:, :7], b[:, :7]) and not torch.equal(a[:, 7:], b[:, 7:])


def test_the_loss_of_a_generator_is_the_mean_over_valid_symbols():
    torch.manual_seed(0)
    model, text = SequenceModel(4, 6), torch.tensor([[0, 1, 2], [3, 3, 3]])
    logs = torch.log_softmax(model(text, torch.tensor([3, 1])), 2)
    wanted = -(logs[0, 0, 0] + logs[0, 1, 1] + logs[0, 2, 2] + logs[1, 0, 3]) / 4
    torch.testing.assert_close(model.loss(text, torch.tensor([3, 1])), wanted)
    rubbish = copy.deepcopy(text)
    rubbish[1, 1:] = 0
    torch.testing.assert_close(model.loss(rubbish, torch.tensor([3, 1])), wanted)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Recurrent("elman", 2, 2), "kind must be one of rnn, lstm, gru, got 'elman'"),
        (lambda: Recurrent("gru", 2, 2, layers=0), "layers must be at least 1"),
        (lambda: Recurrent("gru", 2, 2, memory=9), "memory is of an lstm"),
        (lambda: Recurrent("lstm", 2, 2, bidirectional=True).step(torch.zeros(1, 2), None), "cannot go step by step"),
        (lambda: Tagger(Level(2, 2), 3), "map of stride 1"),
        (lambda: Tagger(Level(2, 1), 3).loss(TagOut(torch.zeros(1, 2, 3), torch.tensor([2])), [TagSequence(torch.tensor([0]))]), "2 steps has 1 tags"),
        (lambda: Tagger(Level(2, 1), 3).loss(TagOut(torch.zeros(1, 1, 3), torch.tensor([1])), [TagSequence(torch.tensor([3]))]), r"tags must be 0\.\.2"),
        (lambda: SequenceModel(0, 2), "at least one symbol"),
        (lambda: SequenceModel(2, 2).sample(1, 1, temperature=-1), "temperature must be 0 or more"),
        (lambda: SequenceModel(2, 2).loss(torch.zeros(1, 0, dtype=torch.long), torch.tensor([0])), "no loss"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_an_empty_batch_of_features_gives_no_tags():
    head = Tagger(Level(2, 1), 3)
    assert head.decode(head(Features([torch.zeros(0, 2, 4)], torch.zeros(0, 1, dtype=torch.long))), []) == []
