"""One step of an automaton as nodes of an ONNX graph."""

from __future__ import annotations

from typing import Any

import numpy as np

from twins.nca.export.plain import kernel_array, kernel_names
from twins.nca.perceive import NORM_FLOOR
from twins.nca.spec import NcaSpec


class Graph:
    """Nodes and constants of a graph in the making. weights: by name, see twins.nca.export.plain.weights."""

    def __init__(self, onnx: Any, weights: dict[str, np.ndarray], spec: NcaSpec) -> None:
        self.onnx, self.weights, self.spec = onnx, weights, spec
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._known: set[str] = set()

    def inner(self) -> Graph:
        """A graph inside this one, which shares its constants."""
        made = Graph(self.onnx, self.weights, self.spec)
        made.constants, made._known = self.constants, self._known
        return made

    def constant(self, name: str, value: np.ndarray) -> str:
        """Known under this name from now on; floats become float32."""
        if name not in self._known:
            value = value.astype(np.float32) if value.dtype.kind == "f" else value
            self.constants.append(self.onnx.numpy_helper.from_array(np.ascontiguousarray(value), name))
            self._known.add(name)
        return name

    def integers(self, *values: int) -> str:
        """A constant list of whole numbers."""
        name = "integers_" + "_".join(str(value).replace("-", "minus") for value in values)
        return self.constant(name, np.array(values, dtype=np.int64))

    def add(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """One node; returns the name of its output."""
        self.nodes.append(self.onnx.helper.make_node(operator, inputs, [output], **attributes))
        return output

    def slice(self, source: str, start: int, stop: int, axis: int, output: str) -> str:
        """Part of one axis."""
        return self.add("Slice", [source, *map(self.integers, (start, stop, axis))], output)

    def pixelwise(self, source: str, weight: np.ndarray, name: str, bias: str | None = None) -> str:
        """A matrix applied to the channels of every cell."""
        kernel = self.constant(f"{name}_weight", weight[:, :, None, None])
        return self.add("Conv", [source, kernel, *([bias] if bias else [])], name)


def add_step(graph: Graph, state: str, after: str, *, fired: str) -> None:
    """From one state to the next; fired: name of the mask, looked at only where not all cells fire."""
    spec = graph.spec
    change = _update(graph, _perceived(graph, state))
    if spec.fire_rate < 1.0:
        change = graph.add("Mul", [change, fired], "fired_change")
    if spec.n_environment:
        free = np.ones((1, spec.n_channels, 1, 1), dtype=np.float32)
        free[:, spec.n_observed : spec.n_observed + spec.n_environment] = 0.0
        change = graph.add("Mul", [change, graph.constant("free_channels", free)], "free_change")
    if spec.bounds == "none":
        graph.add("Add", [state, change], after)
        return
    moved = graph.add("Add", [state, change], "unbounded")
    n_fixed = spec.n_observed + spec.n_environment
    lowest = np.full((1, spec.n_channels, 1, 1), -np.inf, dtype=np.float32)
    highest = -lowest
    lowest[:, : spec.n_observed], highest[:, : spec.n_observed] = 0.0, 1.0
    lowest[:, n_fixed:], highest[:, n_fixed:] = -1.0, 1.0
    raised = graph.add("Max", [moved, graph.constant("lowest", lowest)], "raised")
    graph.add("Min", [raised, graph.constant("highest", highest)], after)


def _perceived(graph: Graph, state: str) -> str:
    """Channels through kernels, kernel by kernel for each channel; the gradient's norms stand behind all others."""
    spec, n = graph.spec, graph.spec.n_seen_channels
    seen = state
    if spec.order == 2:
        index = [graph.constant(f"pair_{k}", numbers) for k, numbers in enumerate(np.triu_indices(spec.n_channels))]
        pairs = [graph.add("Gather", [state, one], f"factor_{k}", axis=1) for k, one in enumerate(index)]
        seen = graph.add("Concat", [state, graph.add("Mul", pairs, "products")], "seen", axis=1)
    wide = _padded(graph, seen)
    kernels = dict(zip(kernel_names(spec), kernel_array(spec, np.dtype(np.float32)), strict=True))

    def through(names: list[str], output: str) -> str:
        stack = np.stack([kernels[name] for name in names])[:, None]
        weight = graph.constant(f"{output}_kernels", np.tile(stack, (n, 1, 1, 1)))
        return graph.add("Conv", [wide, weight], output, group=n)

    plain = [name for name in spec.features if name != "NORM"]
    parts = [through(plain, "neighbourhood")] if plain else []
    if "NORM" in spec.features:
        slopes = [through([name], name) for name in ("DX", "DY")]
        squares = [graph.add("Mul", [slope, slope], f"{slope}_squared") for slope in slopes]
        total = graph.add("Add", squares, "slope_squared")
        floored = graph.add("Add", [total, graph.constant("norm_floor", np.array(NORM_FLOOR))], "slope_floored")
        parts.append(graph.add("Sqrt", [floored], "slope_norm"))
    return parts[0] if len(parts) == 1 else graph.add("Concat", parts, "features", axis=1)


def _columns(spec: NcaSpec) -> np.ndarray:
    """Where the inputs of the network stand in what _perceived gives: feature by feature as the automaton orders them."""
    numbers = np.arange(spec.n_features).reshape(spec.n_seen_channels, len(spec.features))
    is_norm = np.array([name == "NORM" for name in spec.features])
    return np.concatenate((numbers[:, ~is_norm].ravel(), numbers[:, is_norm].ravel()))


def _padded(graph: Graph, seen: str) -> str:
    """One more cell on every side."""
    padding = graph.spec.padding
    if padding != "periodic":
        mode = {"zero": "constant", "symmetric": "edge"}[padding]  # by one cell, edge is symmetric
        return graph.add("Pad", [seen, graph.integers(0, 0, 1, 1, 0, 0, 1, 1)], "padded", mode=mode)
    for axis, name in ((2, "rows"), (3, "columns")):
        last = graph.slice(seen, -1, np.iinfo(np.int64).max, axis, f"last_{name}")
        first = graph.slice(seen, 0, 1, axis, f"first_{name}")
        seen = graph.add("Concat", [last, seen, first], f"padded_{name}", axis=axis)
    return seen


def _update(graph: Graph, features: str) -> str:
    spec, weights = graph.spec, graph.weights
    hidden = graph.pixelwise(features, weights["hidden_weight_0"][:, _columns(spec)], "hidden_0")
    if spec.n_conditions:
        matrix = graph.constant("condition_weight", weights["condition_weight"].T)
        flat = graph.add("MatMul", ["conditions", matrix], "condition_flat")
        known = graph.add("Unsqueeze", [flat, graph.integers(2, 3)], "condition_hidden")
        hidden = graph.add("Add", [hidden, known], "hidden_conditioned")
    hidden = _activated(graph, hidden, "active_0")
    if spec.layers == 3:
        hidden = _activated(graph, graph.pixelwise(hidden, weights["hidden_weight_1"], "hidden_1"), "active_1")
    bias = graph.constant("out_bias", weights["out_bias"])
    change = graph.pixelwise(hidden, weights["out_weight"], "change", bias)
    if not spec.gated:
        return change
    gate = graph.pixelwise(hidden, weights["gate_weight"], "gate", graph.constant("gate_bias", weights["gate_bias"]))
    return graph.add("Mul", [change, graph.add("Sigmoid", [gate], "opened")], "gated_change")


def _activated(graph: Graph, source: str, name: str) -> str:
    activation = graph.spec.activation
    if activation == "linear":
        return source
    if activation == "swish":
        return graph.add("Mul", [source, graph.add("Sigmoid", [source], f"{name}_sigmoid")], name)
    return graph.add({"relu": "Relu", "tanh": "Tanh"}[activation], [source], name)
