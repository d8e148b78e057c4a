"""jax and diffrax on the equations of solver_speed.py. Imported only where they are installed."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from solver_rivals import DT, FLOOR, SPREAD, Case, Run

Arrays = Any


def _arrays(case: Case) -> tuple[Arrays, Arrays]:
    """(what is trained, what is not): weights and biases, coupling."""

    def convert(tensors: list[Any]) -> list[Any]:
        return [jnp.asarray(tensor.detach().flatten(0, 1).numpy()) for tensor in tensors]

    nets = (convert(case.weights), convert(case.biases))
    if case.coupling is None:
        return nets, None
    return jnp.asarray(case.coupling.detach().numpy()), nets


def _f_and_g(case: Case) -> Any:
    """(trained, fixed, y (batch, state)) -> drift and diffusion."""
    nodes, batch = case.size.nodes, case.size.batch

    def both(trained: Arrays, fixed: Arrays, y: Any) -> tuple[Any, Any]:
        (weights, biases), coupling = (trained, None) if fixed is None else (fixed, trained)
        if coupling is None:
            rows = y[None]
        else:
            rows = jnp.concatenate((y.reshape(batch, nodes, -1), (y @ coupling)[..., None]), -1).swapaxes(0, 1)
        h = jnp.concatenate((rows, rows))
        for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
            h = jnp.tanh(jnp.matmul(h, weight) + bias)
        out = (jnp.matmul(h, weights[-1]) + biases[-1]).reshape(2, nodes, batch, -1)
        flat = out.transpose(0, 2, 1, 3).reshape(2, batch, -1)
        return flat[0], SPREAD * (jax.nn.softplus(flat[1]) + FLOOR)

    return both


def by_scan(case: Case, *, remat: bool, noise: Any = None) -> Run:
    """jax.lax.scan of Euler's step, compiled; remat: the step is computed again backward."""
    both, (trained, fixed) = _f_and_g(case), _arrays(case)
    x0, shape = jnp.asarray(case.x0.numpy()), case.noise_shape

    def loss(trained: Arrays, fixed: Arrays, z: Any) -> Any:
        def step(y: Any, dw: Any) -> tuple[Any, Any]:
            f, g = both(trained, fixed, y)
            following = y + f * DT + g * dw
            return following, following

        _, path = jax.lax.scan(jax.checkpoint(step) if remat else step, x0, z * math.sqrt(DT))
        return jnp.mean(jnp.square(jnp.concatenate((x0[None], path))))

    def drawn(trained: Arrays, fixed: Arrays, key: Any) -> Any:
        return loss(trained, fixed, jax.random.normal(key, shape, dtype=jnp.float32))

    return _runner(jax.jit(jax.grad(drawn if noise is None else loss)), trained, fixed, noise)


def by_diffrax(case: Case, *, tree: bool) -> Run:
    """diffrax: Euler, a checkpoint a step; increments drawn beforehand, or its VirtualBrownianTree."""
    import diffrax

    both, (trained, fixed) = _f_and_g(case), _arrays(case)
    x0, shape, steps = jnp.asarray(case.x0.numpy()), case.noise_shape, case.size.steps

    class Drawn(diffrax.AbstractPath):  # type: ignore[misc]
        """Increments by their step's number."""

        increments: Any
        t0 = 0.0
        t1 = steps * DT

        def evaluate(self, t0: Any, t1: Any = None, left: bool = True, use_jump: bool = False) -> Any:  # noqa: ARG002
            return self.increments[jnp.round(t0 / DT).astype(jnp.int32)]

    def loss(trained: Arrays, fixed: Arrays, key: Any) -> Any:
        if tree:
            motion = diffrax.VirtualBrownianTree(0.0, steps * DT, tol=DT / 2, shape=shape[1:], key=key)
        else:
            motion = Drawn(jax.random.normal(key, shape, dtype=jnp.float32) * math.sqrt(DT))
        terms = diffrax.MultiTerm(
            diffrax.ODETerm(lambda _t, y, args: both(*args, y)[0]),
            diffrax.ControlTerm(lambda _t, y, args: diffrax_diagonal(both(*args, y)[1]), motion),
        )
        solution = diffrax.diffeqsolve(
            terms,
            diffrax.Euler(),
            0.0,
            steps * DT,
            None,
            x0,
            args=(trained, fixed),
            saveat=diffrax.SaveAt(t0=True, steps=True),
            stepsize_controller=diffrax.StepTo(jnp.arange(steps + 1) * DT),
            adjoint=diffrax.RecursiveCheckpointAdjoint(checkpoints=steps),
            max_steps=steps,
        )
        return jnp.sum(jnp.square(solution.ys)) / (steps + 1) / x0.size

    def diffrax_diagonal(spread: Any) -> Any:
        import lineax

        return lineax.DiagonalLinearOperator(spread)

    return _runner(jax.jit(jax.grad(loss)), trained, fixed, None)


def _runner(gradient: Any, trained: Arrays, fixed: Arrays, noise: Any) -> Run:
    given = None if noise is None else jnp.asarray(np.asarray(noise))
    keys = iter(range(10**9))

    def run() -> Any:
        draw = jax.random.key(next(keys)) if given is None else given
        return jax.block_until_ready(gradient(trained, fixed, draw))

    return run
