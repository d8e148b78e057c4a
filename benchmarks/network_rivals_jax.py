"""The network of network_case.py by jax.lax.scan, compiled; needs jax and numpy alone.

Rows (node times trial) of a layer are one batch, as in the rivals in torch; what the drive adds to the first layer is one
product for all steps. remat: steps are computed again backward (jax.checkpoint), from the windows of the drive on. The
read-out is solved inside, in float64, and held fixed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import network_case
import numpy as np
from network_case import Case

Array = Any
Pass = Callable[[], tuple[Any, tuple[Any, ...]]]
jax.config.update("jax_enable_x64", True)  # for the read-out; all else is float32 by its arrays


def by_scan(case: Case, *, remat: bool, unroll: int = 1, given: bool = False) -> Pass:
    """Compiled before it returns, so that memory and time of compiling are nobody's step."""
    arrays, indices = case.arrays, range(network_case.N_LAYERS)
    nets = {name: _single(value) for name, value in arrays.items() if value.dtype == np.float32 and "layer" not in name}
    parameters = [
        {name: _single(arrays[f"layer{index}_{name}"]) for name in network_case.PARAMETERS} for index in indices
    ]
    fixed = [tuple(jnp.asarray(arrays[f"layer{index}_{name}"]) for name in _DRAWN) for index in indices]
    inputs = _single(arrays["inputs"])

    def loss(parameters: Array, key: Array) -> Array:
        features: list[Array] = []
        for index in indices:
            start, before, noise = fixed[index] if given else _draw(case, nets, jax.random.fold_in(key, index))
            levels = _levels(parameters[index], inputs, features[-1] if features else None, arrays)
            path = _solve(levels, start, before, noise, nets, remat=remat, unroll=unroll)
            physical = path * jnp.float32(arrays["response_scale"]) + jnp.float32(arrays["response_centre"])
            shape = (case.size.layer, case.size.batch, case.size.held, network_case.HOLD)
            features.append(physical.T.reshape(shape))
        together = jnp.concatenate(
            [part.transpose(1, 2, 0, 3).reshape(*part.shape[1:3], -1) for part in features], axis=-1
        )
        return _ridge_loss(together, arrays)

    key = jax.random.key(0, impl="rbg")  # faster than the default on a CPU
    compiled = jax.jit(jax.value_and_grad(loss)).lower(parameters, key).compile()
    keys = iter(range(10**9))

    def run() -> tuple[Any, tuple[Any, ...]]:
        value, gradients = compiled(parameters, jax.random.key(next(keys), impl="rbg"))
        flat = tuple(layer[name] for layer in gradients for name in network_case.PARAMETERS if layer[name].size)
        return jax.block_until_ready((value, flat))

    return run


_DRAWN = ("start", "before", "noise")


def _single(value: np.ndarray) -> Array:
    return jnp.asarray(value, dtype=jnp.float32)


def _draw(case: Case, nets: Mapping[str, Array], key: Array) -> tuple[Array, Array, Array]:
    size, (first, second) = case.size, jax.random.split(key)
    entries = jax.random.randint(first, (size.layer, size.batch), 0, len(nets["bank_start"]))
    noise = jax.random.normal(second, (size.steps - 1, size.layer, size.batch), dtype=jnp.float32)
    return nets["bank_start"][entries], nets["bank_before"][entries], noise


def _levels(trained: Mapping[str, Array], inputs: Array, before: Array | None, arrays: Mapping[str, Any]) -> Array:
    """Normalised drive (node, trial, held input)."""
    taps = [int(tap) for tap in arrays["taps"]]
    tapped = jnp.stack([_later(inputs, tap) for tap in taps])
    total = jnp.einsum("dbti,ndi->nbt", tapped, trained["W_in"])
    if before is not None:
        delayed = jnp.stack([_later(before.transpose(1, 2, 0, 3), tap) for tap in taps])
        total = total + jnp.einsum("dbtjk,ndjk->nbt", delayed, trained["W"])
    z = trained["gain"][:, None, None] * total + trained["bias"][:, None, None]
    return jnp.float32(arrays["drive_mid"]) + jnp.float32(arrays["drive_half"]) * jnp.tanh(z)


