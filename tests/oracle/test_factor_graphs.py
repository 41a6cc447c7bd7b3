"""Factor graphs against the enumeration of every joint state: junction tree, belief propagation, mean field, Gibbs sampling."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.structured.belief_propagation import belief_propagation
from saccade.structured.diagnostics import effective_sample_size, split_r_hat
from saccade.structured.factor_graph import Factor, FactorGraph, enumerate_states, joint, log_sum
from saccade.structured.gibbs import gibbs
from saccade.structured.junction_tree import JunctionTree
from saccade.structured.mean_field import mean_field
from saccade.structured.packed import colour

pytestmark = pytest.mark.oracle
NEVER = float("-inf")


def table(chance, *shape, forbid=0.0):
    """Scores in float64 that ask for a gradient; a share of them -inf, never the first."""
    scores = torch.randn(*shape, dtype=torch.float64, generator=chance)
    if forbid:
        barred = torch.rand(shape, generator=chance) < forbid
        barred[..., *[0] * min(len(shape), 3)] = False
        scores = scores.masked_fill(barred, NEVER)
    return scores.requires_grad_()


def any_graph(seed, *, forbid=0.0, batch=()):
    """At most 7 variables of at most 4 states, at most 8 factors over at most 3 of them, cycles or not."""
    chance = torch.Generator().manual_seed(seed)

    def one(low, high):
        return int(torch.randint(low, high + 1, (1,), generator=chance))

    states = tuple(one(1, 4) for _ in range(one(1, 7)))
    factors = []
    for _ in range(one(1, 8)):
        variables = tuple(torch.randperm(len(states), generator=chance)[: one(1, min(3, len(states)))].tolist())
        factors.append(Factor(variables, table(chance, *batch, *(states[v] for v in variables), forbid=forbid)))
    return FactorGraph(states, factors)


def any_tree(seed, batch=()):
    """The same without cycles: every further factor hangs on one variable that is there."""
    chance = torch.Generator().manual_seed(seed)

    def one(low, high):
        return int(torch.randint(low, high + 1, (1,), generator=chance))

    states = tuple(one(1, 4) for _ in range(one(2, 7)))
    factors, there = [Factor((0,), table(chance, *batch, states[0]))], [0]
    while len(there) < len(states):
        new = list(range(len(there), min(len(states), len(there) + one(1, 2))))
        variables = tuple([there[one(0, len(there) - 1)], *new][:: one(0, 1) * 2 - 1])
        factors.append(Factor(variables, table(chance, *batch, *(states[v] for v in variables))))
        there += new
    return FactorGraph(states, factors)


def close(found, wanted, tolerance=1e-10):
    assert all(torch.allclose(a, b, atol=tolerance, rtol=0) for a, b in zip(found, wanted, strict=True))


def slopes(value, graph):
    return torch.autograd.grad(value, [scores for _, scores in graph.factors], retain_graph=True, materialize_grads=True)


def squares(marginals):
    """Something of the marginals with a slope of its own."""
    return sum((p**2 * torch.arange(1, p.shape[-1] + 1)).sum() for p in marginals)


def test_the_enumeration_is_the_definition():
    graph = any_graph(3)
    x = torch.cartesian_prod(*[torch.arange(s) for s in graph.states]).reshape(-1, len(graph.states))
    scores = torch.zeros(len(x), dtype=torch.float64)
    for variables, values in graph.factors:
        scores += torch.stack([values[tuple(row[list(variables)].tolist())] for row in x])
    found, p = enumerate_states(graph), torch.softmax(scores, 0)
    assert torch.allclose(found.log_z, scores.logsumexp(0)) and torch.allclose(graph.score(x), scores)
    assert found.best.tolist() == x[scores.argmax()].tolist() and torch.allclose(found.best_score, scores.max())
    for v, marginal in enumerate(found.marginals):
        assert torch.allclose(marginal, torch.stack([p[x[:, v] == k].sum() for k in range(graph.states[v])]))
    assert torch.allclose(joint(graph).flatten(), scores)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.booleans(), st.booleans())
def test_the_junction_tree_is_exact(seed, forbid, batched):
    graph = any_graph(seed, forbid=0.15 if forbid else 0.0, batch=(2,) if batched else ())
    try:
        truth = enumerate_states(graph)
    except ValueError:
        with pytest.raises(ValueError, match="no joint state is possible"):
            JunctionTree.build(graph).infer()
        return
    tree = JunctionTree.build(graph)
    found = tree.infer()
    close(
        [found.log_z, *found.marginals, *found.factor_marginals, found.best_score], [truth.log_z, *truth.marginals, *truth.factor_marginals, truth.best_score]
    )
    assert torch.equal(found.best, truth.best) or forbid or batched
    close(slopes(tree.log_z().sum(), graph), truth.factor_marginals)
    close(slopes(squares(found.marginals), graph), slopes(squares(truth.marginals), graph))


def test_every_order_of_elimination_gives_the_same():
    graph = any_graph(12)
    truth = enumerate_states(graph)
    for seed in range(5):
        order = torch.randperm(len(graph.states), generator=torch.Generator().manual_seed(seed)).tolist()
        close([JunctionTree.build(graph, order).log_z()], [truth.log_z])
    with pytest.raises(ValueError, match="every variable"):
        JunctionTree.build(graph, [0])


def test_a_long_loop_has_treewidth_two_and_a_full_graph_is_refused():
    chance = torch.Generator().manual_seed(0)
    ring = FactorGraph((3,) * 200, [Factor((i, (i + 1) % 200), table(chance, 3, 3)) for i in range(200)])
    tree = JunctionTree.build(ring)
    powers = torch.linalg.multi_dot([f.scores.exp() for f in ring.factors])
    assert tree.width == 2 and torch.allclose(tree.log_z(), powers.trace().log())
    everyone = FactorGraph((4,) * 14, [Factor((i, j), torch.zeros(4, 4)) for i in range(14) for j in range(i)])
    with pytest.raises(ValueError, match="too many for exact inference"):
        JunctionTree.build(everyone)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["parallel", "sequential", "residual"]), st.sampled_from([0.0, 0.2]))
def test_belief_propagation_is_exact_on_trees(seed, schedule, damping):
    graph = any_tree(seed, (2,))
    truth = enumerate_states(graph)
    found = belief_propagation(graph, schedule=schedule, damping=damping)
    assert found.settled and found.residual <= 1e-12
    close([found.log_z, *found.marginals, *found.factor_marginals], [truth.log_z, *truth.marginals, *truth.factor_marginals])
    close(slopes(found.log_z.sum(), graph), truth.factor_marginals, 1e-9)
    assert torch.equal(belief_propagation(graph, maximise=True, schedule=schedule, damping=damping).best, truth.best)


def test_gradients_of_marginals_pass_through_the_rounds():
    graph = any_tree(5)
    close(slopes(squares(belief_propagation(graph).marginals), graph), slopes(squares(enumerate_states(graph).marginals), graph))


def loop(scale=0.5, batch=(2,)):
    chance = torch.Generator().manual_seed(1)
    states = (2, 3, 4, 2, 3)
    scopes = [(0, 1), (1, 2), (2, 3), (3, 0), (4, 2, 1), (4,), (0,)]
    return FactorGraph(states, [Factor(v, table(chance, *batch, *(states[i] for i in v)).detach() * scale) for v in scopes])


@pytest.mark.parametrize("schedule", ["parallel", "sequential", "residual"])
def test_loopy_beliefs_are_near_whatever_the_schedule(schedule):
    graph = loop()
    truth, found = enumerate_states(graph), belief_propagation(graph, schedule=schedule, damping=0.1, tolerance=1e-10)
    assert found.settled
    close(found.marginals, truth.marginals, 0.03)
    close([found.log_z], [truth.log_z], 0.05)
    close(found.marginals, belief_propagation(graph, tolerance=1e-12).marginals, 1e-8)  # all schedules end in the same point


def test_hard_constraints_and_damping_are_exact_on_trees():
    ban = torch.tensor([[0.0, NEVER, NEVER], [NEVER, 0.3, NEVER], [NEVER, 0.1, 0.7]], dtype=torch.float64)
    own = torch.tensor([0.2, NEVER, 1.0], dtype=torch.float64)
    graph = FactorGraph((3, 3, 3), [Factor((0, 1), ban), Factor((1, 2), ban), Factor((0,), own), Factor((2,), own)])
    truth = enumerate_states(graph)
    for damping in (0.0, 0.3):
        found = belief_propagation(graph, damping=damping)
        close([found.log_z, *found.marginals], [truth.log_z, *truth.marginals])
    with pytest.raises(ValueError, match="no joint state"):
        belief_propagation(FactorGraph((2,), [Factor((0,), torch.tensor([0.0, NEVER])), Factor((0,), torch.tensor([NEVER, 0.0]))]))


def test_too_few_rounds_are_told():
    found = belief_propagation(any_tree(8), rounds=1)
    assert found.rounds == 1 and not found.settled and found.residual > 1e-12


def test_the_mean_field_bound_rises_and_stays_below():
    graph = loop()
    truth, found = enumerate_states(graph), mean_field(graph)
    assert found.settled and (found.bounds.diff(dim=0) >= -1e-12).all() and (found.bound <= truth.log_z).all()
    close(found.marginals, truth.marginals, 0.1)
    alone = FactorGraph((2, 3), [Factor((0,), graph.factors[6].scores), Factor((1,), torch.tensor([[0.0, 1.0, NEVER]] * 2).double())])
    close([mean_field(alone).bound, *mean_field(alone).marginals], [enumerate_states(alone).log_z, *enumerate_states(alone).marginals])
    start = [torch.tensor([[1.0, 0.0]] * 2).double(), *[torch.full((2, s), 1 / s).double() for s in graph.states[1:]]]
    close(mean_field(graph, start=start).marginals, found.marginals, 0.2)


def chi_square(counts, p, scale=1.0):
    """Whether counts of drawn joint states can come from p, at the 0.1 % level; cells with less than 5 expected are one."""
    from scipy.stats import chi2

    expected = p * counts.sum()
    rare = expected < 5
    c = torch.cat([counts[~rare], counts[rare].sum()[None]])
    e = torch.cat([expected[~rare], expected[rare].sum()[None]]).clamp_min(1e-9)
    return float(((c - e) ** 2 / e).sum() * scale) < chi2.ppf(0.999, len(c) - 1)


def counted(graph, x):
    places = torch.zeros(len(x), dtype=torch.int64)
    for v, size in enumerate(graph.states):
        places = places * size + x[:, v]
    return torch.bincount(places, minlength=int(torch.tensor(graph.states).prod())).double()


def test_exact_samples_pass_a_chi_square_test():
    graph = loop(1.0, ())
    p = torch.softmax(joint(graph).flatten(), 0)
    x = JunctionTree.build(graph).sample(4000, torch.Generator().manual_seed(0))
    assert chi_square(counted(graph, x), p)
    assert not chi_square(counted(graph, x), p.flip(0))


def test_gibbs_samples_pass_a_chi_square_test_and_know_how_good_they_are():
    graph = loop(1.0, ())
    truth = enumerate_states(graph)
    found = gibbs(graph, draws=500, burn=50, thin=3, chains=8, seed=1)
    x = found.states.reshape(-1, 5)
    share = min(1.0, found.worst[1] / len(x))  # draws that hang together count for fewer
    assert chi_square(counted(graph, x), torch.softmax(joint(graph).flatten(), 0), share)
    assert found.worst[0] < 1.02 and found.worst[1] > 500
    for p, q, size in zip(found.marginals, truth.marginals, found.effective, strict=True):
        assert ((p - q).abs() < 4.5 * (q * (1 - q) / size).sqrt()).all()
    again = gibbs(graph, draws=4, burn=0, chains=2, seed=3)
    assert torch.equal(again.states, gibbs(graph, draws=4, burn=0, chains=2, seed=3).states)


def test_chains_that_cannot_meet_are_found_out():
    same = torch.tensor([[0.0, NEVER], [NEVER, 0.0]], dtype=torch.float64)
    graph = FactorGraph((2, 2), [Factor((0, 1), same)])
    start = torch.tensor([[0, 0], [1, 1], [0, 0], [1, 1]])
    assert gibbs(graph, draws=20, chains=4, start=start).worst[0] == float("inf")
    bad = FactorGraph((2, 2), [Factor((0, 1), torch.tensor([[NEVER, NEVER], [NEVER, 0.0]]))])
    with pytest.raises(ValueError, match="give a start"):
        gibbs(bad, draws=4, burn=0, chains=1, start=torch.tensor([[0, 0]]))


def test_diagnostics_of_a_process_with_known_ones():
    chance = torch.Generator().manual_seed(0)
    noise = torch.randn(4, 8000, dtype=torch.float64, generator=chance)
    x = torch.empty_like(noise)
    x[:, 0] = noise[:, 0] / (1 - 0.8**2) ** 0.5
    for i in range(1, 8000):
        x[:, i] = 0.8 * x[:, i - 1] + noise[:, i]
    true = 32000 * (1 - 0.8) / (1 + 0.8)  # of an autoregression with factor 0.8
    assert abs(float(effective_sample_size(x)) / true - 1) < 0.15 and float(split_r_hat(x)) < 1.01
    assert abs(float(effective_sample_size(noise)) / 32000 - 1) < 0.1
    assert float(split_r_hat(x + torch.arange(4)[:, None] * 3)) > 1.2
    with pytest.raises(ValueError, match="at least 4"):
        split_r_hat(noise[:, :3])


def test_neighbours_never_share_a_colour_and_grids_need_two():
    near = [{p for p in (i - 1 if i % 5 else -1, i + 1 if i % 5 < 4 else -1, i - 5, i + 5) if 0 <= p < 25} for i in range(25)]
    blocks = colour(near)
    assert len(blocks) == 2 and sorted(v for b in blocks for v in b) == list(range(25))
    assert not any(near[v] & set(block) for block in blocks for v in block)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_types_stay(dtype):
    graph = FactorGraph((2, 2), [Factor((0, 1), torch.randn(2, 2, dtype=dtype)), Factor((0,), torch.randn(2, dtype=dtype))])
    answers = [JunctionTree.build(graph).infer(), belief_propagation(graph), mean_field(graph), gibbs(graph, draws=4, burn=0, chains=1)]
    assert all(answer.marginals[0].dtype == dtype for answer in answers)


@pytest.mark.parametrize(
    ("states", "variables", "scores", "words"),
    [
        ((2,), (1,), torch.zeros(2), "different variables of 0..0"),
        ((2, 2), (0, 0), torch.zeros(2, 2), "different variables"),
        ((2, 3), (0, 1), torch.zeros(3, 2), r"expected floats"),
        ((2,), (0,), torch.tensor([0.0, float("nan")]), "NaN"),
        ((2,), (0,), torch.tensor([0, 1]), "floats"),
        ((), (0,), torch.zeros(2), "at least one variable"),
    ],
)
def test_what_is_no_graph_is_refused(states, variables, scores, words):
    with pytest.raises(ValueError, match=words):
        FactorGraph(states, [Factor(variables, scores)])


def test_values_out_of_range_are_refused():
    graph = any_tree(1)
    for wrong in (dict(damping=1.0), dict(rounds=0), dict(schedule="random")):
        with pytest.raises(ValueError, match="damping 0 to below 1"):
            belief_propagation(graph, **wrong)
    with pytest.raises(ValueError, match="at least 4 draws"):
        gibbs(graph, draws=1)
    with pytest.raises(ValueError, match="one batch shape"):
        FactorGraph((2,), [Factor((0,), torch.zeros(2)), Factor((0,), torch.zeros(3, 2))])
    with pytest.raises(ValueError, match="too many to list"):
        joint(FactorGraph((4,) * 12, [Factor((0,), torch.zeros(4))]))
    assert log_sum(torch.full((2, 2), NEVER, requires_grad=True), [1]).tolist() == [NEVER, NEVER]
