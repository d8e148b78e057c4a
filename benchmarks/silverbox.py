"""A MEASURED circuit: a twin fitted on the Silverbox's multisine part runs freely over the whole "arrow".

    python benchmarks/silverbox.py --data SNLS80mV.csv --json silverbox.json

The data (V1 drive, V2 response, 610.35 Hz; nonlinearbenchmark.org, Wigren and Schoukens 2013) are not part of this
repository. By their convention the first 40,000 samples and some, noise of growing amplitude, are the test; the ten
multisine realisations after it are for training, the last of them for a second test. The arrow's end is larger than
anything in training: what is reported "inside" is all before the response first leaves the range seen, "tail" the rest.

Twin: an ensemble of DeviceTwins through fit(), as users have them: a cubic backbone with a net beside it, phases
"likelihood" and "simulation". The phases are those with the better score on held-out multisine; the members' delays were
fixed beforehand, yet while the arrow's figures of other settings were known (single twins of all delays that were tried
lay between 0.31 and 0.61 mV). V1 and V2 were sampled at the same instants, band-limited, so that V1[k + 1] already shows
in V2[k + 1]: it is taken as the drive that acts between samples k and k + 1. A free run starts from the first measured
samples and sees V1 alone from there on; the prediction is the mean of sampled runs, the interval holds 90 % of them.

Beside it: the best linear model of the same kind (delays chosen by held-out multisine), and an LSTM on V1, trained for
--lstm-seconds and never for less time than the twin took. Published figures for comparison are leads only, read and not
checked: best linear model about 14 mV; MLP, LSTM and TCN about 4 to 5 (Andersson et al. 2019); deep-subspace encoder 1.4
(Beintema et al. 2021); polynomial nonlinear state space about 0.3.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import read_options, write_results
from silverbox_lstm import fit_lstm, run_lstm
from torch import Tensor

import twins
from twins.device import Histories, histories_of
from twins.objectives.scores import interval

DT_S = 2**14 / 1e7
ARROW = (0, 40_500)  # samples
FIRST_REALISATION, REALISATION, N_REALISATIONS = 40_585, 8_692, 10
USED = 8_680  # of a realisation: the quiet gap after it is left away
SEGMENT = 1_000  # training trials are cut to this, so that held-out inputs are many
START = 20  # sample of a part at which its free run starts
DELAYS = ((2, 2), (3, 3), (3, 2), (2, 3))  # (response, drive) of the ensemble's members, in turn
PHASES = ("likelihood", "simulation")  # better than "simulation" alone by held-out multisine
LINEAR_DELAYS = ((1, 1), (2, 2), (4, 4), (8, 8))
AIM_MV, FURTHER_AIM_MV = 1.4, 0.4


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit, run, compare, write."""
    options = read_options(__doc__, more=add_options, arguments=arguments)
    torch.set_num_threads(min(2, torch.get_num_threads()))
    began = time.perf_counter()
    drive, response = read_silverbox(options.data)
    training = multisines(drive, response, range(N_REALISATIONS - 1))
    arrow = part(drive, response, [ARROW[0]], ARROW[1])
    test = multisines(drive, response, [N_REALISATIONS - 1])
    figures = measure_twin(training, arrow, test, options)
    figures |= measure_linear(training, arrow, test, seed=options.seed)
    figures |= measure_lstm(training, arrow, test, options, at_least_s=figures["twin_training_seconds"])
    figures |= {"measured_data": True, "simulated": False, "aim_mV": AIM_MV, "further_aim_mV": FURTHER_AIM_MV}
    figures |= {"seconds": time.perf_counter() - began}
    for name, value in figures.items():
        print(f"{name:32} {value if not isinstance(value, float) else format(value, '.4g')}")
    write_results(options, figures)


def add_options(parser: argparse.ArgumentParser) -> None:
    """What this benchmark alone takes."""
    parser.add_argument("--data", type=Path, required=True, metavar="FILE", help="SNLS80mV.csv")
    parser.add_argument("--members", type=int, help="twins in the ensemble (default 4; quick: 2)")
    parser.add_argument("--draws", type=int, default=199, help="sampled free runs (default 199)")
    parser.add_argument("--lstm-seconds", type=float, help="training time of the LSTM (default 300; quick: 90)")


