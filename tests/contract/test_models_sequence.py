"""Every model of the two tasks of sequences: shapes, losses in eval mode, gradients, padding, unknown labels, overfitting, the model file."""

import pytest
import torch

from saccade import bundle
from saccade.core import Batch, Estimated, Feeds, Geometry, Inputs, LabelSpace, Meta
from saccade.errors import UsageError
from saccade.models.table import MODELS, build
from saccade.nn.heads.chain import ChainTagger
from saccade.structured import chain as chains
from saccade.targets import Label, TagSequence
from tests.support import chains as slow

NUMBERS = Inputs(3, (64, 1), (0.1, 0.2, 0.3), (1.0, 2.0, 0.5))
PICTURES = Inputs(1, (160, 16), (0.4,), (0.3,))
SPACE = LabelSpace(("a", "b", "c"))
EVERY = [(task, name) for task in ("sequence", "sequence_label") for name in MODELS[task]]
LOOPED = [each for each in EVERY if each[1] != "hmm"]
ids = "-".join


def batch_of(task, inputs=NUMBERS, lengths=(7, 4, 1), seed=0):
    """Sequences whose class is told by the first channel; behind their lengths stands 9."""
    generator = torch.Generator().manual_seed(seed)
    side, longest = inputs.size[1], max(lengths)
    tags = torch.randint(3, (len(lengths), longest), generator=generator)
    if task == "sequence_label":
        tags = tags[:, :1].expand(-1, longest).contiguous()
    frames = 0.1 * torch.randn(len(lengths), inputs.channels, longest, generator=generator)
    frames[:, 0] += tags / 2
    column = frames.repeat_interleave(side, 2)[..., None].expand(-1, -1, -1, side).clone()
    for row, length in enumerate(lengths):
        column[row, :, length * side :] = 9.0
    truth = [TagSequence(t[:n]) if task == "sequence" else Label(int(t[0])) for t, n in zip(tags, lengths, strict=True)]
    sizes = torch.tensor([[n * side, side] for n in lengths])
    meta = [Meta(str(i), (n * side, side), Geometry.identity((n * side, side))) for i, n in enumerate(lengths)]
    return Batch(column, sizes, {"tags" if task == "sequence" else "label": truth}, meta)


class Once:
    """A feed of one batch."""

    def __init__(self, batch):
        self.batch, self.told = batch, []

    def __len__(self):
        return 1

    def epoch(self, epoch, start=0):
        yield self.batch

    def event(self, kind, **fields):
        self.told.append(kind)


def learnt(task, name, inputs=NUMBERS, steps=60):
    torch.manual_seed(0)
    model, batch = build(task, name, inputs, SPACE), batch_of(task, inputs, lengths=(7, 4, 6, 5, 7, 3))
    if isinstance(model, Estimated):
        feed = Once(batch)
        model.estimate(Feeds(feed), feed)
        assert feed.told == ["em"]
        return model.eval(), batch
    optimiser = torch.optim.Adam(model.parameters(), 0.02)
    for _ in range(steps):
        optimiser.zero_grad()
        sum(model(batch).values()).backward()
        optimiser.step()
    return model.eval(), batch


@pytest.mark.parametrize(("task", "name"), EVERY, ids=[ids(each) for each in EVERY])
def test_learns_a_batch_and_a_model_file_holds_it(task, name, tmp_path):
    model, batch = learnt(task, name)
    answers = model.predict(batch.inputs, batch.sizes, batch.meta)
    head = next(iter(batch.targets))
    right = [a.tags == t.tags if head == "tags" else torch.tensor([a.index == t.index]) for a, t in zip(answers[head], batch.targets[head], strict=True)]
    assert torch.cat(right).double().mean() >= 0.9
    for answer in answers[head]:
        p = answer.scores if head == "tags" else answer.probabilities[None]
        assert (p.sum(1) - 1).abs().max() < 1e-5
    card = bundle.Card(task=task, model=name, arguments={}, inputs=NUMBERS, spaces={head: SPACE}, preprocess={})
    bundle.write(tmp_path / "m.saccade", model, card)
    again = bundle.read(tmp_path / "m.saccade").model.eval().predict(batch.inputs, batch.sizes, batch.meta)
    for a, b in zip(answers[head], again[head], strict=True):
        torch.testing.assert_close(*(each.scores if head == "tags" else each.probabilities for each in (a, b)), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("task", "name"), EVERY, ids=[ids(each) for each in EVERY])
