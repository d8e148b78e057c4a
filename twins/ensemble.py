"""Ensembles: several twins of one device, fitted apart. Where they disagree the data have not decided."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from twins.device.history import Bank, Histories
from twins.device.ranges import check_conditions, check_drive
from twins.device.spec import DeviceTwinSpec
from twins.device.twin import DeviceTwin
from twins.errors import TracesInvalid, TracesMismatch
from twins.fitting.events import FitEvent, FitResult
from twins.fitting.fit import fit
from twins.traces import Traces

_MOST_MEMBERS = 16


@dataclass(frozen=True, slots=True, eq=False)
class Disagreement:
    """What of the uncertainty more data would remove, and what is the device's own, in response units.

    epistemic: (…, time, response), standard deviation over members of their mean responses, freed of what the finite
    number of draws adds; zero where nothing is left. aleatoric: the same, root mean variance within the members.
    """

    epistemic: Tensor
    aleatoric: Tensor

    @property
    def ratio(self) -> Tensor:
        """(…,): root mean square of the epistemic over that of the aleatoric part, each response in units of its own."""
        scale = self.aleatoric.square().flatten(0, -2).mean(0)
        parts = (self.epistemic.square() / scale, self.aleatoric.square() / scale)
        above, below = (part.mean((-2, -1)) for part in parts)
        return (above / below).sqrt()


@dataclass(frozen=True, slots=True)
class MemberEvent:
    """An event of the fit of one member; `member` counts from 0."""

    member: int
    n_members: int
    event: FitEvent


@final
class TwinEnsemble:
    """Twins of one structure that answer as one: every trial is the response of a member drawn at random.

    The spread of its answers therefore holds both what the device does at random and what the fits do not agree on.
    Ranges are those that all members were fitted on, start histories those of all.

    Raises TracesMismatch for twins of different structure, TwinNotFitted.
    """

    def __init__(self, members: Sequence[DeviceTwin]) -> None:
        if not 1 <= len(members) <= _MOST_MEMBERS:
            raise TracesMismatch(f"an ensemble has 1 to {_MOST_MEMBERS} members, not {len(members)}")
        for number, member in enumerate(members):
            member.require_fitted()
            if member.spec != members[0].spec:
                raise TracesMismatch(f"member {number} has another structure or other channels than member 0")
        self.members = tuple(members)

    def __len__(self) -> int:
        return len(self.members)

    @property
    def spec(self) -> DeviceTwinSpec:
        """The structure of every member."""
        return self.members[0].spec

    @property
    def linear_weight(self) -> Tensor:
        """A parameter of the first member: what has its dtype and device fits all."""
        return self.members[0].linear_weight

    @property
    def drive_range(self) -> Tensor:
        """(drive, 2): what every member was fitted on."""
        return self._common("drive_range")

    @property
    def condition_range(self) -> Tensor:
        """(condition, 2): likewise."""
        return self._common("condition_range")

    @property
    def response_range(self) -> Tensor:
        """(response, 2): likewise."""
        return self._common("response_range")

    @property
    def bank(self) -> Bank:
        """The measured starts of all members."""
        banks = [member.bank for member in self.members]
        parts = ([bank.response for bank in banks], [bank.drive for bank in banks], [bank.conditions for bank in banks])
        return Bank(*(torch.cat(part) for part in parts))

    def member(self, number: int) -> DeviceTwin:
        """One of the twins."""
        return self.members[number]

    def require_fitted(self) -> None:
        """As of a twin; members are fitted ones."""

    def histories(
        self,
        n: int | Sequence[int] | Tensor,
        *,
        generator: torch.Generator | None = None,
        conditions: Tensor | None = None,
    ) -> Histories:
        """Start histories from the banks of all members, as DeviceTwin.histories."""
        return self.bank.pick(n, generator=generator, conditions=conditions)

    def respond(
        self,
        drive: Float[Tensor, "*batch time drive"],
        *,
        generator: torch.Generator | None = None,
        history: Histories | None = None,
        noise: Float[Tensor, "steps *batch noise"] | None = None,
        conditions: Mapping[str, float] | Tensor | None = None,
        observed: bool = True,
        check_range: bool = True,
        member: Tensor | None = None,
    ) -> Float[Tensor, "*batch time response"]:
        """As DeviceTwin.respond, every batch element by a member drawn from the generator, or by member (…, integers)."""
        batch = drive.shape[:-2]
        n_batch = math.prod(batch)
        if check_range:
            self._check_range(drive, conditions)
        if member is None:
            if generator is None:
                raise TracesInvalid("drawing members needs generator=…, or pass their numbers as member=…")
            member = torch.randint(len(self), (n_batch,), generator=generator)
        flat = drive.reshape(n_batch, *drive.shape[-2:])
        starts = None if history is None else _flattened(history, batch)
        held = conditions.expand(*batch, -1).reshape(n_batch, -1) if isinstance(conditions, Tensor) else conditions
        noises = None if noise is None else noise.reshape(noise.shape[0], n_batch, noise.shape[-1])
        numbers = member.reshape(-1).expand(n_batch)
        parts, places = [], []
        for number, twin in enumerate(self.members):
            index = (numbers == number).nonzero().squeeze(-1)
            if not len(index):
                continue
            places.append(index)
            parts.append(
                twin.respond(
                    flat[index],
                    generator=generator,
                    history=None if starts is None else Histories(starts.response[index], starts.drive[index]),
                    noise=None if noises is None else noises[:, index],
                    conditions=held[index] if isinstance(held, Tensor) else held,
                    observed=observed,
                    check_range=False,
                )
            )
        if sum(len(index) for index in places) != n_batch:
            raise TracesInvalid(f"member must hold numbers in 0..{len(self) - 1}")
        order = torch.cat(places).argsort()
        return torch.cat(parts)[order].reshape(*batch, *parts[0].shape[-2:])

    def disagreement(
        self,
        drive: Float[Tensor, "*batch time drive"],
        *,
        generator: torch.Generator,
        n_draws: int = 32,
        history: Histories | None = None,
        conditions: Mapping[str, float] | None = None,
        check_range: bool = True,
    ) -> Disagreement:
        """How far the members' mean responses to each drive differ, beside the spread within the members.

        Every member gets the same starts and the same noise (n_draws of each a drive), so that what differs is the
        members. The state itself is compared, not what an instrument would see of it. No gradients.
        """
        if len(self) < 2 or n_draws < 2:
            raise TracesInvalid(f"disagreement needs 2 members and 2 draws; there are {len(self)} and {n_draws}")
        batch = drive.shape[:-2]
        repeated = drive.expand(n_draws, *drive.shape)
        if history is None:
            history = self.histories(n_draws * math.prod(batch), generator=generator, conditions=None)
            history = history.reshape(n_draws, *batch)
        noise = torch.randn(
            (drive.shape[-2] - 1, n_draws, *batch, self.spec.n_noise), generator=generator, dtype=torch.float64
        ).to(self.linear_weight)
        if check_range:
            self._check_range(drive, conditions)
        state = generator.get_state()
        responses = []
        with torch.no_grad():
            for twin in self.members:
                generator.set_state(state)  # the same filtered starts
                responses.append(
                    twin.respond(
                        repeated, generator=generator, history=history, noise=noise, conditions=conditions,
                        observed=False, check_range=False,
                    )
                )  # fmt: skip
        return _split(torch.stack(responses).double())

    def _common(self, name: str) -> Tensor:
        ranges = torch.stack([twin.get_buffer(name) for twin in self.members])
        return torch.stack((ranges[..., 0].amax(0), ranges[..., 1].amin(0)), dim=-1)

    def _check_range(self, drive: Tensor, conditions: Mapping[str, float] | Tensor | None) -> None:
        from twins.device.responding import condition_values

        check_drive(drive, self.drive_range, self.spec)
        held = condition_values(self.members[0], conditions, drive.shape[:-2])
        check_conditions(held, self.condition_range, self.spec)


AnyTwin = DeviceTwin | TwinEnsemble


def fit_ensemble(
    make_twin: Callable[[], DeviceTwin],
    traces: Sequence[Traces],
    *,
    seed: int,
    n_members: int = 3,
    max_seconds: float | None = None,
    **options: Any,
) -> Generator[MemberEvent, None, tuple[TwinEnsemble, tuple[FitResult, ...]]]:
    """Fit n_members twins one after another; yields their events, returns the ensemble and every member's FitResult.

    Members differ in the seed of their weights and batches and in the inputs that are held out to choose their
    checkpoints, both drawn from `seed`; there is no bootstrap, each is trained on all other inputs. max_seconds is for
    all of them. options: of fit.
    """
    if not 2 <= n_members <= _MOST_MEMBERS:
        raise TracesInvalid(f"n_members must lie in 2..{_MOST_MEMBERS}, not {n_members}")
    began = time.monotonic()
    seeds = np.random.SeedSequence(seed).generate_state(n_members)
    members, results = [], []
    for number in range(n_members):
        twin = make_twin()
        share = None
        if max_seconds is not None:
            share = max(1e-3, (max_seconds - (time.monotonic() - began)) / (n_members - number))
        result = yield from _labelled(
            fit(twin, traces, seed=int(seeds[number]), max_seconds=share, **options), number, n_members
        )
        members.append(twin)
        results.append(result)
    return TwinEnsemble(members), tuple(results)


def _labelled(
    events: Generator[FitEvent, None, FitResult], member: int, n_members: int
) -> Generator[MemberEvent, None, FitResult]:
    try:
        while True:
            try:
                event = next(events)
            except StopIteration as finished:
                result: FitResult = finished.value
                return result
            yield MemberEvent(member, n_members, event)
    finally:
        events.close()


def _flattened(history: Histories, batch: torch.Size) -> Histories:
    parts = (part.expand(*batch, *part.shape[-2:]) for part in (history.response, history.drive))
    response, drive = (part.reshape(math.prod(batch), *part.shape[-2:]) for part in parts)
    return Histories(response, drive)


def _split(responses: Tensor) -> Disagreement:
    """From (member, draw, …, time, response). Draws are common to the members, so deviations are taken draw by draw."""
    n_members, n_draws = responses.shape[:2]
    deviations = responses - responses.mean(0)
    between = deviations.mean(1).square().sum(0) - deviations.var(1).sum(0) / n_draws
    epistemic = (between / (n_members - 1)).clamp_min(0.0).sqrt()
    return Disagreement(epistemic, responses.var(1).mean(0).sqrt())
