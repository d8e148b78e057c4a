"""What a network is to be like before it has numbers: layers, devices, taps, and how wide random weights are."""

from __future__ import annotations

from dataclasses import dataclass

from twins.network.ports import Levels, WiringError


@dataclass(frozen=True, slots=True)
class InitialScales:
    """Widths of random weights, in units of the pre-activation z.

    input: W_in uniform within ± input / sqrt(taps · inputs). coupling: W normal, of standard deviation coupling /
    sqrt(fan-in). bias: uniform within ± bias. Gains start at 1. Where connections are masked, the fan-in is what is left.
    """

    input: float = 1.5
    coupling: float = 1.0
    bias: float = 0.5


@dataclass(frozen=True, slots=True)
class LayerPlan:
    """One layer of an architecture. devices: of the nodes. None: what the architecture says.

    sources: numbers of the layers it listens to (None: the layer before; none for the first). input_density,
    coupling_density: the share of connections that there are, drawn at random. gain_levels: what gains can be set to.
    """

    devices: tuple[str, ...]
    name: str = ""
    sources: tuple[int, ...] | None = None
    input_taps: tuple[int, ...] | None = None
    coupling_delays: tuple[int, ...] | None = None
    input_density: float = 1.0
    coupling_density: float = 1.0
    gain_levels: Levels | None = None

    def __post_init__(self) -> None:
        for name in ("input_density", "coupling_density"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise WiringError(f"layer {self.name!r}: {name} must lie in 0..1, not {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class Architecture:
    """Everything of a wiring but its numbers.

    layers: plans, or just the device names of the nodes, layer by layer. input_taps: steps, of every layer that does not
    say otherwise. coupling_delays: steps, likewise, of every layer that listens to one. samples_per_step,
    sample_offsets, dt_s (s), washout (steps), n_inputs as in Wiring.
    """

    layers: tuple[LayerPlan | tuple[str, ...], ...]
    samples_per_step: int
    sample_offsets: tuple[int, ...]
    dt_s: float
    input_taps: tuple[int, ...] = (0,)
    coupling_delays: tuple[int, ...] = (0,)
    n_inputs: int = 1
    washout: int = 0

    @property
    def plans(self) -> tuple[LayerPlan, ...]:
        """The layers with everything said."""
        found = []
        for index, given in enumerate(self.layers):
            plan = given if isinstance(given, LayerPlan) else LayerPlan(tuple(given))
            sources = plan.sources if plan.sources is not None else ((index - 1,) if index else ())
            delays = self.coupling_delays if plan.coupling_delays is None else plan.coupling_delays
            found.append(
                LayerPlan(
                    plan.devices,
                    plan.name,
                    sources,
                    self.input_taps if plan.input_taps is None else plan.input_taps,
                    delays if sources else (),
                    plan.input_density,
                    plan.coupling_density,
                    plan.gain_levels,
                )
            )
        return tuple(found)

    @property
    def n_nodes(self) -> int:
        """Nodes of all layers."""
        return sum(len(plan.devices) for plan in self.plans)

    @property
    def devices(self) -> tuple[str, ...]:
        """The devices it plays on, each once."""
        return tuple(dict.fromkeys(device for plan in self.plans for device in plan.devices))

    def reachable_taps(self, *, furthest: int = 100) -> tuple[int, ...]:
        """How many steps back its taps and delays reach, in all layers together; recurrence reaches `furthest`."""
        plans = self.plans
        reached: list[set[int]] = [set(plan.input_taps or ()) for plan in plans]
        while True:
            before = [set(one) for one in reached]
            for index, plan in enumerate(plans):
                heard = {tap for source in plan.sources or () for tap in before[source]}
                further = {tap + delay for tap in heard for delay in plan.coupling_delays or ()}
                reached[index] |= {tap for tap in further if tap <= furthest}
            if reached == before:
                return tuple(sorted(set().union(*reached)))

    @property
    def recurrent(self) -> bool:
        """Whether a layer listens to itself or to a later one."""
        return any(source >= index for index, plan in enumerate(self.plans) for source in plan.sources or ())
