"""Message passing on graphs against autograd."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.nn.message_passing import ACTIVATIONS, Activation, Graph, Node, softmax_error, squared_error

pytestmark = pytest.mark.oracle


def rand(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def by_autograd(graph: Graph, inputs, losses):
    """The same sums with every M, W and b a leaf or kept, so that torch tells every slope."""
    weights = {(c, p): w.clone().requires_grad_() for c, node in graph.nodes.items() for p, w in node.weights.items()}
    biases = {c: node.bias.clone().requires_grad_() for c, node in graph.nodes.items() if node.bias is not None}
    m = {name: x.clone().requires_grad_() for name, x in inputs.items()}
    for c in graph.order:
        total = sum((graph.nodes[p].activation.value(m[p]) if p in graph.nodes else m[p]) @ weights[c, p].T for p in graph.nodes[c].weights)
        m[c] = total + biases[c] if c in biases else total
        m[c].retain_grad()
    loss = sum(function(m[name])[0] for name, function in losses.items())
    loss.backward()
    return loss, m, weights, biases


def assert_equal(graph: Graph, inputs, losses) -> None:
    found = graph.run(inputs, losses)
    loss, m, weights, biases = by_autograd(graph, inputs, losses)
    slope = lambda t: torch.zeros_like(t) if t.grad is None else t.grad  # noqa: E731
    torch.testing.assert_close(found.loss, loss.detach(), rtol=1e-9, atol=1e-9)
    for expected, own in ((m, found.backward), (weights, found.weights), (biases, found.biases)):
        assert set(expected) == set(own)
        for key, value in expected.items():
            torch.testing.assert_close(own[key], slope(value), rtol=1e-6, atol=1e-9)


@st.composite
def graphs(draw):
    """Any graph of up to 8 nodes on 1 or 2 inputs, its nodes listed in any order."""
    torch.manual_seed(draw(st.integers(0, 999)))
    names = [f"x{i}" for i in range(draw(st.integers(1, 2)))]
    widths = {name: draw(st.integers(1, 3)) for name in names}
    inputs, nodes = {name: rand(4, widths[name]) for name in names}, {}
    for i in range(draw(st.integers(1, 8))):
        parents = draw(st.sets(st.sampled_from(names), min_size=1, max_size=3))
        name, widths[f"n{i}"] = f"n{i}", draw(st.integers(1, 3))
        bias = rand(widths[name]) if draw(st.booleans()) else None
        nodes[name] = Node({p: rand(widths[name], widths[p]) for p in sorted(parents)}, bias, ACTIVATIONS[draw(st.sampled_from(sorted(ACTIVATIONS)))])
        names.append(name)
    used = {p for node in nodes.values() for p in node.weights}
    graph = Graph({name: nodes[name] for name in draw(st.permutations(sorted(nodes)))})
    outputs = draw(st.sets(st.sampled_from(sorted(nodes)), min_size=1))
    return graph, {k: v for k, v in inputs.items() if k in used}, {name: squared_error(rand(4, widths[name])) for name in outputs}


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_messages_are_autograds_on_any_graph_with_several_outputs(case):
    assert_equal(*case)


def test_a_skip_connection_and_two_losses():
    torch.manual_seed(0)
    nodes = {
        "a": Node({"x": rand(5, 3)}, rand(5), ACTIVATIONS["tanh"]),
        "b": Node({"a": rand(4, 5), "x": rand(4, 3)}),
        "c": Node({"b": rand(2, 4), "a": rand(2, 5)}),
    }
    assert_equal(Graph(nodes), {"x": rand(6, 3)}, {"c": softmax_error(torch.tensor([0, 1, 1, 0, 0, 1])), "a": squared_error(rand(6, 5))})


def test_a_random_field_at_the_end_sends_marginals_less_the_truth():
    """A chain of three binary variables whose unary scores are a node; its loss is -log p(truth), by enumeration."""
    torch.manual_seed(1)
    pair, truth = rand(2, 2), (1, 0, 1)
    states = list(itertools.product((0, 1), repeat=3))

    def loss(m: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        scores = torch.stack([m[0, [0 + s[0], 2 + s[1], 4 + s[2]]].sum() + pair[s[0], s[1]] + pair[s[1], s[2]] for s in states])
        p = torch.softmax(scores, 0)
        slope = torch.zeros_like(m)
        for state, own in zip(states, p, strict=True):
            for place, value in enumerate(state):
                slope[0, 2 * place + value] = slope[0, 2 * place + value] + own.detach()
        for place, value in enumerate(truth):
            slope[0, 2 * place + value] -= 1
        return -torch.log(p[states.index(truth)]), slope.detach()

    assert_equal(Graph({"h": Node({"x": rand(4, 3)}), "scores": Node({"h": rand(6, 4)})}), {"x": rand(1, 3)}, {"scores": loss})


def test_a_stochastic_node_holds_its_draw():
    torch.manual_seed(2)
    mask = (torch.rand(6, 5) < 0.5).double() * 2  # dropout
    dropped = Activation(lambda m: mask * torch.relu(m), lambda m: mask * (m > 0))
    noise = rand(6, 5)
    noisy = Activation(lambda m: m + noise * torch.exp(m / 2), lambda m: 1 + noise * torch.exp(m / 2) / 2)  # reparameterised
    nodes = {"a": Node({"x": rand(5, 3)}, None, dropped), "b": Node({"x": rand(5, 3)}, None, noisy), "c": Node({"a": rand(2, 5), "b": rand(2, 5)})}
    assert_equal(Graph(nodes), {"x": rand(6, 3)}, {"c": squared_error(rand(6, 2))})


def test_gradients_vanish_through_sigmoids_and_not_through_rectifiers():
    torch.manual_seed(3)

    def first_over_last(activation: str, gain: float) -> float:
        names = ["x", *[f"h{i}" for i in range(12)]]
        nodes = {c: Node({p: rand(30, 30) * (gain / 30) ** 0.5}, None, ACTIVATIONS[activation]) for p, c in itertools.pairwise(names)}
        v = Graph(nodes).run({"x": rand(20, 30)}, {"h11": squared_error(rand(20, 30))}).backward
        return (v["h0"].norm() / v["h11"].norm()).item()

    assert first_over_last("sigmoid", 1.0) < 1e-5
    assert 0.05 < first_over_last("relu", 2.0) < 20


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Graph({"a": Node({"b": rand(1, 1)}), "b": Node({"a": rand(1, 1)})}), "cycle: a <- b <- a"),
        (lambda: Graph({"a": Node({"a": rand(1, 1)})}), "cycle: a <- a"),
        (lambda: Graph({"a": Node({})}), "a has none"),
        (lambda: Graph({"a": Node({"x": rand(1, 1)})}).run({"y": rand(1, 1)}, {}), r"the inputs are \['x'\], got \['y'\]"),
        (lambda: Graph({"a": Node({"x": rand(1, 1)})}).run({"x": rand(1, 1)}, {"b": squared_error(rand(1, 1))}), "losses are for some"),
    ],
)
def test_what_is_no_graph_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
