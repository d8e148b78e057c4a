"""The tables of a network file, as pydantic models. Unknown keys are errors; values are strict; sizes are bounded.

task, task_options      what the network is for: a name, or FILE.py:ClassName
samples_per_step …      how a step is played and sampled
[layers.NAME]           nodes, listens_to, taps, delays, densities, gain_levels; layers are played in this order
[devices.NAME]          range, dac_bits …, of the outputs that drive it
[conditions]            set-points: held at a value, or trained within low..high
[initial]               first weights
[optimiser], [sizes]    how long, and on how much; what is not given is as in the plan of the task
"""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, FiniteFloat, PositiveFloat, model_validator

from labctl.station_schema import Name

INPUT = "input"
"""What a layer listens to when it listens to the task's input."""
MOST_NODES = 10_000
MOST_LAYERS = 100
MOST_STEPS_BACK = 10_000

Range = Annotated[tuple[FiniteFloat, FiniteFloat], Field(strict=False)]
StepsBack = Annotated[
    tuple[Annotated[int, Field(ge=0, le=MOST_STEPS_BACK)], ...], Field(strict=False, max_length=1_000)
]
Density = Annotated[float, Field(gt=0.0, le=1.0)]
Count = Annotated[int, Field(ge=1, le=10_000_000)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]


def _nodes(given: object) -> object:
    """{ device = count } as a list of device names."""
    if not isinstance(given, dict):
        return given
    for device, count in given.items():
        if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= MOST_NODES:
            raise ValueError(f"{device}: a number of nodes is a whole number from 1 to {MOST_NODES}, not {count!r}")
    return [device for device, count in given.items() for _ in range(count)]


def _condition(given: object) -> object:
    """A bare number holds a condition there."""
    return {"value": given} if isinstance(given, int | float) and not isinstance(given, bool) else given


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


class LevelsTable(_Table):
    """The values that something can have: equally spaced, from low to high."""

    low: FiniteFloat
    """The lowest."""
    high: FiniteFloat
    """The highest."""
    bits: Annotated[int, Field(ge=1, le=24)] | None = None
    """2^bits values; or give n."""
    n: Annotated[int, Field(ge=2, le=2**24)] | None = None
    """How many values; or give bits."""

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if not self.low < self.high:
            raise ValueError(f"low must be below high, not {self.low:g}..{self.high:g}")
        if (self.bits is None) == (self.n is None):
            raise ValueError("give either bits or n")
        return self

    @property
    def count(self) -> int:
        """How many values there are."""
        return self.n if self.n is not None else 2 ** (self.bits or 1)


class LayerTable(_Table):
    """Nodes that are played together, each one play of one device."""

    nodes: Annotated[
        tuple[Name, ...], Field(strict=False, min_length=1, max_length=MOST_NODES), BeforeValidator(_nodes)
    ]
    """{ device = how many nodes }, or a list of device names, one a node."""
    listens_to: Annotated[tuple[Name, ...], Field(strict=False, min_length=1)] | None = None
    """"input" and names of layers; its own or a later one makes the network recurrent. The input and the layer before if
    not given."""
    input_taps: StepsBack | None = None
    """How many steps ago the inputs are that it hears; those of the network if not given."""
    coupling_delays: StepsBack | None = None
    """How many steps ago the nodes are that it hears; those of the network if not given."""
    input_density: Density = 1.0
    """Which part of the input weights exists, drawn at random; the others stay 0."""
    coupling_density: Density = 1.0
    """The same of the weights between nodes."""
    gain_levels: LevelsTable | None = None
    """The gains that its amplifiers have; any if not given."""


class DriveTable(_Table):
    """One output that drives a device."""

    range: Range | None = None
    """Lowest and highest drive; what its twin was fitted on, within the station's limits, if not given."""
    dac_bits: Annotated[int, Field(ge=1, le=24)] | None = None
    """Bits of the output: 2^bits values over dac_range."""
    dac_range: Range | None = None
    """Full scale of the output; the station's limits if not given."""
    dac_step: PositiveFloat | None = None
    """The step of the output, instead of dac_bits."""

    @model_validator(mode="after")
    def _sound(self) -> Self:
        for name, edges in (("range", self.range), ("dac_range", self.dac_range)):
            if edges is not None and not edges[0] < edges[1]:
                raise ValueError(f"{name}: low must be below high, not {edges[0]:g}..{edges[1]:g}")
        if self.dac_bits is not None and self.dac_step is not None:
            raise ValueError("give either dac_bits or dac_step")
        if self.dac_range is not None and self.dac_bits is None and self.dac_step is None:
            raise ValueError("dac_range needs dac_bits or dac_step")
        return self


