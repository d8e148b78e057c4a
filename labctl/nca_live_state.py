"""An automaton held at one moment: stepped, painted on, damaged, looked at. Deterministic; no processes and no clock here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from labctl import nca_live_target as targets
from labctl.errors import CampaignError
from labctl.nca_actions import Action, Done, Erase, Flip, Jump, Paint, Reset, Resize, Turn, Wipe
from labctl.nca_live_frames import LiveFacts, LiveFrame, LiveMetrics, LiveSource, Pictures
from labctl.nca_model import SavedNca, load_members, outside_range

if TYPE_CHECKING:
    import torch

    from twins.nca import Frames
    from twins.nca.formulations.choice import Formulation

COARSE = 48
"""Cells a side of the pictures of hidden channels, at most."""
MOST_KEPT = 20_000
"""Actions that are kept to be done again; more than that no hand does."""


class LiveState:
    """One run. state: (1, channel, y, x) in the automaton's units. Raises CampaignError, ImagesError, twins.TwinError."""

    state: torch.Tensor
    _formulation: Formulation

    def __init__(self, source: LiveSource) -> None:
        import torch

        self.source = source
        self._saved = load_members(source.model)[0]
        self._images = source.data.read_for(self._saved)
        frames = self._images.frames
        for what, asked, there in (
            ("sequence", source.trial, frames.n_trials),
            ("frame", source.begin, frames.n_frames),
        ):
            if asked >= there:
                raise CampaignError(f"{what} {asked} was asked for, and there are 0 to {there - 1}")
        self._frames = frames.select([source.trial])
        self._equation = None if source.data.pde is None else targets.equation_of(source.data.pde, frames, source.trial)
        self._generator = torch.Generator().manual_seed(source.seed)
        self._data = targets.DataTarget(self._frames, 0)
        self._beside: targets.EquationTarget | None = None
        self._spread = _spread(self._frames, self._saved)
        self.total_steps = self._n_steps = self._beside_steps = 0
        self.done: list[Done] = []
        self.facts = self._told()
        self._begin(source.begin)

    @property
    def frame(self) -> float:
        """Where in the data's time."""
        return self._n_steps / self._saved.model.steps_per_frame

    @property
    def size(self) -> tuple[int, int]:
        """(rows, columns) of the field."""
        return int(self.state.shape[2]), int(self.state.shape[3])

    @property
    def steps_to_frame(self) -> int:
        """How many steps are left to the next whole frame; from 1 on."""
        per_frame = self._saved.model.steps_per_frame
        return per_frame - self._n_steps % per_frame

    @property
    def at_whole_frame(self) -> bool:
        """Whether it stands at one of the frames, not between two."""
        return self._n_steps % self._saved.model.steps_per_frame == 0

    @property
    def finite(self) -> bool:
        """Whether it has not run away."""
        import torch

        return bool(torch.isfinite(self.state).all())

    def advance(self, n_steps: int) -> None:
        """So many steps; the equation beside it keeps up."""
        import torch

        model = self._saved.model
        with torch.no_grad():
            self.state = model.automaton.unroll(
                self.state, n_steps, generator=self._generator, conditions=model.conditions(self._frames),
                formulation=self._formulation,
            ).state  # fmt: skip
        self._n_steps += n_steps
        self.total_steps += n_steps
        if self._beside is not None and self.source.data.pde is not None:
            due = self._n_steps * self.source.data.pde.steps_per_frame // model.steps_per_frame
            self._beside.advance(due - self._beside_steps)
            self._beside_steps = due

    def do(self, action: Action) -> None:
        """Do it, and remember it. Raises CampaignError for what cannot be done here."""
        match action:
            case Paint():
                self._paint(action)
            case Erase():
                self._wipe(self._disc(action.y, action.x, action.radius))
            case Wipe():
                self._wipe(self._hole(action))
            case Turn():
                self._turn(action.degrees // 90)
            case Flip():
                self._mirror()
            case Reset():
                self._begin(0)
            case Jump():
                self._begin(action.frame)
            case Resize():
                self._resize(action)
        if len(self.done) < MOST_KEPT:
            self.done.append(Done(self.total_steps, action))

    def reload(self) -> None:
        """Take the automaton's file as it is now, and begin anew. Raises CampaignError, twins.TwinError."""
        saved = load_members(self.source.model)[0]
        if saved.model.automaton.spec != self._saved.model.automaton.spec:
            raise CampaignError(f"{self.source.model} is another kind of automaton now; open it anew")
        self._saved = saved
        self._begin(0)

    def look(
        self, number: int, *, doing: str, steps_per_s: float, enlarged: int | None, waves: bool = True
    ) -> LiveFrame:
        """A picture of this moment. waves: whether wavelengths are measured, which on large fields takes its time."""
        spec, model = self._saved.model.automaton.spec, self._saved.model
        whole = self.state[0].numpy()
        observed = model.scaling.from_unit(whole[: spec.n_observed].transpose(1, 2, 0))
        hidden = whole[spec.n_observed + spec.n_environment :].astype(np.float32)
        every = -(-max(self.size) // COARSE)
        large = None if enlarged is None or enlarged >= len(hidden) else np.ascontiguousarray(hidden[enlarged])
        target = self._target()
        return LiveFrame(
            number, self.total_steps, self.frame, doing, steps_per_s, np.ascontiguousarray(observed), target,
            np.ascontiguousarray(hidden[:, ::every, ::every]), None if large is None else enlarged, large,
            self._metrics(observed, target, waves=waves), len(self.done),
        )  # fmt: skip

    def figures(self) -> LiveMetrics:
        """Of this moment, without wavelengths."""
        n_observed = self._saved.model.automaton.spec.n_observed
        observed = self._saved.model.scaling.from_unit(self.state[0, :n_observed].numpy().transpose(1, 2, 0))
        return self._metrics(observed, self._target(), waves=False)

    def like(self, values: NDArray[np.float32]) -> Frames:
        """Pictures (1, time, y, x, channel) as frames of this run."""
        return replace(self._frames, values=values, environment=None)

    def _target(self) -> Pictures | None:
        if self._beside is None:
            return self._data.at(self.frame, self.size)
        picture = self._beside.picture()
        return picture if np.isfinite(picture).all() else None

    def _metrics(self, observed: Pictures, target: Pictures | None, *, waves: bool) -> LiveMetrics:
        from twins.nca.metrics import mass, pattern_sd, wavelength

        nothing = (float("nan"),) * observed.shape[2]
        if not np.isfinite(observed).all():
            return LiveMetrics(self.frame, nothing, nothing, nothing, float("nan"))
        pictures = observed.transpose(2, 0, 1)
        window = self._saved.model.automaton.spec.padding != "periodic"
        lengths = _floats(wavelength(pictures, window=window) * self._frames.pixel) if waves else nothing
        error = float("nan")
        if target is not None:
            unit = self._saved.model.scaling.to_unit
            with np.errstate(over="ignore"):
                error = float(np.sqrt(np.mean((unit(observed).astype(float) - unit(target)) ** 2))) / self._spread
        return LiveMetrics(self.frame, _floats(mass(pictures)), _floats(pattern_sd(pictures)), lengths, error)

    def _begin(self, frame: int) -> None:
        if not 0 <= frame < self._frames.n_frames:
            raise CampaignError(f"the data have the frames 0 to {self._frames.n_frames - 1}, not {frame}")
        self._data.upright = targets.Orientation()
        self._set(self._saved.model.start(self._frames, frame), frame)

    def _set(self, state: torch.Tensor, frame: int) -> None:
        """Another state, at a whole frame; the equation beside it begins at the same values."""
        import torch

        from twins.nca.formulations.choice import chosen

        model = self._saved.model
        self.state = state.contiguous()
        self._n_steps = frame * model.steps_per_frame
        with torch.no_grad():  # chosen once: the same run whatever parts its steps are taken in
            many = 1 << 20
            self._formulation = chosen(model.automaton, self.state, model.conditions(self._frames), many, "auto")
        if self._equation is not None and self.source.data.pde is not None:
            observed = state[0, : model.automaton.spec.n_observed].double().permute(1, 2, 0).numpy()
            low, high = np.array(model.scaling.lows), np.array(model.scaling.highs)
            field = torch.from_numpy(low + observed * (high - low)).permute(2, 0, 1)[None].contiguous()
            self._beside = targets.EquationTarget(self.source.data.pde, self._equation, field)
            self._beside_steps = frame * self.source.data.pde.steps_per_frame

    def _paint(self, action: Paint) -> None:
        names = self._saved.model.names
        values = action.values if action.values is not None else self.facts.seed
        if len(values) != len(names):
            raise CampaignError(f"one value for each of {', '.join(names)}, not {len(values)}")
        if action.channel is not None and not 0 <= action.channel < len(names):
            raise CampaignError(
                f"the observed channels are 0 to {len(names) - 1} ({', '.join(names)}), not {action.channel}"
            )
        mask = self._disc(action.y, action.x, action.radius)
        unit = self._saved.model.scaling.to_unit(np.asarray(values, dtype=float))
        self.state = self.state.clone()
        for place in range(len(names)) if action.channel is None else (action.channel,):
            self.state[0, place][mask] = float(unit[place])
            if self._beside is not None:
                self._beside.field = self._beside.field.clone()
                self._beside.field[0, place][mask] = float(values[place])

    def _wipe(self, mask: torch.Tensor) -> None:
        import torch

        from twins.nca.training.damage import damage

        model = self._saved.model
        background = model.scaling.to_unit(np.asarray(self.facts.background, dtype=float))
        self.state = damage(self.state, mask, model.automaton.spec, background=_floats(background))
        if self._beside is not None:
            empty = torch.tensor(self.facts.background, dtype=torch.float64)[:, None, None]
            self._beside.field = torch.where(mask, empty, self._beside.field)

    def _disc(self, y: float, x: float, radius: float) -> torch.Tensor:
        from twins.nca.training.damage import disc_mask

        return disc_mask(self.size, (y, x), radius, periodic=self._saved.model.automaton.spec.padding == "periodic")

    def _hole(self, action: Wipe) -> torch.Tensor:
        from twins.nca.training.damage import Damage

        spec = self._saved.model.automaton.spec
        hole = Damage(kind=action.kind, share=1.0, radius=(action.radius, action.radius))  # type: ignore[arg-type]
        return hole.mask(1, self.size, spec, generator=self._generator)[0]

    def _turn(self, n_turns: int) -> None:
        import torch

        self.state = torch.rot90(self.state, n_turns, (-2, -1)).contiguous()
        if self._beside is not None:
            self._beside.field = torch.rot90(self._beside.field, n_turns, (-2, -1)).contiguous()
        self._data.upright = self._data.upright.turned(n_turns)

    def _mirror(self) -> None:
        self.state = self.state.flip(-1).contiguous()
        if self._beside is not None:
            self._beside.field = self._beside.field.flip(-1).contiguous()
        self._data.upright = self._data.upright.mirrored()

    def _resize(self, action: Resize) -> None:
        from labctl.nca_live_size import begun_in_size

        self._data.upright = targets.Orientation()
        start = begun_in_size(self.source, self._frames, self._saved.model, (action.rows, action.columns))
        self._set(self._saved.model.start(start, 0), 0)

    def _told(self) -> LiveFacts:
        model, frames, equation = self._saved.model, self._frames, self._equation
        spec = model.automaton.spec
        background, seed = tuple(model.scaling.lows), tuple(model.scaling.highs)
        if equation is not None:
            rest = equation.rest()
            background = _floats(rest) if len(rest) == len(background) else background
            seed = _floats(equation.seed) if len(equation.seed) == len(seed) else seed
        told = (*self._images.told, *outside_range(model, frames))
        return LiveFacts(
            self._saved.name, model.names, model.units, spec.n_channels - spec.n_observed - spec.n_environment,
            model.steps_per_frame, frames.n_frames, self._images.frames.n_trials, frames.size, model.dt_s, model.time_unit,
            frames.pixel, frames.pixel_unit, model.scaling.lows, model.scaling.highs, background, seed,
            equation is not None, self._saved.simulated or frames.simulated, told,
        )  # fmt: skip


def _spread(frames: Frames, saved: SavedNca) -> float:
    """Standard deviation of the data about its channels' means, in the automaton's units; as in twins.nca.free_run."""
    unit = saved.model.scaling.to_unit(frames.values[0]).astype(float)
    centred = unit - unit.mean(axis=(0, 1, 2), keepdims=True)
    return max(float(np.sqrt(np.mean(centred**2))), 1e-12)


def _floats(values: Sequence[float] | NDArray[Any]) -> tuple[float, ...]:
    return tuple(float(one) for one in values)