def test_the_loss_is_pure_padding_changes_nothing_and_rows_do_not_meet(task, name):
    torch.manual_seed(1)
    model, batch = build(task, name, NUMBERS, SPACE).eval(), batch_of(task)
    loss = model(batch)
    assert all(torch.isfinite(v) and v.ndim == 0 for v in loss.values()) and torch.equal(sum(loss.values()), sum(model(batch).values()))
    whole = model.predict(batch.inputs, batch.sizes, batch.meta)
    head = next(iter(whole))
    for i, n in enumerate((7, 4, 1)):
        alone = model.predict(batch.inputs[i : i + 1, :, :n], batch.sizes[i : i + 1], batch.meta[i : i + 1])[head][0]
        one, two = (a.scores if head == "tags" else a.probabilities for a in (alone, whole[head][i]))
        torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-6)
    few = Batch(batch.inputs, batch.sizes, {head: [None, batch.targets[head][1], None]}, batch.meta)
    only = Batch(batch.inputs[1:2, :, :4], batch.sizes[1:2], {head: [batch.targets[head][1]]}, batch.meta[1:2])
    torch.testing.assert_close(sum(model(few).values()), sum(model(only).values()), rtol=1e-5, atol=1e-6)
    nothing = Batch(batch.inputs, batch.sizes, {head: [TagSequence(torch.full((n,), -1)) if head == "tags" else Label(-1) for n in (7, 4, 1)]}, batch.meta)
    assert float(sum(model(nothing).values()).detach()) == 0


@pytest.mark.parametrize(("task", "name"), LOOPED, ids=[ids(each) for each in LOOPED])
def test_gradients_reach_every_parameter_and_frames_may_be_pictures(task, name):
    torch.manual_seed(2)
    for inputs in (NUMBERS, PICTURES):
        model, batch = build(task, name, inputs, SPACE), batch_of(task, inputs)
        terms = [model(batch, phase) for phase in {stage.phases[0].name for stage in model.stages()}]
        sum(sum(each.values()) for each in terms).backward()
        silent = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
        assert not [n for n in silent if "residual" not in n]  # residual branches begin as nothing: their last scale is 0
    answers = model.eval().predict(batch.inputs, batch.sizes, batch.meta)
    assert [len(a) for a in answers["tags"]] == [7, 4, 1] if task == "sequence" else len(answers["label"]) == 3


def test_an_hmm_refuses_pictures_and_options_have_ranges():
    with pytest.raises(UsageError, match="frames of numbers"):
        build("sequence", "hmm", PICTURES, SPACE)
    with pytest.raises(UsageError, match="states"):
        build("sequence", "ldcrf", NUMBERS, SPACE, {"states": 0})


@pytest.mark.parametrize("steps", ["shared", "position", "input"])
def test_steps_of_every_kind_are_those_of_the_chain(steps):
    torch.manual_seed(3)
    from saccade.core import Features, Level

    head = ChainTagger(Level(2, 1), 3, steps=steps, positions=5 if steps == "position" else 0).double()
    with torch.no_grad():
        for p in head.parameters():
            p.normal_()
    x, lengths = torch.randn(2, 2, 5).double(), torch.tensor([5, 3])
    out = head(Features([x, x], lengths[:, None]))
    truth = [TagSequence(torch.tensor([0, 2, 1, 1, 0])), TagSequence(torch.tensor([1, -1, 2]))]
    expected = []
    for row in range(2):
        states = slow.assignments(int(lengths[row]), 3)
        score = head.start[states[:, 0]] + head.end[states[:, -1]]
        for t in range(int(lengths[row])):
            score = score + head.output(x[row, :, t])[states[:, t]]
            if t:
                pair = head.pairwise[t - 1 if steps == "position" else 0]
                if steps == "input":
                    pair = pair + head.edges(torch.cat([x[row, :, t - 1], x[row, :, t]])).view(3, 3)
                score = score + pair[states[:, t - 1], states[:, t]]
        agree = ((states == truth[row].tags) | (truth[row].tags < 0)).all(1)
        expected.append(score.logsumexp(0) - score[agree].logsumexp(0))
    torch.testing.assert_close(head.loss(out, truth)["nll"], torch.stack(expected).sum() / 7, rtol=1e-10, atol=1e-10)
    assert chains.entropy(out.chain()).min() > 0
    best = ChainTagger(Level(2, 1), 3, steps=steps, positions=5 if steps == "position" else 0, decoding="best_path").double()
    best.load_state_dict(head.state_dict())
    score = chains.score(out.chain(), torch.stack([torch.nn.functional.pad(a.tags, (0, 5 - len(a))) for a in best.decode(out, [])]))
    assert (score >= chains.score(out.chain(), torch.zeros(2, 5, dtype=torch.int64))).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda level: ChainTagger(level._replace(stride=2), 3), "stride 1"),
        (lambda level: ChainTagger(level, 3, steps="all"), "steps must be"),
        (lambda level: ChainTagger(level, 3, steps="position"), "positions"),
        (lambda level: ChainTagger(level, 3, positions=4), "positions"),
    ],
)
def test_what_a_head_cannot_be_is_said(call, message):
    from saccade.core import Level

    with pytest.raises(ValueError, match=message):
        call(Level(2, 1))
