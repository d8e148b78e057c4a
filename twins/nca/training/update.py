"""One minibatch: unroll, compare, move the weights."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from twins.nca.automaton import Automaton
from twins.nca.training.augmentation import Transform
from twins.nca.training.nadam import Nadam, normalised
from twins.nca.training.settings import NcaFitSettings
from twins.nca.training.transitions import Drawn


@dataclass(frozen=True, slots=True, eq=False)
class Done:
    """outputs: the states one frame on, moved back where they had been moved. losses: of each. good: those that did not run
    away. loss, overshoot: means over the good ones, NaN if there are none. taken: whether nothing kept the weights from
    moving."""

    outputs: Float[Tensor, "batch channel y x"]
    losses: Float[Tensor, " batch"]
    good: Bool[Tensor, " batch"]
    loss: float
    overshoot: float
    taken: bool


class Updater:
    """Trains the automaton minibatch by minibatch. generator: of all draws."""

    def __init__(self, automaton: Automaton, settings: NcaFitSettings, generator: torch.Generator) -> None:
        self.automaton, self.settings, self.draws = automaton, settings, generator
        self.loss = settings.make_loss()
        named = [(name, weight) for name, weight in automaton.named_parameters() if weight.numel()]
        self.weights = [weight for _, weight in named]
        self.matrices = [weight for name, weight in named if "bias" not in name]
        self.nadam = Nadam(self.weights)

    def forget(self) -> None:
        """Begin the optimiser's memory anew: the gradients to come are others."""
        self.nadam = Nadam(self.weights)

    def step(self, drawn: Drawn, rate: float, n_steps: int) -> Done:
        """Unroll the minibatch through all its targets, n_steps from each to the next, and move the weights once.

        Where an item overflowed, gradients through the whole minibatch are not finite even though its loss is left out
        (nothing times infinity is not a number): the good items are then run once more by themselves.
        """
        settings = self.settings
        moves = settings.update_share == 1.0 or float(torch.rand(1, generator=self.draws)) < settings.update_share
        inputs, targets, before, transform = self._augmented(drawn)
        with torch.set_grad_enabled(moves):
            first, losses, overshoot, good = self._unrolled(inputs, targets, before, drawn.conditions, n_steps)
            if not bool(good.any()):
                return Done(first, losses.detach(), good, math.nan, math.nan, False)
            loss, over = losses[good].mean(), overshoot[good].mean()
            taken = self._move(loss + settings.state_weight * over, rate) if moves else True
            if not taken and not bool(good.all()):
                conditions = None if drawn.conditions is None else drawn.conditions[good]
                taken = self._moved_again(inputs[good], targets[:, good], before[good], conditions, n_steps, rate)
        outputs = first if transform is None else transform.undo(first)
        return Done(outputs, losses.detach(), good, float(loss.detach()), float(over.detach()), taken)

    def _moved_again(
        self, state: Tensor, targets: Tensor, before: Tensor, conditions: Tensor | None, n_steps: int, rate: float
    ) -> bool:
        _, losses, overshoot, good = self._unrolled(state, targets, before, conditions, n_steps)
        if not bool(good.all()):  # other cells fired this time, and something else ran away
            return False
        return self._move(losses.mean() + self.settings.state_weight * overshoot.mean(), rate)

    def _unrolled(
        self, state: Tensor, targets: Tensor, before: Tensor, conditions: Tensor | None, n_steps: int
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """States one frame on; losses and overshoot of each item, means over its frames; which did not run away."""
        settings, n_observed = self.settings, targets.shape[2]
        differential = settings.target == "differential"
        start = state[:, :n_observed]
        firsts: list[Tensor] = []
        losses, overshoots = [], []
        good = torch.ones(len(state), dtype=torch.bool)
        for target in targets:
            unrolled = self.automaton.unroll(
                state, n_steps, generator=self.draws, conditions=conditions,
                checkpoint_every=settings.checkpoint_every,
            )  # fmt: skip
            state = unrolled.state
            firsts = firsts or [state.detach()]
            seen, wanted = state[:, :n_observed], target
            if differential:
                seen, wanted = seen - start, target - before
            losses.append(self.loss(seen, wanted, generator=self.draws))
            overshoots.append(unrolled.overshoot)
            good &= (state.detach().abs().amax(dim=(1, 2, 3)) <= settings.largest_state).cpu()
        good &= torch.isfinite(losses[-1].detach()).cpu()
        return firsts[0], torch.stack(losses).mean(dim=0), torch.stack(overshoots).mean(dim=0), good

    def _move(self, objective: Tensor, rate: float) -> bool:
        if self.settings.weight_l1:
            sizes = torch.stack([weight.abs().sum() for weight in self.matrices])
            objective = objective + self.settings.weight_l1 * sizes.sum()
        gradients: list[Tensor] = list(torch.autograd.grad(objective, self.weights, materialize_grads=True))
        if self.settings.gradients == "normalised":
            gradients = normalised(gradients)
        return self.nadam.move(gradients, rate)

    def _augmented(self, drawn: Drawn) -> tuple[Tensor, Tensor, Tensor, Transform | None]:
        """Inputs, targets and true frames before, moved about alike; noise and damage are the inputs' alone."""
        spec, augmentation = self.automaton.spec, self.settings.augmentation
        inputs, targets, before = drawn.inputs, drawn.targets, drawn.before
        transform: Transform | None = None
        if augmentation is not None:
            if augmentation.moves:
                size = (inputs.shape[2], inputs.shape[3])
                transform = augmentation.draw(len(inputs), size, generator=self.draws)
                inputs, before = transform.apply(inputs), transform.apply(before)
                targets = torch.stack([transform.apply(target) for target in targets])
            inputs = augmentation.noisy(inputs, spec, generator=self.draws)
        if self.settings.damage is not None:
            inputs = self.settings.damage.apply(inputs, spec, generator=self.draws)
        return inputs, targets, before, transform