def _later(series: Array, delay: int) -> Array:
    """(trial, held input, …) a few held inputs later."""
    return jnp.pad(series, ((0, 0), (delay, 0), *(((0, 0),) * (series.ndim - 2))))[:, : series.shape[1]]


def _solve(
    levels: Array, start: Array, before: Array, noise: Array, nets: Mapping[str, Array], *, remat: bool, unroll: int
) -> Array:
    """Path (step + 1, row)."""
    drive = jnp.concatenate((before[..., ::-1], jnp.repeat(levels, network_case.HOLD, axis=-1)), -1)
    drive = drive.reshape(-1, drive.shape[-1]).T  # (time, row)
    n_steps, n_seen = len(noise), nets["hidden_u"].shape[1]
    windows = jnp.stack([drive[n_seen - 1 - k : n_seen - 1 - k + n_steps] for k in range(n_seen)], axis=-1)
    kicks = noise.reshape(n_steps, -1, 1)

    def by_drive(window: Array) -> tuple[Array, Array]:
        hidden = jnp.einsum("...rd,ndh->...nrh", window, nets["hidden_u"]) + nets["hidden_bias"]
        return hidden, window @ nets["linear_u"] + nets["linear_bias"]

    def advance(x: Array, hidden: Array, linear: Array, kick: Array) -> tuple[Array, Array]:
        h = jnp.tanh(hidden + jnp.einsum("rd,ndh->nrh", x, nets["hidden_x"]))
        h = jnp.tanh(jnp.matmul(h, nets["inner"]) + nets["inner_bias"])
        mean, raw = jnp.matmul(h, nets["out"]) + nets["out_bias"]
        spread = jax.nn.softplus(raw) * nets["loudness"] + nets["floor"]
        following = x @ nets["linear_x"] + linear + mean + spread * kick
        return jnp.concatenate((following, x[:, :-1]), axis=1), following

    def from_window(x: Array, given: tuple[Array, Array]) -> tuple[Array, Array]:
        return advance(x, *by_drive(given[0]), given[1])

    def from_sums(x: Array, given: tuple[tuple[Array, Array], Array]) -> tuple[Array, Array]:
        return advance(x, *given[0], given[1])

    rows = start.reshape(-1, start.shape[-1])
    if remat:
        _, path = jax.lax.scan(jax.checkpoint(from_window), rows, (windows, kicks), unroll=unroll)
    else:
        _, path = jax.lax.scan(from_sums, rows, (by_drive(windows), kicks), unroll=unroll)
    return jnp.concatenate((rows[None, :, :1], path))[..., 0]


def _ridge_loss(features: Array, arrays: Mapping[str, Any]) -> Array:
    washout = int(arrays["washout"])
    rows = features[:, washout:].reshape(-1, features.shape[-1])
    targets = jnp.asarray(arrays["targets"][:, washout:].reshape(len(rows), -1))
    found = jax.lax.stop_gradient(rows).astype(jnp.float64)
    mean_f, mean_y = found.mean(0), targets.mean(0)
    centred = found - mean_f
    gram = centred.T @ centred / len(found) + float(arrays["ridge"]) * jnp.eye(found.shape[1])
    weights = jax.scipy.linalg.solve(gram, centred.T @ (targets - mean_y) / len(found), assume_a="pos")
    bias = mean_y - mean_f @ weights
    outputs = rows @ weights.astype(jnp.float32) + bias.astype(jnp.float32)
    wanted = targets.astype(jnp.float32)
    return (jnp.mean(jnp.square(outputs - wanted), axis=0) / jnp.var(wanted, axis=0)).mean()
