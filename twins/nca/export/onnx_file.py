"""One ONNX model of an automaton: a step, or all steps from one frame to the next.

    state        (batch, channel, y, x), float32, in the automaton's units: any number of trials, rows and columns
    conditions   (batch, condition), scaled; only where the rule knows any
    fired        which cells update, 0 or 1; only where not all do: (batch, 1, y, x), or with whole frames
                 (steps, batch, 1, y, x)
    next_state   like state

The model's metadata hold one JSON document under "labctl": structure, names, units, scaling, steps a frame, provenance.
Needs the package onnx to write; whatever runs ONNX of operator set 18 reads it. See https://onnx.ai/onnx/operators/.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from twins.errors import ExporterMissing
from twins.files import write_whole
from twins.nca.export.onnx_step import Graph, add_step
from twins.nca.export.plain import described, weights
from twins.nca.model import NcaModel

OPERATOR_SET = 18


def write_onnx(model: NcaModel, path: Path, *, provenance: Mapping[str, Any], whole_frames: bool) -> Path:
    """Write the file (it gets the ending .onnx) and return its path. Raises ExporterMissing, CheckpointInvalid."""
    onnx = _package()
    document = {**described(model, provenance=provenance), "whole_frames": whole_frames}
    spec = model.automaton.spec
    graph = Graph(onnx, weights(model.automaton), spec)
    outputs = [_tensor(onnx, "next_state", ("batch", spec.n_channels, "y", "x"))]
    inputs = [_tensor(onnx, "state", ("batch", spec.n_channels, "y", "x"))]
    if spec.n_conditions:
        inputs.append(_tensor(onnx, "conditions", ("batch", spec.n_conditions)))
    if spec.fire_rate < 1.0:
        steps: tuple[str | int, ...] = (model.steps_per_frame,) if whole_frames else ()
        inputs.append(_tensor(onnx, "fired", (*steps, "batch", 1, "y", "x")))
    if whole_frames:
        _add_frame(onnx, graph, model.steps_per_frame)
    else:
        add_step(graph, "state", "next_state", fired="fired")
    made = onnx.helper.make_graph(graph.nodes, "automaton", inputs, outputs, initializer=graph.constants)
    proto = onnx.helper.make_model(
        made, opset_imports=[onnx.helper.make_opsetid("", OPERATOR_SET)], ir_version=8, producer_name="labctl"
    )
    onnx.helper.set_model_props(proto, {"labctl": json.dumps(document, allow_nan=False)})
    onnx.checker.check_model(proto, full_check=True)
    path = path if path.suffix == ".onnx" else path.with_name(path.name + ".onnx")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, proto.SerializeToString())
    return path


def _add_frame(onnx: Any, graph: Graph, n_steps: int) -> None:
    """A loop around the step; its body sees the weights of the graph outside."""
    body = graph.inner()
    if graph.spec.fire_rate < 1.0:
        one = body.add("Gather", ["fired", "step_number"], "fired_list", axis=0)
        body.add("Squeeze", [one, body.integers(0)], "fired_now")
    add_step(body, "state_before", "state_after", fired="fired_now")
    body.add("Identity", ["go_on_before"], "go_on_after")
    shape = ("batch", graph.spec.n_channels, "y", "x")
    subgraph = onnx.helper.make_graph(
        body.nodes,
        "step",
        [
            # lists of one, not scalars: the checker infers them so
            onnx.helper.make_tensor_value_info("step_number", onnx.TensorProto.INT64, (1,)),
            onnx.helper.make_tensor_value_info("go_on_before", onnx.TensorProto.BOOL, (1,)),
            _tensor(onnx, "state_before", shape),
        ],
        [
            onnx.helper.make_tensor_value_info("go_on_after", onnx.TensorProto.BOOL, (1,)),
            _tensor(onnx, "state_after", shape),
        ],
    )
    n = graph.constant("n_steps", np.array([n_steps], dtype=np.int64))
    go_on = graph.constant("go_on", np.array([True]))
    graph.add("Loop", [n, go_on, "state"], "next_state", body=subgraph)


def _tensor(onnx: Any, name: str, shape: tuple[str | int, ...]) -> Any:
    return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)


def _package() -> Any:
    try:
        import onnx
    except ImportError as error:
        raise ExporterMissing(
            "exporting to ONNX needs the package onnx: pip install 'labctl[onnx]'; kind='numpy' needs nothing"
        ) from error
    return onnx
