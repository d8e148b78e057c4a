"""Solves of goku_speed.py by jax, compiled before they are timed: lax.scan of Runge-Kutta steps, and diffrax.

Coefficients are computed once a solve. Needs jax (and diffrax) alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from goku_speed_case import GRAVITY, N_OSCILLATORS, NOISE, STEP_S, STRENGTH, TIME_SCALE, Case

Array = Any
Run = Callable[[], Any]


def _coefficients(case: Case, p: Array) -> tuple[Array, ...]:
    if case.name == "pendulum":
        return (-GRAVITY / p[..., 0],)
    n = N_OSCILLATORS
    into = (TIME_SCALE * STRENGTH) * p[..., 2 * n :].reshape(*p.shape[:-1], n, n).swapaxes(-1, -2)
    linear = into + (TIME_SCALE * p[..., :n] - into.sum(-1))[..., None] * jnp.eye(n, dtype=p.dtype)
    return linear, TIME_SCALE * p[..., n : 2 * n]


def _drift(case: Case, x: Array, known: tuple[Array, ...]) -> Array:
    if case.name == "pendulum":
        return jnp.stack((x[..., 1], known[0] * jnp.sin(x[..., 0])), axis=-1)
    linear, turning = known
    both = x.reshape(*x.shape[:-1], 2, N_OSCILLATORS)
    mixed = jnp.einsum("...ij,...kj->...ki", linear, both)
    mixed = mixed - TIME_SCALE * jnp.square(both).sum(-2, keepdims=True) * both
    turned = jnp.stack((-turning * both[..., 1, :], turning * both[..., 0, :]), axis=-2)
    return (mixed + turned).reshape(x.shape)


def _by_scan(case: Case, substeps: int, *, remat: bool, noisy: bool) -> Callable[..., Array]:
    h = STEP_S / substeps

    def solve(x0: Array, p: Array, key: Array) -> Array:
        known = _coefficients(case, p)
        shape = (case.n_steps, substeps, *x0.shape)
        kicks = jax.random.normal(key, shape, dtype=x0.dtype) * (NOISE * np.sqrt(h)) if noisy else jnp.zeros(shape[:2])

        def step(x: Array, kick: Array) -> tuple[Array, None]:
            k1 = _drift(case, x, known)
            k2 = _drift(case, x + 0.5 * h * k1, known)
            k3 = _drift(case, x + 0.5 * h * k2, known)
            k4 = _drift(case, x + h * k3, known)
            return x + h / 6.0 * (k1 + 2.0 * (k2 + k3) + k4) + (kick if noisy else 0.0), None

        def sample(x: Array, kicks: Array) -> tuple[Array, Array]:
            following = step(x, kicks[0])[0] if substeps == 1 else jax.lax.scan(step, x, kicks)[0]
            return following, following

        _, path = jax.lax.scan(jax.checkpoint(sample) if remat else sample, x0, kicks)
        return jnp.concatenate((x0[None], path))

    return solve


def _by_diffrax(case: Case, substeps: int, *, method: str, noisy: bool) -> Callable[..., Array]:
    """A checkpoint a step, steps told beforehand; the noise drawn beforehand, by its step."""
    import diffrax
    import lineax

    steps = case.n_steps * substeps
    h = STEP_S / substeps
    solver = {"tsit5": diffrax.Tsit5, "bosh3": diffrax.Bosh3, "heun": diffrax.Heun, "euler": diffrax.Euler}[method]()

    class Drawn(diffrax.AbstractPath):  # type: ignore[misc]
        """Increments by their step's number."""

        increments: Any
        t0 = 0.0
        t1 = steps * h

        def evaluate(self, t0: Any, t1: Any = None, left: bool = True, use_jump: bool = False) -> Any:  # noqa: ARG002
            return self.increments[jnp.round(t0 / h).astype(jnp.int32)]

    def solve(x0: Array, p: Array, key: Array) -> Array:
        term = diffrax.ODETerm(lambda _t, y, known: _drift(case, y, known))
        if noisy:
            drawn = Drawn(jax.random.normal(key, (steps, *x0.shape), dtype=x0.dtype) * np.sqrt(h))
            spread = lineax.DiagonalLinearOperator(jnp.full_like(x0, NOISE))
            term = diffrax.MultiTerm(term, diffrax.ControlTerm(lambda _t, _y, _known: spread, drawn))
        solution = diffrax.diffeqsolve(
            term, solver, 0.0, steps * h, None, x0, args=_coefficients(case, p),
            saveat=diffrax.SaveAt(t0=True, steps=True),
            stepsize_controller=diffrax.StepTo(jnp.arange(steps + 1) * h),
            adjoint=diffrax.RecursiveCheckpointAdjoint(checkpoints=steps), max_steps=steps,
        )  # fmt: skip
        return solution.ys[::substeps]

    return solve


def make(way: str, case: Case, substeps: int, *, noisy: bool) -> Run:
    """The work of this name, compiled. noisy = False: without the noise of a stochastic way."""
    noisy = noisy and "noisy" in way
    if way.startswith("lax_scan"):
        solve = _by_scan(case, substeps, remat="remat" in way, noisy=noisy)
    else:
        solve = _by_diffrax(case, substeps, method=way.rpartition("_")[2], noisy=noisy)
    x, p = (jnp.asarray(one, dtype=jnp.float32) for one in (case.initial, case.parameters))

    def loss(x: Array, p: Array, key: Array) -> tuple[Array, Array]:
        path = solve(x, p, key)
        return jnp.mean(jnp.square(path)), path

    keys = iter(range(10**9))
    first = jax.random.key(0, impl="rbg")  # faster than the default on a CPU
    compiled = jax.jit(jax.grad(loss, argnums=(0, 1), has_aux=True)).lower(x, p, first).compile()

    def run() -> tuple[Array, ...]:
        (of_x, of_p), path = compiled(x, p, jax.random.key(next(keys), impl="rbg"))
        return tuple(jax.block_until_ready((path, of_x, of_p)))

    return run
