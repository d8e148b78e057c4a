"""One step of an exported twin, in NumPy. Everything here is normalised: (value - centre) / scale, a step is a sample.

    r = [response, newest first | drive, newest first | conditions]
    x' = x + slope(r) + increment_scale * mask * (G(r) xi)[:response]
    a' = rho a + sqrt(1 - rho²) (G(r) xi)[response:]
    slope(r) = linear_bias + r linear_weight + products(r) higher_weight + increment_scale * (drift(r features) + W_a a)

With scheme "heun" or "rk4" the slope's stages are taken over the sample, drive and auxiliaries held, delayed states
interpolated. G = [diagonal | columns], from the diffusion net at the start of the step (Itô).
"""

from collections.abc import Callable
from itertools import combinations_with_replacement

import numpy as np

from sim_devices.physics.device import Array
from sim_devices.physics.twin_file import TwinFile, TwinSpec

Net = Callable[[Array], Array]


class TwinStep:
    """The law of one step; it keeps no state."""

    def __init__(self, file: TwinFile) -> None:
        spec, arrays = file.spec, file.arrays
        self._spec = spec
        self._linear_weight, self._linear_bias = arrays["linear_weight"], arrays["linear_bias"]
        self._higher_weight = arrays["higher_weight"]
        self._products = _products(spec.n_inputs, spec.backbone_order)
        self._increment_scale = arrays["increment_scale"]
        self._drift = _net(file, "drift", len(spec.hidden) + 1)
        self._diffusion = _net(file, "diffusion", len(spec.diffusion_hidden) + 1) if spec.n_diffusion else None
        self._coupling = arrays["auxiliary_coupling"]
        self._correlation = arrays["auxiliary_correlation"]
        kick = np.sqrt(np.maximum(0.0, 1.0 - self._correlation**2))
        self._noise_scale = np.concatenate((arrays["increment_scale"] * arrays["noise_mask"], kick))

    def __call__(self, seen: Array, driven: Array, auxiliaries: Array, noise: Array) -> tuple[Array, Array]:
        """The next newest response and auxiliaries.

        seen: (delay + 1, response), newest first; driven: drive with its delays and conditions, (n_inputs - state,);
        auxiliaries: (auxiliary,); noise: (spec.n_noise,) standard normal numbers.
        """
        row = np.concatenate((seen.ravel(), driven))
        force = self._increment_scale * (self._coupling @ auxiliaries) if auxiliaries.size else 0.0
        x = seen[0] + self._increment(row, force)
        following = self._correlation * auxiliaries
        if self._diffusion is not None:
            kicks = self._noise_scale * self._kick(row, noise)
            n = x.size
            x, following = x + kicks[:n], following + kicks[n:]
        return x, following

    def _kick(self, row: Array, noise: Array) -> Array:
        """G xi, (response + auxiliary,), before it is scaled."""
        spec, n_rows = self._spec, self._spec.n_rows
        assert self._diffusion is not None  # by the caller
        level = self._diffusion(row)
        total: Array = np.zeros(n_rows)
        n_own = n_rows * spec.noise_diagonal
        if n_own:
            total = (np.logaddexp(0.0, level[:n_own]) + spec.noise_floor) * noise[:n_own]
        if spec.noise_columns:
            total = total + level[n_own:].reshape(n_rows, spec.noise_columns) @ noise[n_own:]
        return total

    def _increment(self, row: Array, force: Array | float) -> Array:
        first, scheme = self._slope(row, force), self._spec.scheme
        if scheme == "euler":
            return first
        if scheme == "heun":
            return 0.5 * (first + self._slope(self._moved(row, 1.0, first), force))
        second = self._slope(self._moved(row, 0.5, 0.5 * first), force)
        third = self._slope(self._moved(row, 0.5, 0.5 * second), force)
        fourth = self._slope(self._moved(row, 1.0, third), force)
        return (first + 2.0 * second + 2.0 * third + fourth) / 6.0

    def _slope(self, row: Array, force: Array | float) -> Array:
        slope: Array = self._linear_bias + row @ self._linear_weight + self._increment_scale * self._drift(row) + force
        if self._products:
            slope = slope + _higher_terms(row, self._products) @ self._higher_weight
        return slope

    def _moved(self, row: Array, fraction: float, change: Array) -> Array:
        """The row a fraction of a sample later."""
        n, n_state = change.size, self._spec.n_state_inputs
        older = row[n:n_state] + fraction * (row[: n_state - n] - row[n:n_state])
        return np.concatenate((row[:n] + change, older, row[n_state:]))


def _net(file: TwinFile, name: str, n_layers: int) -> Net:
    arrays = file.arrays
    weights = [arrays[f"{name}_weight_{number}"] for number in range(n_layers)]
    weights[0] = arrays["features"] @ weights[0]
    biases = [arrays[f"{name}_bias_{number}"] for number in range(n_layers)]
    hidden = list(zip(weights[:-1], biases[:-1], strict=True))
    act = np.tanh if file.spec.activation == "tanh" else _relu

    def net(row: Array) -> Array:
        for weight, bias in hidden:
            row = act(row @ weight + bias)
        out: Array = row @ weights[-1] + biases[-1]
        return out

    return net


def _relu(values: Array) -> Array:
    return np.maximum(values, 0.0)


def _products(n_inputs: int, order: int) -> list[tuple[Array, Array]]:
    """For each degree from 2 on: the first factor of every product, and the number of the rest a degree lower."""
    parts = []
    for degree in range(2, order + 1):
        place = {key: i for i, key in enumerate(combinations_with_replacement(range(n_inputs), degree - 1))}
        products = list(combinations_with_replacement(range(n_inputs), degree))
        first = np.array([product[0] for product in products])
        parts.append((first, np.array([place[product[1:]] for product in products])))
    return parts


def _higher_terms(row: Array, products: list[tuple[Array, Array]]) -> Array:
    parts, lower = [], row
    for first, rest in products:
        lower = row[first] * lower[rest]
        parts.append(lower)
    return np.concatenate(parts)


def n_observation_noise(spec: TwinSpec) -> int:
    """Independent noises of one measured sample."""
    return len(spec.response_names) * spec.observation + spec.observation_columns
