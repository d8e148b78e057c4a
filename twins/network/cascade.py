"""Cascade learning: one layer at a time, each trained on what the layers before it were MEASURED to say.

    first layer trained on twins -> measured on the bench -> second layer trained on twins behind the measured features -> …

Errors of the twins then never add up over the layers: every layer learns from what truly comes into it, its noise
included, and only the layer in training is ever simulated (fresh noise in every pass). The price is that a layer does not
know what the next one will need of it: each is trained, with a read-out, for the task itself (Fahlman and Lebiere, NIPS 1989;
Belilovsky et al., ICML 2019, for deep nets).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from twins.network.judging import FixedJudge
from twins.network.multi_start import MultiStartEvent, optimise_from_many
from twins.network.network import Measured, PhysicalNetwork, StackMaker
from twins.network.optimise_settings import OptimiseResult, OptimiserSettings
from twins.network.ports import Array, WiringError
from twins.network.readout import Readout
from twins.network.tasks import Metric, Task, TaskData, TaskError
from twins.network.wiring import Wiring, flat_features

ReadoutOf = Literal["all", "own"]
"""What the read-out sees while a layer is trained: the features of all layers so far, or of this layer alone."""
WiringMaker = Callable[[np.random.Generator], Wiring]


def first_layers(wiring: Wiring, n_layers: int) -> Wiring:
    """The first layers of a feed-forward wiring as a wiring of their own, without read-out. Raises WiringError for a
    recurrent one, and for more layers than there are."""
    if wiring.recurrent:
        raise WiringError(
            "a recurrent wiring cannot be taken layer by layer: its layers listen to each other, so that none can be "
            "measured before the others are there; optimise it end to end"
        )
    if not 1 <= n_layers <= len(wiring.layers):
        raise WiringError(f"the first {n_layers} layers asked for; the wiring has {len(wiring.layers)}")
    layers = wiring.layers[:n_layers]
    used = {device for layer in layers for device in layer.devices}
    ports = tuple(port for port in wiring.ports if port.name in used)
    return replace(wiring, layers=layers, ports=ports, readout=None)


def with_first_layers(wiring: Wiring, first: Wiring) -> Wiring:
    """The inverse: `wiring` with these as its first layers, without read-out. Raises WiringError where they are not of the
    same devices, ports and shapes."""
    expected = first_layers(wiring, len(first.layers))
    if first.ports != expected.ports:
        raise WiringError("the first layers play on other ports than the wiring")
    for index, (new, old) in enumerate(zip(first.layers, expected.layers, strict=True)):
        if new.devices != old.devices or first.sources_of(index) != expected.sources_of(index):
            raise WiringError(
                f"layer {index} of the first layers is of {new.devices} listening to {first.sources_of(index)}, that of the "
                f"wiring of {old.devices} listening to {expected.sources_of(index)}"
            )
    return replace(wiring, layers=(*first.layers, *wiring.layers[len(first.layers) :]), readout=None)


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredExamples:
    """Examples with what the bench answered to them in the first layers.

    features: by layer, (trial, step, sense, sample), as Wiring.features_of gives them; empty before the first.
    """

    data: TaskData
    features: tuple[Array, ...] = ()

    def __post_init__(self) -> None:
        for index, one in enumerate(self.features):
            if one.ndim != 4 or one.shape[:2] != self.data.inputs.shape[:2]:
                raise TaskError(
                    f"measured features of layer {index} have shape {one.shape}; expected (trial, step) = "
                    f"{self.data.inputs.shape[:2]}, sense, sample"
                )
            if not np.all(np.isfinite(one)):
                raise TaskError(f"measured features of layer {index} contain NaN or infinity")

    def joined(self) -> TaskData:
        """The data with the features as further inputs, behind those of the task."""
        if not self.features:
            return replace(self.data, details=None)
        return replace(
            self.data, inputs=np.concatenate([self.data.inputs, flat_features(self.features)], axis=2), details=None
        )


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredTask:
    """A task whose examples are drawn from a fixed set that was measured, without replacement, whole trials at a time.

    digest: of all that was measured, so that a run is only gone on with on the same.
    """

    name: str
    metric: Metric
    n_inputs: int
    n_outputs: int
    washout: int
    digest: str
    data: TaskData

    @classmethod
    def of(cls, task: Task, examples: MeasuredExamples) -> MeasuredTask:
        """The task on these examples."""
        data = examples.joined()
        digest = hashlib.sha256()
        for array in (data.inputs, data.targets, data.scored):
            digest.update(np.ascontiguousarray(array).tobytes())
        n_inputs = data.inputs.shape[2]
        return cls(task.name, task.metric, n_inputs, task.n_outputs, task.washout, digest.hexdigest(), data)

    def sample(self, n_trials: int, n_steps: int, rng: np.random.Generator) -> TaskData:
        """n_trials of the measured trials, all if there are not as many. Raises TaskError for other steps than theirs."""
        n_measured, steps = self.data.inputs.shape[:2]
        if n_steps != steps:
            raise TaskError(f"trials of {n_steps} steps asked for; those that were measured have {steps}")
        chosen = rng.permutation(n_measured)[:n_trials]
        data = self.data
        return replace(data, inputs=data.inputs[chosen], targets=data.targets[chosen], scored=data.scored[chosen])


class CascadeNetwork(PhysicalNetwork):
    """The first layers of a wiring, the last of them on twins and in training, those before it as they were measured.

    Its inputs are those of a MeasuredTask: the task's, and behind them the measured features. No gradient reaches, and no
    noise comes into, any layer but the last. readout_of: which features a read-out is given; where these are of the last
    layer alone, the others have weight 0 in the read-out of `wiring`.
    """

    def __init__(
        self,
        wiring: Wiring,
        twins: Mapping[str, Any],
        *,
        readout_of: ReadoutOf = "all",
        stack: StackMaker | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        last = len(wiring.layers) - 1
        super().__init__(first_layers(wiring, last + 1), twins, stack=stack, dtype=dtype)
        for index in range(last):
            self.layer(index).requires_grad_(False)
        n_samples = len(wiring.sample_offsets)
        self._widths = [wiring.n_senses(index) * n_samples for index in range(last)]
        self._left_out = sum(self._widths) if readout_of == "own" else 0

    def forward(
        self,
        inputs: Tensor,
        generator: torch.Generator,
        *,
        truncate_steps: int | None = None,
        checkpoint_steps: int | None = None,
        measured: Mapping[int, Measured] | None = None,
    ) -> Tensor:
        """Features (trial, step, feature) that the read-out is given; inputs (trial, step, the task's and the measured)."""
        n_inputs = self.template.n_inputs
        if inputs.shape[-1] != n_inputs + sum(self._widths):
            raise WiringError(
                f"{inputs.shape[-1]} input channels; expected {n_inputs} of the task and {sum(self._widths)} measured"
            )
        known = dict(measured or {}) | self._known(inputs[..., n_inputs:])
        features = super().forward(
            inputs[..., :n_inputs],
            generator,
            truncate_steps=truncate_steps,
            checkpoint_steps=checkpoint_steps,
            measured=known,
        )
        return features[..., self._left_out :]

    def wiring(self, readout: Readout | None = None) -> Wiring:
        """These first layers as plain arrays, with a read-out of the features that `forward` gives, if one is given."""
        if readout is None or not self._left_out:
            return super().wiring(readout)
        unseen = np.zeros((len(readout.weights), self._left_out))
        return super().wiring(replace(readout, weights=np.hstack([unseen, readout.weights])))

    def _known(self, features: Tensor) -> dict[int, Measured]:
        n_samples, found, at = len(self.template.sample_offsets), {}, 0
        for index, width in enumerate(self._widths):
            part = features[..., at : at + width].detach()
            found[index] = Measured(part.reshape(*part.shape[:2], width // n_samples, n_samples).cpu().numpy())
            at += width
        return found


def train_layer(
    make_wiring: WiringMaker,
    twins: Mapping[str, Any],
    task: Task,
    training: MeasuredExamples,
    validation: MeasuredExamples,
    *,
    seed: int,
    settings: OptimiserSettings | None = None,
    readout_of: ReadoutOf = "all",
    n_drawn: int = 16,
    n_started: int = 1,
    stack: StackMaker | None = None,
    state: Path | None = None,
) -> Generator[MultiStartEvent, None, OptimiseResult]:
    """Train the layer behind those that were measured: a generator of events that returns the result.

    make_wiring: the first layers with this one as the last, drawn from a generator. Minibatches are of `training`;
    validations fit a read-out on all of `training` and score it on `validation`, examples kept apart. Steps of a trial are
    those measured, whatever the settings say. n_drawn random starts are judged, n_started of them trained; state: see
    optimise_from_many. The result's wirings are of these first layers.
    """
    use = replace(settings or OptimiserSettings(), n_steps=training.data.inputs.shape[1])
    if len(training.features) != len(validation.features):
        raise TaskError(
            f"{len(training.features)} layers were measured on the training examples, {len(validation.features)} on the "
            "validation examples"
        )
    measured = MeasuredTask.of(task, training)

    def make_network(rng: np.random.Generator) -> CascadeNetwork:
        wiring = make_wiring(rng)
        if len(wiring.layers) != len(training.features) + 1:
            raise WiringError(
                f"{len(training.features)} layers were measured, so layer {len(training.features)} is to be trained; the "
                f"wiring has {len(wiring.layers)} layers"
            )
        return CascadeNetwork(wiring, twins, readout_of=readout_of, stack=stack)

    judging, run = np.random.SeedSequence(seed).spawn(2)
    judge = FixedJudge.of_examples(
        task.metric, measured.data, validation.joined(), n_draws=use.n_validation_draws, seed=judging
    )
    return (
        yield from optimise_from_many(
            make_network,
            measured,
            seed=int(run.generate_state(1, np.uint64)[0] >> np.uint64(1)),
            settings=use,
            n_drawn=n_drawn,
            n_started=n_started,
            state=state,
            judge=judge,
        )
    )
