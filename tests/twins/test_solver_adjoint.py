"""The hand-written adjoint of paired equations against autograd through the loop."""

from itertools import pairwise

import pytest
import torch

from twins.errors import SolverRefused
from twins.solver import PairedSDE, paired_kernel, paired_nets, solve

F64 = torch.float64
BATCH, N_STEPS = (3, 2), 11

CASES = {
    "one_node": {},
    "relu": {"activation": "relu"},
    "no_hidden_layer": {"hidden": ()},
    "driven_with_delays": {"n_delays": 2, "n_inputs": 2, "linear": True},
    "delays_without_drive": {"n_delays": 1},
    "substeps": {"n_inputs": 1, "substeps": 3},
    "nodes": {"nodes": 3, "n_inputs": 1, "linear": True},
    "coupled_nodes": {"nodes": 3, "n_inputs": 2, "coupled": True, "driven": False},
    "coupled_driven_nodes_with_delays": {
        "nodes": 2,
        "n_inputs": 1,
        "n_delays": 1,
        "coupled": True,
        "hidden": (6, 5, 4),
    },
}


def randn(*shape, seed=0, scale=1.0):
    return scale * torch.randn(shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


def problem(
    *, nodes=1, n_state=2, n_inputs=0, n_delays=0, hidden=(6, 5), activation="tanh", linear=False, coupled=False,
    driven=True, substeps=1,
):  # fmt: skip
    """(tensors that want gradients, function of them -> path for a backend)."""
    widths = [(n_delays + 1) * n_state + n_inputs, *hidden, n_state]
    n_layers = len(widths) - 1
    tensors = {
        "x0": randn(*BATCH, *((n_delays + 1,) if n_delays else ()), nodes * n_state, seed=1),
        "drift_scale": 1.0 + randn(nodes, 1, n_state, seed=2, scale=0.1),
    }
    for k in range(n_layers):
        tensors[f"weight_{k}"] = randn(2, nodes, widths[k], widths[k + 1], seed=10 + k, scale=0.5)
        tensors[f"bias_{k}"] = randn(2, nodes, 1, widths[k + 1], seed=20 + k, scale=0.5)
    if n_inputs and driven:
        tensors["u"] = randn(N_STEPS, *BATCH, nodes * n_inputs, seed=3)
    if linear:
        tensors["linear_weight"] = randn(nodes, widths[0], n_state, seed=4, scale=0.3)
        tensors["linear_bias"] = randn(nodes, 1, n_state, seed=5, scale=0.3)
    if coupled:
        tensors["coupling"] = randn(nodes * n_state, nodes * n_inputs, seed=6, scale=0.3)
    noise = randn(N_STEPS * substeps, *BATCH, nodes * n_state, seed=7)

    def path(tensors, backend):
        sde = PairedSDE(
            weights=tuple(tensors[f"weight_{k}"] for k in range(n_layers)),
            biases=tuple(tensors[f"bias_{k}"] for k in range(n_layers)),
            activation=activation,
            n_delays=n_delays,
            linear_weight=tensors.get("linear_weight"),
            linear_bias=tensors.get("linear_bias"),
            drift_scale=tensors["drift_scale"],
            diffusion_scale=randn(nodes, 1, n_state, seed=8).abs(),
            diffusion_floor=0.1,
            coupling=tensors.get("coupling"),
        )
        arguments = {"dt": 0.2, "n_steps": N_STEPS, "substeps": substeps, "noise": noise, "backend": backend}
        return solve(sde, tensors["x0"], tensors.get("u"), **arguments)

    return tensors, path


@pytest.mark.parametrize(("held", "kept"), [(1, 10**6), (600, 10**6), (600, 0)])
@pytest.mark.parametrize("name", CASES)
def test_the_adjoint_gives_the_path_and_the_gradients_of_the_loop(name, held, kept, monkeypatch):
    # a step at a time, or some; activations kept or computed again
    monkeypatch.setattr(paired_kernel, "_ACTIVATIONS_HELD", held)
    monkeypatch.setattr(paired_kernel, "_ACTIVATIONS_KEPT", kept)
    tensors, path = problem(**CASES[name])
    results = []
    for backend in ("loop", "adjoint"):
        leaves = {key: value.clone().requires_grad_() for key, value in tensors.items()}
        states = path(leaves, backend)
        loss = (states * randn(*states.shape, seed=9)).sum() + states[3:].square().sum()
        results.append((states.detach(), torch.autograd.grad(loss, list(leaves.values()))))
    torch.testing.assert_close(results[0][0], results[1][0], rtol=1e-10, atol=1e-12)
    for key, by_loop, by_hand in zip(tensors, results[0][1], results[1][1], strict=True):
        torch.testing.assert_close(by_loop, by_hand, rtol=1e-8, atol=1e-10, msg=key)


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("kept", [0, 10**9])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_wide_layers_in_float32_agree_with_the_loop_whatever_makes_their_products(activation, kept, fused, monkeypatch):
    monkeypatch.setattr(paired_kernel, "_ACTIVATIONS_KEPT", kept)
    if not fused:
        monkeypatch.setattr(paired_nets, "_FUSED", None)
    widths = (3, 96, 100, 3)
    shapes = [(2, 1, a, b) for a, b in pairwise(widths)]
    weights = [randn(*shape, seed=k).float() / shape[2] ** 0.5 for k, shape in enumerate(shapes)]
    biases = [randn(2, 1, 1, shape[3], seed=k).float() for k, shape in enumerate(shapes)]
    x0, noise = randn(70, 3, seed=8).float(), randn(9, 70, 3, seed=9).float()
    results = []
    for backend in ("loop", "adjoint"):
        leaves = [part.clone().requires_grad_() for part in (*weights, *biases)]
        sde = PairedSDE(weights=tuple(leaves[:3]), biases=tuple(leaves[3:]), activation=activation)
        path = solve(sde, x0, dt=0.1, n_steps=9, noise=noise, backend=backend)
        results.append((path.detach(), *torch.autograd.grad(path.square().sum(), leaves)))
    for by_loop, by_hand in zip(*results, strict=True):
        torch.testing.assert_close(by_loop, by_hand, rtol=2e-4, atol=2e-4 * float(by_loop.abs().max()))


def test_a_weight_changed_before_the_gradient_is_noticed_and_a_second_gradient_is_the_first():
    tensors, path = problem(activation="relu")
    leaves = {key: value.clone().requires_grad_() for key, value in tensors.items()}
    loss = path(leaves, "adjoint").square().sum()
    first, second = (torch.autograd.grad(loss, leaves["weight_0"], retain_graph=True)[0] for _ in range(2))
    torch.testing.assert_close(first, second, rtol=1e-12, atol=1e-14)
    with torch.no_grad():
        leaves["weight_0"].add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_gradients_are_those_of_directional_differences():
    tensors, path = problem(**CASES["coupled_driven_nodes_with_delays"])
    leaves = {key: value.clone().requires_grad_() for key, value in tensors.items()}
    gradients = torch.autograd.grad(path(leaves, "adjoint").square().sum(), list(leaves.values()))
    for key, gradient in zip(tensors, gradients, strict=True):
        direction = randn(*gradient.shape, seed=11)
        ends = [
            float(path(tensors | {key: tensors[key] + sign * 1e-6 * direction}, "adjoint").square().sum())
            for sign in (1, -1)
        ]
        assert float((gradient * direction).sum()) == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-5, abs=1e-7)


