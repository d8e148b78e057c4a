"""Cascade learning on the bench: train a layer on the twins, MEASURE it, train the next on what was measured, and so on.

Each layer is played once, for all examples: those it is trained on, those it is validated on, and the held-out ones. The
layers behind it never see anything but what the bench answered, so errors of the twins do not add up from layer to layer.
At the end the read-out is fitted on measured features and scored on the held-out ones, without playing anything again.

The folder holds all there is to go on from after an interruption:

cascade.json       what was asked for, and figures of every layer so far
layer-K/           trained.json and .safetensors (the layers up to K), figures.json, and one recording a play
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from labctl.bench import Bench
from labctl.campaign import Campaign, Step
from labctl.campaigns.cascade_files import (
    digest_of,
    instruments_of,
    numbers_of,
    read_layer_figures,
    same_as_before,
    told_plan,
)
from labctl.campaigns.cascade_options import CascadedLayer, CascadedNetwork, CascadeOptions
from labctl.campaigns.record_once import record_once, recorded_seconds
from labctl.campaigns.streams import number_of
from labctl.clearance import Clearance
from labctl.deployment import Measurement, judge_features
from labctl.errors import CampaignError, GatesNotPassed
from labctl.events import Reported, Warned
from labctl.json_file import write_json
from labctl.network_bench import apply_conditions, check_wiring, play_layers
from labctl.workers import Job, side_by_side

if TYPE_CHECKING:
    from labctl.campaigns.cascade_layer import TrainedLayer
    from labctl.campaigns.drive_ranges import DeviceRanges
    from labctl.campaigns.plans import TaskPlan
    from twins.network.cascade import MeasuredExamples
    from twins.network.tasks import TaskData
    from twins.network.wiring import Wiring

Array = NDArray[np.float64]


def cascade(
    bench: Bench,
    plan: TaskPlan,
    twins: Mapping[str, Path],
    *,
    clearance: Clearance,
    ranges: Mapping[str, DeviceRanges],
    conditions: Mapping[str, float],
    seed: int,
    examples_seed: int,
    folder: Path,
    options: CascadeOptions | None = None,
) -> Campaign[CascadedNetwork]:
    """Train the plan's network layer by layer on these twins (files by device) and the bench; each layer gets as many
    passes as the plan has.

    clearance: leave to apply what is trained on these twins. ranges: where each device may be driven. conditions: held
    throughout. examples_seed: of the plan's examples; its held-out ones decide nothing. folder: as said above; where it
    holds an interrupted cascade of the same plan, twins and seeds, that is gone on with, and nothing is trained or played
    twice. Raises CampaignError, before anything is played, for a recurrent network, for conditions that are to be trained,
    and for a folder of another cascade; GatesNotPassed; and what the bench raises.
    """
    run = _Cascade(bench, plan, twins, clearance, ranges, conditions, seed, examples_seed, folder, options)
    step = Step(run.key, f"Cascade of {len(plan.architecture.plans)} layers for {plan.task.name}")
    yield step.started()
    if clearance.override is not None:
        yield Warned(run.key, f"applied although the twins' gates were not passed, because: {clearance.override}")
    result = yield from run.run()
    yield Reported(run.key, result.as_dict(), (str(folder / "cascade.json"),))
    yield step.finished(
        f"measured {plan.task.metric} {result.measurement.mean:.4f} ± {result.measurement.std:.4f}, "
        f"{result.device_seconds:.1f} s of device time"
    )
    return result


class _Cascade:
    """The cascade under way."""

    def __init__(
        self,
        bench: Bench,
        plan: TaskPlan,
        twins: Mapping[str, Path],
        clearance: Clearance,
        ranges: Mapping[str, DeviceRanges],
        conditions: Mapping[str, float],
        seed: int,
        examples_seed: int,
        folder: Path,
        options: CascadeOptions | None,
    ) -> None:
        self._use = options or CascadeOptions()
        n_training = self._use.n_training_trials or plan.n_training_trials
        self._plan = replace(plan, n_training_trials=n_training)
        self._bench, self._twins, self._clearance = bench, twins, clearance
        self._ranges, self._conditions = ranges, dict(conditions)
        self._seed, self._examples_seed, self._folder = seed, examples_seed, folder
        self._n_repeats = self._use.n_repeats or plan.n_repeats
        self._streams = np.random.SeedSequence(seed).spawn(2 + len(plan.architecture.plans))
        training, heldout = self._plan.examples(seed=examples_seed)
        stream = np.random.SeedSequence(examples_seed).spawn(3)[2]  # the first two are those of the plan's examples
        rng = np.random.default_rng(stream)
        validation = plan.task.sample(self._use.n_validation_trials, plan.n_steps, rng)
        self._sets: tuple[TaskData, TaskData, TaskData] = (training, validation, heldout)
        self._features: list[Array] = []
        self._layers: list[CascadedLayer] = []
        self._digests: dict[str, str] = {}
        self._asked: dict[str, Any] = {}
        self.key = f"cascade/{plan.task.name}"

    def run(self) -> Campaign[CascadedNetwork]:
        """Layer after layer, then the read-out."""
        initial = self._initial()
        self._check(initial)
        self._begin_folder()
        apply_conditions(self._bench, self._conditions)
        first: Wiring | None = None
        for number in range(len(initial.layers)):
            trained = yield from self._train(number, first, initial)
            first = trained.wiring
            yield from self._measure(number, trained)
        assert first is not None  # a wiring has a layer
        measurement = self._judged(first)
        assert measurement.refitted_wiring is not None  # training examples were played
        return CascadedNetwork(
            plan=self._plan,
            wiring=measurement.refitted_wiring,
            initial=initial,
            measurement=measurement,
            layers=tuple(self._layers),
            seed=self._seed,
            examples_seed=self._examples_seed,
        )

    # ---- one layer --------------------------------------------------------------------------------------------------

    def _train(self, number: int, first: Wiring | None, initial: Wiring) -> Campaign[TrainedLayer]:
        """In a worker process; a layer that was trained before is read."""
        from labctl.campaigns.cascade_layer import TrainedLayer, train_cascade_layer
        from twins.network.multi_start_state import forget_choice
        from twins.network.wiring_file import load_wiring, save_wiring

        folder, key = self._folder_of(number), f"{self.key}/layer{number + 1}/train"
        figures = folder / "figures.json"
        if figures.exists():
            step = Step(key, f"Layer {number + 1}")
            yield step.started()
            known, wiring = read_layer_figures(figures), load_wiring(folder / "trained")
            yield step.finished("trained before")
            return TrainedLayer(wiring, **known.model_dump())
        state = folder / "unfinished.json"
        training, validation = self._examples(0), self._examples(1)
        job = Job(
            train_cascade_layer,
            {
                "twins": dict(self._twins),
                "plan": self._plan,
                "ports": initial.ports,
                "first": first,
                "training": training,
                "validation": validation,
                "conditions": self._conditions,
                "seed": number_of(self._streams[2 + number]),
                "readout_of": self._use.readout_of,
                "key": key,
                "state": state,
            },
        )
        found: TrainedLayer = (yield from side_by_side({key: job}))[key]
        save_wiring(found.wiring, folder / "trained", provenance=self._bench.provenance(seed=self._seed))
        told = {one.name: getattr(found, one.name) for one in fields(found) if one.name != "wiring"}
        write_json(figures, told)  # last: it says that the layer is trained
        forget_choice(state)
        return found

    def _measure(self, number: int, trained: TrainedLayer) -> Campaign[None]:
        """Play the layer for all examples, and score a read-out on the layers so far."""
        from labctl.campaigns.cascade_layer import validated

        training, validation, heldout = self._sets
        inputs = np.concatenate([training.inputs, validation.inputs, *[heldout.inputs] * self._n_repeats])
        folder = self._folder_of(number)
        played = yield from play_layers(
            self._bench,
            trained.wiring,
            inputs,
            folder=folder,
            key=f"{self.key}/layer{number + 1}",
            title=f"Cascade for {self._plan.task.name}",
            known=dict(enumerate(self._features)),
            n_layers=len(self._plan.architecture.plans),
            seed=self._examples_seed,
            provenance={"clearance": self._clearance.as_dict()},
            recorder=record_once,
        )
        self._features.append(played.features[number])
        layer = CascadedLayer(
            before=trained.before,
            promised=trained.promised,
            measured=validated(self._plan, self._examples(0), self._examples(1), readout_of=self._use.readout_of),
            heldout_measured=self._judged(trained.wiring).mean,
            device_seconds=recorded_seconds(folder),
            n_passes=trained.n_passes,
            train_seconds=trained.seconds,
            learning_curve=trained.learning_curve,
        )
        self._layers.append(layer)
        self._write_progress()
        figures = {name: value for name, value in asdict(layer).items() if name != "learning_curve"}
        yield Reported(f"{self.key}/layer{number + 1}", figures, (str(folder),))

    def _judged(self, wiring: Wiring) -> Measurement:
        """Held-out examples by a read-out that was fitted on all others, its penalty by cross-validation."""
        from twins.network.tasks import TaskData

        training, validation, heldout = self._sets
        both = TaskData(
            np.concatenate([training.inputs, validation.inputs]),
            np.concatenate([training.targets, validation.targets]),
            np.concatenate([training.scored, validation.scored]),
        )
        used_s = sum(recorded_seconds(self._folder_of(number)) for number in range(len(wiring.layers)))
        return judge_features(
            wiring.with_readout(None),
            self._features,
            self._plan.task.metric,
            both,
            heldout,
            self._n_repeats,
            used_s,
            self._folder,
            self._plan.settings.readout_regularisation,
        )

    def _examples(self, part: int) -> MeasuredExamples:
        """Training (0) or validation (1) examples with what was measured of them so far."""
        from twins.network.cascade import MeasuredExamples

        before = sum(len(one.inputs) for one in self._sets[:part])
        chosen = slice(before, before + len(self._sets[part].inputs))
        return MeasuredExamples(self._sets[part], tuple(one[chosen] for one in self._features))

    # ---- before anything is played ----------------------------------------------------------------------------------

    def _initial(self) -> Wiring:
        """The random wiring that gives ports and shapes; every layer is drawn anew when its turn comes."""
        from labctl.campaigns.cascade_layer import starting_wiring
        from twins.ensemble_file import load_any_twin

        devices = self._plan.devices
        missing = [device for device in devices if device not in self._twins]
        if missing:
            raise CampaignError(
                f"the network plays on {', '.join(missing)}; twins are given of {', '.join(self._twins)}"
            )
        self._twins = {device: self._twins[device] for device in devices}
        loaded = {device: load_any_twin(path) for device, path in self._twins.items()}
        self._digests = {device: digest_of(numbers_of(twin)) for device, twin in loaded.items()}
        return starting_wiring(loaded, self._plan, self._ranges, self._conditions, self._streams[:2])

    def _check(self, wiring: Wiring) -> None:
        from twins.network.cascade import first_layers

        if self._plan.trained_conditions:
            raise CampaignError(
                f"the plan trains {', '.join(self._plan.trained_conditions)}: in a cascade conditions are held, for a change "
                "would be one of the layers that are measured already; optimise it end to end, or hold them"
            )
        first_layers(wiring, 1)  # refuses what is recurrent
        lacking = self._clearance.lacks(port.name for port in wiring.ports)
        if lacking:
            raise GatesNotPassed(
                f"the network plays on {', '.join(lacking)}, whose twins were not cleared; see labctl.clearance"
            )
        check_wiring(self._bench, wiring)

    # ---- files ------------------------------------------------------------------------------------------------------

    def _begin_folder(self) -> None:
        """Say what is asked for; refuse a folder in which something else was."""
        self._asked = {
            "plan": told_plan(self._plan),
            "examples": digest_of(array for one in self._sets for array in (one.inputs, one.targets, one.scored)),
            "options": asdict(self._use),
            "ranges": {device: np.asarray(one).tolist() for device, one in self._ranges.items()},
            "conditions": self._conditions,
            "seed": self._seed,
            "examples_seed": self._examples_seed,
            "twins": self._digests,
            "simulated": self._bench.simulated,
            "instruments": instruments_of(self._bench, self._plan.devices),
        }
        if not same_as_before(self._folder / "cascade.json", self._asked):
            self._folder.mkdir(parents=True, exist_ok=True)
            self._write_progress()

    def _write_progress(self) -> None:
        write_json(
            self._folder / "cascade.json", {"asked": self._asked, "layers": [asdict(one) for one in self._layers]}
        )

    def _folder_of(self, number: int) -> Path:
        folder = self._folder / f"layer-{number + 1}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder
