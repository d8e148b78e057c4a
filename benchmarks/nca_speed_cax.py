"""CAX, and JAX beneath it, on the automata of nca_speed.py: one way in a process of its own, asked through standard input.

    python nca_speed_cax.py ARRAYS.npz WAY N_STEPS RESULT.npz

Commands: forward, forward_backward (run once), check (write state and gradients to RESULT.npz). Each is answered by a line.
Ways: conv (its ConvPerceive, depthwise, and ResidualUpdate), dense (kernels and first layer as one ConvPerceive with
activation), moore (its MoorePerceive, kernels folded into the first layer), products (perception and network by rolls and
products of matrices, not CAX's own). Its own driver scans over the steps; all is
compiled, and gradients are taken of the weights of the network.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from cax.core import ComplexSystem
from cax.core.perceive import ConvPerceive, MoorePerceive
from cax.core.update import ResidualUpdate
from flax import nnx

Arrays = Mapping[str, Any]


class Cellular(ComplexSystem):  # type: ignore[misc]
    """Perceive, then update, as in CAX's own examples."""

    def __init__(self, perceive: Any, update: Any) -> None:
        self.perceive, self.update = perceive, update

    def _step(self, state: Any, input: Any = None, *, sow: bool = False) -> Any:  # noqa: A002, ARG002 - its interface
        return self.update(state, self.perceive(state), input)


def conv(given: Arrays, rngs: Any) -> Cellular:
    """As a user of CAX would write it."""
    kernels, first = given["kernels"], given["first"]
    n_channels, n_features = len(given["last"]), first.shape[1]
    perceive = ConvPerceive(
        n_channels, n_features, padding="CIRCULAR", feature_group_count=n_channels, rngs=rngs
    )  # fmt: skip
    perceive.conv.kernel.value = jnp.asarray(np.tile(kernels.transpose(1, 2, 0)[:, :, None], (1, 1, 1, n_channels)))
    update = ResidualUpdate(2, n_channels, n_features, (len(first),), rngs=rngs)
    update.layers[0].kernel.value = jnp.asarray(first.T[None, None])
    return Cellular(perceive, _with_last(update, given))


def dense(given: Arrays, rngs: Any) -> Cellular:
    """One dense convolution from the state to the hidden units."""
    folded = _folded(given)
    n_hidden, n_channels = folded.shape[:2]
    perceive = ConvPerceive(n_channels, n_hidden, padding="CIRCULAR", activation_fn=nnx.relu, rngs=rngs)
    perceive.conv.kernel.value = jnp.asarray(folded.transpose(2, 3, 1, 0))
    return Cellular(perceive, _with_last(ResidualUpdate(2, n_channels, n_hidden, (), rngs=rngs), given))


def moore(given: Arrays, rngs: Any) -> Cellular:
    """All nine neighbours side by side, weighed by the first layer."""
    folded = _folded(given)
    n_hidden, n_channels = folded.shape[:2]
    update = ResidualUpdate(2, n_channels, 9 * n_channels, (n_hidden,), rngs=rngs)
    shifts = [(0, 0), *(shift for shift in product((-1, 0, 1), repeat=2) if shift != (0, 0))]
    # a roll by +1 brings the neighbour at -1
    weights = np.concatenate([folded[:, :, 1 - y, 1 - x] for y, x in shifts], axis=1)
    update.layers[0].kernel.value = jnp.asarray(weights.T[None, None])
    return Cellular(MoorePerceive(2, 1), _with_last(update, given))


class Rolled(nnx.Module):  # type: ignore[misc]
    """Each kernel as a sum of rolled states, fused by the compiler."""

    def __init__(self, kernels: Any) -> None:
        self.weights = tuple(tuple(map(tuple, one.tolist())) for one in kernels)

    def __call__(self, state: Any) -> Any:
        places = list(product(range(3), repeat=2))
        taps = {(i, j): jnp.roll(state, (1 - i, 1 - j), axis=(-3, -2)) for i, j in places}
        return [sum(one[i][j] * taps[i, j] for i, j in places if one[i][j]) for one in self.weights]


class Products(nnx.Module):  # type: ignore[misc]
    """The network as products of matrices in place of CAX's convolutions, whose gradients are slow on a CPU."""

    def __init__(self, given: Arrays, rngs: Any) -> None:
        n_kernels, n_features = len(given["kernels"]), given["first"].shape[1]
        n_hidden, n_channels = len(given["first"]), len(given["last"])
        by_kernel = given["first"].reshape(n_hidden, -1, n_kernels).swapaxes(1, 2).reshape(n_hidden, -1)
        self.layers = nnx.List(
            [nnx.Linear(n_features, n_hidden, use_bias=False, rngs=rngs), nnx.Linear(n_hidden, n_channels, rngs=rngs)]
        )
        self.layers[0].kernel.value = jnp.asarray(by_kernel.T)
        self.layers[1].kernel.value = jnp.asarray(given["last"].T)
        self.layers[1].bias.value = jnp.asarray(given["last_bias"])

    def __call__(self, state: Any, seen: Any, input: Any = None) -> Any:  # noqa: A002, ARG002 - CAX's interface
        features = jnp.concatenate(seen, axis=-1).reshape(-1, self.layers[0].kernel.shape[0])
        change = self.layers[1](nnx.relu(self.layers[0](features)))
        return state + change.reshape(state.shape)


def products(given: Arrays, rngs: Any) -> Cellular:
    """CAX's driver around what JAX does best on a CPU."""
    return Cellular(Rolled(given["kernels"]), Products(given, rngs))


def _folded(given: Arrays) -> Any:
    first, kernels = given["first"], given["kernels"]
    return np.einsum("hck,kij->hcij", first.reshape(len(first), -1, len(kernels)), kernels)


def _with_last(update: Any, given: Arrays) -> Any:
    update.layers[-1].kernel.value = jnp.asarray(given["last"].T[None, None])
    update.layers[-1].bias.value = jnp.asarray(given["last_bias"])
    return update


WAYS: dict[str, Callable[[Arrays, Any], Cellular]] = {
    "conv": conv,
    "dense": dense,
    "moore": moore,
    "products": products,
}


def main(arrays: str, way: str, n_steps: int, result: str) -> None:
    """Answer until the input ends."""
    with np.load(arrays) as file:
        given = dict(file)
    system = WAYS[way](given, nnx.Rngs(0))
    start = jnp.asarray(given["state"].transpose(0, 2, 3, 1))

    def trained(path: Any, value: Any) -> bool:
        return isinstance(value, nnx.Param) and (way == "dense" or "perceive" not in path)

    def loss(system: Cellular, state: Any) -> Any:
        return jnp.mean(jnp.square(system(state, num_steps=n_steps)))

    descent = nnx.jit(nnx.value_and_grad(loss, argnums=nnx.DiffState(0, trained)))
    works = {
        "forward": lambda: system(start, num_steps=n_steps),
        "forward_backward": lambda: descent(system, start),
    }
    for work in works.values():
        jax.block_until_ready(work())
    print(json.dumps({"cpu_s": 0.0}), flush=True)
    for line in sys.stdin:
        asked, began = line.strip(), time.process_time()
        if asked == "check":
            _, gradients = works["forward_backward"]()
            last = np.asarray(gradients["update"]["layers"][len(system.update.layers) - 1]["kernel"].get_value())
            last = last.reshape(last.shape[-2:]).T
            np.savez(result, state=np.asarray(works["forward"]()).transpose(0, 3, 1, 2), last=last)
        else:
            jax.block_until_ready(works[asked]())
        print(json.dumps({"cpu_s": time.process_time() - began}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])