def test_frozen_weights_get_no_gradient_and_change_none():
    tensors, path = problem(**CASES["coupled_nodes"])
    alone = tensors["coupling"].clone().requires_grad_()
    states = path(tensors | {"coupling": alone}, "adjoint")
    (gradient,) = torch.autograd.grad(states.square().sum(), [alone])
    both = {key: value.clone().requires_grad_() for key, value in tensors.items()}
    expected = torch.autograd.grad(path(both, "loop").square().sum(), [both["coupling"]])[0]
    torch.testing.assert_close(gradient, expected, rtol=1e-8, atol=1e-10)


def test_auto_takes_the_adjoint_where_it_applies_and_the_loop_where_not():
    tensors, path = problem()
    assert torch.equal(path(tensors, "auto"), path(tensors, "adjoint"))
    sde = PairedSDE(weights=(randn(2, 1, 2, 2),), biases=(randn(2, 1, 1, 2),))
    arguments = {"dt": 0.1, "n_steps": 4, "noise": randn(4, 5, 2)}
    assert solve(sde, randn(5, 2), method="rk4", **arguments).shape == (5, 5, 2)
    with pytest.raises(SolverRefused, match=r"Euler's steps.*backend='loop'"):
        solve(sde, randn(5, 2), method="rk4", backend="adjoint", **arguments)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"activation": "gelu"}, "tanh or relu"),
        ({"biases": ()}, "as many biases"),
        ({"biases": (torch.zeros(2, 1, 2),)}, "in a chain"),
        ({"n_delays": 3}, "fewer than 4 × 2"),
        ({"coupling": torch.zeros(2, 2)}, "coupling must be"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(change, words):
    with pytest.raises(SolverRefused, match=words):
        PairedSDE(**({"weights": (randn(2, 1, 3, 2),), "biases": (randn(2, 1, 1, 2),)} | change))
