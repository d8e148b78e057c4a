"""MEASURED data: a Duffing equation with noise of its own, inferred from the Silverbox, against methods without equation.

    python benchmarks/goku_measured.py --data SNLS80mV.csv --json goku_measured.json

The data (V1 drive, V2 response, 610.35 Hz; nonlinearbenchmark.org, Wigren and Schoukens 2013) are not part of this
repository. Training: nine multisine realisations; tests: the tenth, and the "arrow", noise whose amplitude grows beyond
anything in training. The circuit is told to be a driven Duffing oscillator: velocity hidden, a spring that may be
lopsided, strength of the process noise and of the observation noise unknown.

The way: a network trained on SIMULATIONS guesses the parameters of every stretch (amortised posterior); the likelihood
(cubature Kalman filter) refines the guess for each stretch alone, and for all of them as one group. That the stretches
alone agree within their stated intervals is the check of the intervals, on measured data: the same is done without
process noise, where the intervals take the equation as exact. Where the stretches still differ by more than stated
(the offset does: it drifts from one to the next), the interval of all together is too narrow by `spread_by_stated`.
About nine samples make a period, so neither Euler's
steps nor a drive held at its samples will do: the drive is interpolated (it is band-limited) and the steps of the
solver are as many as the likelihood asks for; `drive_check` shows what each is worth.

Forecasts: from 128 samples on, with the future drive given, 20, 100 and 500 samples ahead. Reconstruction: a free run
from the first sample through all 628, the initial state by those samples. Rivals: naive; vector autoregression, orders
up to 64 chosen by held-out forecasts; the LSTM autoencoder with the drive as an input, trained once to forecast 500
samples from 128 and once to give 628 back; the LSTM of silverbox.py, which turns the whole drive since the part's
beginning into the response and is handed no response at all. All see the same training samples, and the drive up to two
samples ahead; "cpu_seconds" is what each LSTM and the equation were given. NRMSE = sqrt(mean error²) / mean |value| of
each stretch, averaged over stretches; "rmse_mV" of all stretches together.

Figures of others, leads only (see silverbox.py): about 0.3 mV over the arrow for polynomial nonlinear state space. The
circuit's own parameters, from another recording of it at another rate: natural frequency 68.58 Hz and damping ratio
4.68 % at a low level, cubic coefficient 3.96 to 3.98, quadratic -0.26 (Noël and Schoukens, Int. J. Control 91, 2018,
doi 10.1080/00207179.2017.1308557; as the public examples of pyvib quote it, the paper itself was not read).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from goku_measured_comparison import arrow_run, compared, rounded
from goku_measured_data import Silverbox
from goku_measured_equation import fit_equation
from goku_measured_inference import agreement, checked_drive, print_inference, stated, told_apart
from goku_measured_rivals import RivalTraining
from measuring import read_options, write_results


def main(arguments: Sequence[str] | None = None) -> None:
    """Infer, compare, write."""
    options = read_options(__doc__, more=add_options, arguments=arguments)
    torch.set_num_threads(1)  # the rivals are trained beside
    began, seconds = time.perf_counter(), options.lstm_seconds or (180.0 if options.quick else 900.0)
    data = Silverbox.read(options.data, (1, 2, 4))
    training = RivalTraining(data, seconds=seconds, seed=options.seed)
    length = options.length or (300 if options.quick else 1500)
    began_cpu = time.process_time()
    fitted = fit_equation(data, length=length, quick=options.quick, seed=options.seed)
    cpu_seconds = {"equation": time.process_time() - began_cpu}
    drive_check = checked_drive(data, fitted, length, options.seed)
    figures: dict[str, Any] = {
        "parameters": stated(fitted),
        "interval_check": agreement(fitted),
        "identifiability": told_apart(data, fitted, length),
        "drive_check": drive_check,
        "substeps": fitted.together.substeps,
        "solver_error_sd": float(fitted.together.solver_error.max()),
        "seconds_inference": fitted.seconds,
        "amortised_guess": fitted.guesses,
    }
    print_inference(figures)
    rivals = training.result()
    figures |= compared(data, fitted, rivals, seed=options.seed)
    figures |= {"arrow_free_run": arrow_run(data, fitted, rivals.drive_lstm)}
    figures |= {"cpu_seconds": cpu_seconds | rivals.cpu_seconds, "updates": rivals.updates}
    figures |= {"measured_data": True, "simulated": False, "seconds": time.perf_counter() - began}
    kinds = ("reconstruction", "forecast", "rmse_mV", "coverage90_forecast", "arrow_free_run", "cpu_seconds", "seconds")
    for kind in kinds:
        print(kind, rounded(figures[kind]))
    write_results(options, figures)


def add_options(parser: argparse.ArgumentParser) -> None:
    """What this benchmark alone takes."""
    parser.add_argument("--data", type=Path, required=True, metavar="FILE", help="SNLS80mV.csv")
    parser.add_argument("--length", type=int, help="samples of a training stretch (default 1500; quick: 300)")
    parser.add_argument(
        "--lstm-seconds", type=float, help="CPU seconds of each LSTM, and half as many before (default 900; quick: 180)"
    )


if __name__ == "__main__":
    main()