def read_silverbox(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Drive and response in V. Raises SystemExit for a file that cannot be the Silverbox's."""
    try:
        table = np.genfromtxt(path, delimiter=",", skip_header=1, usecols=(0, 1))
    except (OSError, ValueError) as error:
        raise SystemExit(f"{path}: {error}; --data takes SNLS80mV.csv of nonlinearbenchmark.org") from error
    needed = FIRST_REALISATION + N_REALISATIONS * REALISATION
    if len(table) < needed or not np.isfinite(table).all():
        raise SystemExit(f"{path} must hold at least {needed} samples V1, V2, all finite")
    return table[:, 0], table[:, 1]


def part(drive: np.ndarray, response: np.ndarray, starts: Sequence[int], n_samples: int) -> twins.Traces:
    """Stretches of the record as trials. The drive is that of the sample after: see above."""
    samples = np.asarray(starts)[:, None] + np.arange(n_samples)
    return twins.Traces(
        drive=drive[samples + 1][..., None],
        response=response[samples][..., None],
        dt_s=DT_S,
        drive_names=("V1",),
        drive_units=("V",),
        response_names=("V2",),
        response_units=("V",),
    )


def multisines(drive: np.ndarray, response: np.ndarray, numbers: Sequence[int]) -> twins.Traces:
    """These realisations, a trial each."""
    return part(drive, response, [FIRST_REALISATION + k * REALISATION for k in numbers], USED)


def fitted(
    training: twins.Traces, *, seed: int, phases: Sequence[str], **structure: Any
) -> tuple[twins.DeviceTwin, float]:
    """A twin and its held-out free-run score, as fit() leaves it."""
    segments = training.segments(SEGMENT)
    twin = twins.DeviceTwin(twins.DeviceTwinSpec.for_traces(segments, **structure))
    fit = twins.fit(twin, [segments], seed=seed, phases=phases)
    while True:
        try:
            event = next(fit)
        except StopIteration as stop:
            return twin, float(stop.value.free_run_score)
        if event.best or event.progress == 1.0:
            print(f"  {structure} {event.phase} {event.epoch}: held-out CRPS {event.free_run_score:.5f}")


def measure_twin(
    training: twins.Traces, arrow: twins.Traces, test: twins.Traces, options: argparse.Namespace
) -> dict[str, Any]:
    """The ensemble's figures on both tests."""
    began = time.perf_counter()
    n_members = options.members or (2 if options.quick else 4)
    members = []
    for number in range(n_members):
        delays = dict(zip(("response_delays", "drive_delays"), DELAYS[number % len(DELAYS)], strict=True))
        members.append(fitted(training, seed=options.seed + number, phases=PHASES, backbone_order=3, **delays)[0])
    seconds = time.perf_counter() - began
    generator = torch.Generator().manual_seed(options.seed)
    runs = [sampled(twin, arrow, -(-options.draws // n_members), generator) for twin in members]
    on_arrow = judged("arrow", np.concatenate(runs), arrow, training)
    single = [rmse_mV(run.mean(0), arrow) for run in runs]
    multisine = np.concatenate([sampled(twin, test, -(-options.draws // n_members), generator) for twin in members])
    return {
        **on_arrow,
        **{f"{name}_multisine": value for name, value in covered(multisine, test).items()},
        "rmse_mV_multisine": rmse_mV(multisine.mean(0), test),
        "members": n_members,
        "rmse_mV_arrow_single_twins": single,
        "twin_training_seconds": seconds,
    }


def measure_linear(training: twins.Traces, arrow: twins.Traces, test: twins.Traces, *, seed: int) -> dict[str, Any]:
    """The best linear model, by held-out multisine, on both tests."""
    candidates = [
        # without a phase that trains the nets, a backbone of order 1 stays a linear model
        fitted(training, seed=seed, phases=("simulation",), response_delays=r, drive_delays=d)
        for r, d in LINEAR_DELAYS
    ]
    best = min(range(len(candidates)), key=lambda number: candidates[number][1])
    twin = candidates[best][0]
    return {
        "linear_rmse_mV_arrow": rmse_mV(silent(twin, arrow), arrow),
        "linear_rmse_mV_multisine": rmse_mV(silent(twin, test), test),
        "linear_delays": LINEAR_DELAYS[best],
    }


def measure_lstm(
    training: twins.Traces,
    arrow: twins.Traces,
    test: twins.Traces,
    options: argparse.Namespace,
    *,
    at_least_s: float,
) -> dict[str, Any]:
    """The LSTM's figures on both tests."""
    seconds = max(at_least_s, options.lstm_seconds or (90.0 if options.quick else 300.0))
    model, n_updates = fit_lstm(training, seconds=seconds, seed=options.seed)
    return {
        "lstm_rmse_mV_arrow": rmse_mV(run_lstm(model, arrow)[START:], arrow),
        "lstm_rmse_mV_multisine": rmse_mV(run_lstm(model, test)[START:], test),
        "lstm_training_seconds": seconds,
        "lstm_updates": n_updates,
    }


@torch.no_grad()
def sampled(twin: twins.DeviceTwin, traces: twins.Traces, n_draws: int, generator: torch.Generator) -> np.ndarray:
    """(draw, time) V, free runs from the measured start at sample START."""
    history = histories_of(twin.spec, traces, at=START)
    start = Histories(history.response.expand(n_draws, -1, -1), history.drive.expand(n_draws, -1, -1))
    drive = torch.tensor(traces.drive[:, START:]).to(twin.linear_weight).expand(n_draws, -1, -1)
    samples = twin.respond(drive, history=start, generator=generator, check_range=False)  # the arrow's end lies outside
    runs: np.ndarray = samples[:, :, 0].double().numpy()
    return runs


@torch.no_grad()
def silent(twin: twins.DeviceTwin, traces: twins.Traces) -> np.ndarray:
    """(time,) V, the free run without noise."""
    drive = torch.tensor(traces.drive[:, START:]).to(twin.linear_weight)
    noise: Tensor = torch.zeros(drive.shape[1] - 1, 1, twin.spec.n_noise)
    history = histories_of(twin.spec, traces, at=START)
    run: np.ndarray = twin.respond(drive, history=history, noise=noise, check_range=False)[0, :, 0].double().numpy()
    return run


def rmse_mV(prediction: np.ndarray, traces: twins.Traces, span: slice = slice(None)) -> float:
    """Of everything from START on, or of a span of it."""
    error = prediction - traces.response[0, START:, 0]
    return float(1e3 * np.sqrt(np.mean(error[span] ** 2)))


def covered(runs: np.ndarray, traces: twins.Traces, span: slice = slice(1, None)) -> dict[str, float]:
    """Share of measured samples within the central 90 % of the sampled ones, and how wide that is."""
    lower, upper = interval(runs, 0.9)
    measured = traces.response[0, START:, 0]
    inside = (measured >= lower) & (measured <= upper)
    return {"coverage90": float(inside[span].mean()), "width90_mV": float(1e3 * (upper - lower)[span].mean())}


def judged(name: str, runs: np.ndarray, traces: twins.Traces, training: twins.Traces) -> dict[str, Any]:
    """Error and coverage over all, before the response leaves the range of the training data, and after."""
    measured = traces.response[0, START:, 0]
    lowest, highest = training.response.min(), training.response.max()
    beyond = np.flatnonzero((measured < lowest) | (measured > highest))
    leaves = int(beyond[0]) if len(beyond) else len(measured)
    before, after = slice(1, leaves), slice(leaves, None)
    mean = runs.mean(0)
    figures: dict[str, Any] = {
        f"rmse_mV_{name}": rmse_mV(mean, traces),
        "rmse_mV_inside_range": rmse_mV(mean, traces, before),
        **covered(runs, traces),
        **{f"{key}_inside_range": value for key, value in covered(runs, traces, before).items()},
        "first_sample_beyond_range": START + leaves,
    }
    if leaves < len(measured):
        figures["rmse_mV_tail"] = rmse_mV(mean, traces, after)
        figures |= {f"{key}_tail": value for key, value in covered(runs, traces, after).items()}
    return figures


if __name__ == "__main__":
    main()
