"""Phase "adversarial": the noise of a twin by a Wasserstein GAN, the second phase of Nat. Commun. 16:9192 (2025)."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from twins.device.history import Histories, histories_of, start_sample
from twins.device.prepare import step_rows
from twins.device.twin import DeviceTwin
from twins.errors import TracesInvalid
from twins.fitting.adam import FlatAdam
from twins.fitting.course import Course, PhaseOptions
from twins.fitting.events import Epoch
from twins.fitting.mixed_windows import MixedWindows, Windows, repeated_trials
from twins.fitting.options import AdversarialOptions
from twins.fitting.parts import part_masks
from twins.objectives.adversarial import (
    Critic,
    critic_inputs,
    critic_loss,
    generator_loss,
    quiet_run,
    repeat_statistics,
    sample_windows,
)
from twins.traces import Traces

_PHASE = "adversarial"
_BETAS = (0.0, 0.9)
_ITERATIONS_PER_EPOCH = 5
_JUDGEMENTS = 25
_MOST_INPUTS, _MOST_SAMPLES, _N_DRAWS = 20, 200, 64  # of the statistics over repeats


def adversarial_phase(course: Course, traces: Sequence[Traces], options: PhaseOptions) -> Generator[Epoch, None, None]:
    """Train diffusion net, θ and W_a against a critic; the drift stays, or follows the mean of the same windows.

    options.settings: AdversarialOptions. An epoch is 5 iterations; its train_loss is the critic's estimate of the
    Wasserstein distance. max_epochs may cut the iterations short (the critic's warm-up comes on top), which have rates
    of their own, constant.
    Raises TracesInvalid for a twin without noise, or with parts that the reference does not have.
    """
    settings = options.settings if isinstance(options.settings, AdversarialOptions) else AdversarialOptions()
    twin = course.twin
    _check_twin(twin, settings)
    keep = _judge(course, traces, settings)
    start_auxiliaries(twin, traces, decay=settings.auxiliary_decay)
    duel = _Duel(twin, traces, settings, seed=options.seed, generator=course.generator)
    n_epochs = -(-settings.n_iterations // _ITERATIONS_PER_EPOCH)
    if options.max_epochs is not None:
        n_epochs = min(n_epochs, options.max_epochs)
    every = settings.judged_every or max(1, n_epochs * _ITERATIONS_PER_EPOCH // _JUDGEMENTS)
    began_s, since_judged, in_vain = course.seconds, 0, 0
    n_warm = -(-settings.critic_warm_up // (_ITERATIONS_PER_EPOCH * settings.critic_steps))
    for number in range(1, n_warm + n_epochs + 1):
        warming = number <= n_warm
        distance = duel.epoch(only_critic=warming)
        progress = number / (n_warm + n_epochs)
        if options.until_s is not None:
            progress = max(progress, min(1.0, (course.seconds - began_s) / max(1e-9, options.until_s - began_s)))
        course.epoch += 1
        since_judged += 0 if warming else _ITERATIONS_PER_EPOCH
        kept = False
        if since_judged >= every or (progress >= 1.0 and since_judged):
            kept, since_judged = keep(), 0
            in_vain = 0 if kept else in_vain + 1
        if settings.patience is not None and in_vain >= settings.patience:
            progress = 1.0
        yield Epoch(_PHASE, course.epoch, distance, course.latest, course.seconds, kept, progress)
        if progress >= 1.0:
            return


def start_auxiliaries(twin: DeviceTwin, traces: Sequence[Traces], *, decay: Sequence[float] = ()) -> None:
    """Give auxiliaries that reach no channel yet the covariance of the one-step residual; set θ (a sample) if given.

    Each drives one of the residual's principal directions, in turn.
    """
    n, n_aux = twin.spec.n_response, twin.spec.auxiliaries
    if not n_aux:
        return
    with torch.no_grad():
        if decay:
            twin.auxiliary_rate.copy_(torch.log(torch.tensor(decay)))
        if bool(twin.auxiliary_coupling.any()):
            return
        rows, increments = (torch.cat(parts) for parts in zip(*(step_rows(twin, part) for part in traces), strict=True))
        residual = ((increments - twin.step_law(rows).increment) / twin.increment_scale).double()
        variance, directions = torch.linalg.eigh(residual.T @ residual / len(residual))
        which = torch.arange(n_aux) % n
        sharing = torch.bincount(which, minlength=n)[which]
        strength = (variance.clamp_min(0.0).flip(0)[which] / sharing).sqrt()
        twin.auxiliary_coupling.copy_(directions.flip(1)[:, which] * strength)


class _Duel:
    """Critic and twin, each with its optimiser."""

    def __init__(
        self,
        twin: DeviceTwin,
        traces: Sequence[Traces],
        settings: AdversarialOptions,
        *,
        seed: int,
        generator: torch.Generator,
    ) -> None:
        spec, self._settings, self._generator = twin.spec, settings, generator
        self._twin, self._rng = twin, np.random.default_rng([seed, 3])
        self._windows = MixedWindows(twin, traces, n_steps=settings.n_steps, repeats_share=settings.repeats_share)
        n_outputs = spec.n_response * (1 if settings.critic_sees == "windows" else 2)
        n_values = settings.n_steps * (n_outputs + spec.n_inputs - spec.n_state_inputs)
        self._critic = Critic(n_values, settings.critic_hidden, generator=generator).to(twin.linear_weight)
        self._diffusion, self._drift = (part_masks(twin.nets, part) for part in ("diffusion", "drift"))
        self._nets = list(twin.nets.parameters())
        self._auxiliary = [twin.auxiliary_coupling, twin.auxiliary_rate] if spec.auxiliaries else []
        unlimited = float("inf")
        self._critic_adam = FlatAdam(self._critic.parameters(), largest_gradient=unlimited, betas=_BETAS)
        self._noise_adam = FlatAdam(self._nets, largest_gradient=unlimited, betas=_BETAS)
        self._drift_adam = FlatAdam(self._nets, largest_gradient=unlimited)
        if self._auxiliary:
            self._auxiliary_adam = FlatAdam(self._auxiliary, largest_gradient=unlimited, betas=_BETAS)

    def epoch(self, *, only_critic: bool) -> float:
        """A few iterations; returns the mean of the critic's estimates of the distance."""
        distances = []
        for _ in range(_ITERATIONS_PER_EPOCH):
            distances += [self._train_critic() for _ in range(self._settings.critic_steps)]
            if not only_critic:
                self._train_twin()
        return float(np.mean(distances))

    def _train_twin(self) -> None:
        windows = self._draw()
        fake = sample_windows(self._twin, windows.start, windows.u, generator=self._generator)
        real, sampled = self._as_seen(windows, fake)
        loss = generator_loss(self._critic, real, sampled, kind=self._settings.loss, unbiased=self._settings.unbiased)
        gradients = torch.autograd.grad(loss, [*self._nets, *self._auxiliary], materialize_grads=True)
        n_nets = len(self._nets)
        of_noise = [part * mask for part, mask in zip(gradients[:n_nets], self._diffusion, strict=True)]
        self._noise_adam.move(of_noise, self._settings.noise_rate)
        if self._auxiliary:
            self._auxiliary_adam.move(gradients[n_nets:], self._settings.auxiliary_rate)
        if self._settings.drift_rate is not None:
            self._follow_mean(windows, self._settings.drift_rate)

    def _train_critic(self) -> float:
        windows = self._draw()
        with torch.no_grad():
            fake = sample_windows(self._twin, windows.start, windows.u, generator=self._generator)
        real, sampled = self._as_seen(windows, fake)
        loss, distance = critic_loss(
            self._critic, real, sampled, penalty=self._settings.gradient_penalty, generator=self._generator
        )
        self._critic_adam.step(loss, self._settings.noise_rate)
        return distance

    def _as_seen(self, windows: Windows, fake: Tensor) -> tuple[Tensor, Tensor]:
        """Measured and sampled windows as the critic sees them."""
        if self._settings.critic_sees == "windows":
            return critic_inputs(windows.observed, windows.u), critic_inputs(fake, windows.u)
        with torch.no_grad():
            quiet = quiet_run(self._twin, windows.start, windows.u)
        scale = self._twin.increment_scale
        real, sampled = (critic_inputs(output, windows.u, quiet, scale) for output in (windows.observed, fake))
        return real, sampled

    def _follow_mean(self, windows: Windows, rate: float) -> None:
        """The drift net down the squared error of sampled runs, as in the reference."""
        fake = sample_windows(self._twin, windows.start, windows.u, generator=self._generator)
        loss = ((fake - windows.observed) / self._twin.increment_scale).square().mean()
        gradients = torch.autograd.grad(loss, self._nets, materialize_grads=True)
        self._drift_adam.move([part * mask for part, mask in zip(gradients, self._drift, strict=True)], rate)

    def _draw(self) -> Windows:
        return self._windows.draw(self._settings.n_windows, self._rng)


def _judge(course: Course, traces: Sequence[Traces], settings: AdversarialOptions) -> Callable[[], bool]:
    """What scores the twin, keeps it if it is good enough, and says whether it did."""
    if settings.choose_by == "free_run":
        return lambda: course.judge(_PHASE)
    repeats = [*_repeats(course.held_out)] or [*_repeats(traces)]
    if not repeats:
        raise TracesInvalid(
            "choose_by='repeats' needs inputs that were recorded more than once; record some, or choose by 'free_run'"
        )
    seed = int(torch.randint(2**31, (1,), generator=course.generator))
    lowest = _statistic(course.twin, repeats, seed)

    def keep() -> bool:
        nonlocal lowest
        error = _statistic(course.twin, repeats, seed)
        better = error < lowest  # never for NaN
        lowest = error if better else lowest
        return course.choose(_PHASE, better=better)

    return keep


def _repeats(traces: Sequence[Traces]) -> Iterator[Traces]:
    """The inputs that were repeated, each as traces of its own, some of every recording."""
    for part in traces:
        some = part.select(repeated_trials(part)) if repeated_trials(part).any() else None
        if some is not None:
            for input_id in np.unique(some.inputs)[: max(1, _MOST_INPUTS // len(traces))]:
                yield some.select(some.inputs == input_id)


@torch.no_grad()
def _statistic(twin: DeviceTwin, repeats: Sequence[Traces], seed: int) -> float:
    """Sum of the reference's three errors over these inputs, in units of the response's spread."""
    generator = torch.Generator().manual_seed(seed)  # the same draws for every checkpoint
    n_samples = min([_MOST_SAMPLES, *(part.n_samples - start_sample(twin.spec, part) for part in repeats)])
    sampled: list[Tensor] = []
    measured: list[Tensor] = []
    for part in repeats:
        first, turn = start_sample(twin.spec, part), torch.arange(_N_DRAWS) % part.n_trials
        span = slice(first, first + n_samples)
        starts = histories_of(twin.spec, part)
        draws = twin.respond(
            torch.tensor(part.drive[:, span])[turn],
            history=Histories(starts.response[turn], starts.drive[turn]),
            conditions=part.conditions,
            generator=generator,
            check_range=False,
        )
        real = torch.tensor(part.response[:, span])
        for samples, kept in ((draws, sampled), (real, measured)):
            kept.append(((samples[:, 1:] - twin.response_centre) / twin.response_scale).to(twin.linear_weight))
    return math.fsum(repeat_statistics(sampled, measured))


def _check_twin(twin: DeviceTwin, settings: AdversarialOptions) -> None:
    spec = twin.spec
    if not spec.noisy:
        raise TracesInvalid(
            "phase 'adversarial' trains the noise, and this twin is an ordinary differential equation; "
            "set noise_diagonal=True or noise_columns, or leave the phase out"
        )
    if spec.observation or spec.trial_drift:
        raise TracesInvalid(
            "phase 'adversarial' starts from measured samples as they are, as the reference does, and knows neither "
            "measurement noise nor drift over trials; use phase 'filter', or a spec without observation and trial_drift"
        )
    if settings.auxiliary_decay and len(settings.auxiliary_decay) != spec.auxiliaries:
        raise TracesInvalid(
            f"auxiliary_decay has {len(settings.auxiliary_decay)} entries for {spec.auxiliaries} auxiliaries"
        )
