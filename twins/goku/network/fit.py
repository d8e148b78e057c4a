"""fit_goku: train a network on series, as a generator of events."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator

import numpy as np
import torch
from torch import Tensor

from twins.errors import SeriesInvalid
from twins.fitting.adam import FlatAdam
from twins.goku.network.batch import Batch, batch_of, chunks
from twins.goku.network.fit_settings import FittedGoku, GokuEpoch, GokuEvent, GokuFitSettings
from twins.goku.network.held_out import fixed_crops, held_out_traces
from twins.goku.network.loss import goku_loss
from twins.goku.network.model import GokuNet
from twins.goku.network.schedule import LearningRate
from twins.goku.network.widening import Widened, widen
from twins.goku.series import Series


def fit_goku(
    net: GokuNet,
    series: Series,
    validation: Series | None = None,
    *,
    seed: int,
    settings: GokuFitSettings | None = None,
) -> Generator[GokuEvent, None, FittedGoku]:
    """Train `net` on the series; yields a ``GokuEpoch`` after each, returns the fit with the best weights in `net`.

    validation: other series of the same kind; without, whole groups of traces are held out. The network keeps the best
    weights so far whenever the generator is closed early. Raises SeriesInvalid.
    """
    training = _Training(net, series, validation, seed, settings or GokuFitSettings())
    try:
        yield from training.run()
    finally:
        training.keep_best()
    return training.result()


class _Training:
    def __init__(
        self, net: GokuNet, series: Series, validation: Series | None, seed: int, settings: GokuFitSettings
    ) -> None:
        self.net, self.settings, self.seed = net, settings, seed
        self.rng = np.random.default_rng(seed)
        self.draws = torch.Generator().manual_seed(seed)
        self.held_out = np.array([], dtype=np.int64)
        if validation is None:
            self.held_out = held_out_traces(series.groups, settings.validation_fraction, self.rng)
        self.trained = np.setdiff1d(np.arange(series.n_traces), self.held_out)
        self.alone = validation is None and not len(self.held_out)
        learned_from = series.select(self.trained)
        if not net.fitted:
            net.adopt(learned_from)
        net.check(series)
        self.data = net.prepared(batch_of(learned_from))
        if validation is not None:
            net.check(validation)
            judged = batch_of(validation)
        else:
            judged = batch_of(learned_from if self.alone else series.select(self.held_out))
        self.crop = settings.crop_samples or series.n_samples
        if self.crop > min(self.data.values.shape[1], judged.values.shape[1]):
            raise SeriesInvalid(f"crops of {self.crop} samples are longer than the traces")
        self.judged = fixed_crops(judged, self.crop)
        self.weights = [parameter for parameter in net.parameters() if parameter.requires_grad]
        self.adam = FlatAdam(
            self.weights,
            largest_gradient=settings.largest_gradient, betas=(0.9, 0.999), weight_decay=settings.weight_decay,
        )  # fmt: skip
        self.rate = LearningRate(settings.schedule, settings.learning_rate)
        self.n_batches, self.n_epochs, self.n_skipped = 0, 0, 0
        self.diverged: set[int] = set()
        self.best, self.best_epoch, self.stopped = math.inf, 0, "max_epochs"
        self.kept: dict[str, Tensor] = {}
        self.annealing = False
        self.widened: Widened | None = None
        net.latents.narrow()
        self.began = time.monotonic()

    def run(self) -> Iterator[GokuEvent]:
        batches = self._batches()
        for epoch in range(self.settings.max_epochs):
            self._anneal(epoch)
            event = self._epoch(epoch, batches)
            yield event
            if not self.annealing and self.rate.judge(event.validation, self.n_batches):
                self.stopped = "no gain"
                return
            if self.settings.max_seconds is not None and event.seconds >= self.settings.max_seconds:
                self.stopped = "max_seconds"
                return

    def _epoch(self, epoch: int, batches: Iterator[np.ndarray]) -> GokuEpoch:
        sums, n_taken, n_skipped = np.zeros(4), 0, 0
        diverged: set[int] = set()
        share, rate = self.settings.kl_share(epoch), 0.0
        for _ in range(self.settings.batches_per_epoch):
            traces, rate = next(batches), self.rate.of_batch(self.n_batches)
            batch = self._cropped(self.data, traces)
            output = self.net(*batch.arguments, generator=self.draws, shared=batch.shared, normalised=batch.normalised)
            diverged.update(self.trained[traces[output.diverged.numpy()]].tolist())
            loss = goku_loss(self.net, batch, output, kl_share=share)
            if loss is not None and self.adam.step(loss.total, rate):
                parts = (loss.total, loss.reconstruction, loss.continuity, loss.kl)
                sums += [float(part.detach()) for part in parts]
                n_taken += 1
            else:
                n_skipped += 1
            self.n_batches += 1
        self.n_epochs, self.n_skipped = epoch + 1, self.n_skipped + n_skipped
        self.diverged |= diverged
        validation = self._validate()
        if validation < self.best or not self.kept or self.annealing:
            self.best, self.best_epoch = validation, epoch + 1
            self.kept = {name: value.detach().clone() for name, value in self.net.state_dict().items()}
        total, reconstruction, continuity, kl = (sums / n_taken).tolist() if n_taken else [math.inf] * 4
        seconds = time.monotonic() - self.began
        limit = self.settings.max_seconds
        progress = max((epoch + 1) / self.settings.max_epochs, seconds / limit if limit else 0.0)
        return GokuEpoch(
            epoch + 1, total, reconstruction, continuity, kl, validation, rate, self.best_epoch == epoch + 1,
            tuple(sorted(diverged)), n_skipped, seconds, min(1.0, progress),
        )  # fmt: skip

    def _anneal(self, epoch: int) -> None:
        """While the windows' deviation falls the loss changes its meaning: no score can be compared with the next one."""
        spec = self.net.spec
        if spec.posterior == "physical" and spec.transition == "annealed" and spec.window_samples is not None:
            annealed = self.settings.annealed(epoch, time.monotonic() - self.began)
            self.net.transition.get_buffer("annealed_sd").fill_(self.settings.transition_at(annealed))
            self.annealing = annealed < 1.0

    def _validate(self) -> float:
        """Reconstruction by the means; where the noise is learned the whole loss, by draws from a seed of its own."""
        drawn = self.net.spec.loss == "likelihood" and self.net.spec.variational
        draws = torch.Generator().manual_seed(self.seed + 1) if drawn else None
        total, n = 0.0, 0
        with torch.no_grad():
            for part in chunks(self.judged):
                loss = goku_loss(self.net, part, self.net(*part.arguments, generator=draws, shared=part.shared))
                if loss is not None:
                    total += float(loss.total if drawn else loss.reconstruction) * len(part)
                    n += len(part)
        return total / n if n and math.isfinite(total) else math.inf

    def _cropped(self, data: Batch, traces: np.ndarray) -> Batch:
        spare = data.values.shape[1] - self.crop
        starts = self.rng.integers(0, spare + 1, len(traces)) if spare else np.zeros(len(traces), dtype=np.int64)
        return data.cropped(traces, starts, self.crop)

    def _batches(self) -> Iterator[np.ndarray]:
        """Shuffled passes through the traces, cut into full batches; what is left of a pass is left away.

        Where traces share parameters whole groups are drawn, as many as make a batch on average.
        """
        n = len(self.trained)
        if self.data.shared is not None:
            index = self.data.shared.index.numpy()
            n_groups = int(index.max()) + 1
            size = max(1, min(n_groups, round(self.settings.batch * n_groups / n)))
            while True:
                order = self.rng.permutation(n_groups)
                for start in range(0, n_groups - size + 1, size):
                    yield np.flatnonzero(np.isin(index, order[start : start + size]))
        size = min(self.settings.batch, n)
        while True:
            order = self.rng.permutation(n)
            for start in range(0, n - size + 1, size):
                yield order[start : start + size]

    def keep_best(self) -> None:
        """The best weights into the network, its noise level and its posterior's widths to them."""
        if not self.kept:
            return
        self.net.load_state_dict(self.kept)
        if self.net.spec.loss != "likelihood":
            self._noise_left_over()
        if self.net.spec.posterior == "physical" and self.settings.calibration_simulations:
            n, draws = self.settings.calibration_simulations, torch.Generator().manual_seed(self.seed + 2)
            self.widened = widen(self.net, self.judged, n_simulations=n, generator=draws)

    def _noise_left_over(self) -> None:
        """Of the held-out traces: what was trained on is known too well."""
        squares, count = torch.zeros(self.net.n_channels), torch.zeros(self.net.n_channels)
        with torch.no_grad():
            for part in chunks(self.judged):
                output = self.net(*part.arguments, shared=part.shared)
                left = self.net.normalised(part) - output.expected
                used = part.seen & ~output.diverged[:, None, None]
                squares += left.square().where(used, 0.0).sum(dim=(0, 1))
                count += used.sum(dim=(0, 1))
            known = (count > 0) & (squares > 0)
            sd = (squares / count.clamp(min=1.0)).sqrt()
            self.net.log_noise_sd.copy_(torch.where(known, sd, 1.0).log().where(known, self.net.log_noise_sd))

    def result(self) -> FittedGoku:
        return FittedGoku(
            self.net, self.seed, self.best, self.best_epoch, self.n_epochs, time.monotonic() - self.began,
            self.stopped, tuple(int(i) for i in self.held_out), self.alone, tuple(sorted(self.diverged)), self.n_skipped,
            self.widened,
        )  # fmt: skip