class DeviceTable(DriveTable):
    """How a device is driven: the same for all outputs that drive it, unless `drives` says otherwise."""

    drives: dict[Name, DriveTable] = Field(default_factory=dict)
    """For a device of several drive channels: each by the channel's name."""


class ConditionTable(_Table):
    """A set-point: held at `value`, or trained within low..high."""

    value: FiniteFloat | None = None
    """Where it is held; or where training begins (the middle if not given)."""
    low: FiniteFloat | None = None
    """Trained: the lowest value."""
    high: FiniteFloat | None = None
    """Trained: the highest value."""

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if (self.low is None) != (self.high is None):
            raise ValueError("low and high belong together: a trained condition has both, a held one neither")
        if self.low is None or self.high is None:
            if self.value is None:
                raise ValueError("give a value to hold it at, or low and high to train it within")
        elif not self.low < self.high:
            raise ValueError(f"low must be below high, not {self.low:g}..{self.high:g}")
        elif self.value is not None and not self.low <= self.value <= self.high:
            raise ValueError(f"the value {self.value:g} to begin at lies outside {self.low:g}..{self.high:g}")
        return self

    @property
    def trained(self) -> tuple[float, float] | None:
        """Lowest and highest value of a trained condition, None for one that is held."""
        return None if self.low is None or self.high is None else (self.low, self.high)

    @property
    def start(self) -> float:
        """Where it is held, or where training begins."""
        if self.value is not None:
            return self.value
        return 0.5 * ((self.low or 0.0) + (self.high or 0.0))


class InitialTable(_Table):
    """First weights, in units of what passes into the tanh; see twins.network.initialise.InitialScales."""

    input: Annotated[float, Field(gt=0, le=1e3)] | None = None
    """Width of the input weights."""
    coupling: Annotated[float, Field(gt=0, le=1e3)] | None = None
    """Width of the weights between nodes."""
    bias: Annotated[float, Field(ge=0, le=1e3)] | None = None
    """Width of the biases."""
    n_starts: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """Random networks that are judged before training."""
    n_trained_starts: Annotated[int, Field(ge=1, le=1_000)] | None = None
    """How many of them, the best, are trained a little before the best of those is trained to the end."""


class SizesTable(_Table):
    """What is played on the bench, and how hard the reservoir is searched."""

    n_steps: Count | None = None
    """Steps of a trial."""
    n_training_trials: Count | None = None
    """Trials on which the rivals' read-outs are fitted."""
    n_heldout_trials: Count | None = None
    """Trials that are scored."""
    n_repeats: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """How often the scored trials are played."""
    n_reservoir_draws: Annotated[int, Field(ge=20, le=100_000)] | None = None
    """Random networks that the reservoir is the best of."""
    n_reservoir_trials: Count | None = None
    """Trials on which each of them is judged."""


class NetworkFile(_Table):
    """A network of devices, the task it is for, and how it is optimised."""

    name: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    """A name for people; the task's if not given."""
    description: str = ""
    """Anything a colleague should know."""
    task: Annotated[str, Field(min_length=1, max_length=1_000)]
    """A task by name or FILE.py:ClassName (beside this file) for one of your own."""
    task_options: dict[str, Any] = Field(default_factory=dict)
    """Options of the task, by name."""
    seed: Seed = 0
    """Of weights and noise."""
    examples_seed: Seed | None = None
    """Of the examples that are played on the bench; seed + 1 if not given."""
    samples_per_step: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """How many samples an input is held; or give hold_s."""
    hold_s: PositiveFloat | None = None
    """How long an input is held, a whole number of sampling times."""
    sample_offsets: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(strict=False, min_length=1)] | None = None
    """Which samples of a step are features; all if not given."""
    input_taps: StepsBack | None = None
    """How many steps ago the inputs are that layers hear."""
    coupling_delays: StepsBack | None = None
    """How many steps ago the nodes are that layers hear; all at least 1 in a recurrent network."""
    layers: Annotated[dict[Name, LayerTable], Field(min_length=1, max_length=MOST_LAYERS)]
    """In the order in which they are played."""
    devices: dict[Name, DeviceTable] = Field(default_factory=dict)
    """Those that need more than the defaults."""
    conditions: dict[Name, Annotated[ConditionTable, BeforeValidator(_condition)]] = Field(default_factory=dict)
    """By channel: a number to hold it there, or { low, high } to train it."""
    initial: InitialTable = InitialTable()
    """First weights."""
    optimiser: dict[str, int | float | bool | str | None] = Field(default_factory=dict)
    """Any of twins.network.optimise.OptimiserSettings, by name."""
    sizes: SizesTable = SizesTable()
    """What is played on the bench."""

    @model_validator(mode="after")
    def _one_hold(self) -> Self:
        if self.samples_per_step is not None and self.hold_s is not None:
            raise ValueError("give either samples_per_step or hold_s")
        return self
