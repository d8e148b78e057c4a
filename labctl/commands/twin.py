"""`labctl twin`: fit a twin to recordings, and check one against recordings it has not seen."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from labctl.commands.data_arguments import add_data_arguments, recordings_of


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    twin = commands.add_parser("twin", help="fit a twin to recordings; check it on recordings it has not seen")
    actions = twin.add_subparsers(title="actions", metavar="ACTION", required=True)
    fit = actions.add_parser("fit", help="fit a twin, choose it by free runs on held-out inputs, and save it")
    fit.add_argument("recordings", type=Path, nargs="+", help="recordings of one device, or data of other programs")
    fit.add_argument("--heldout", type=Path, help="a recording to judge it on, with repeats of other inputs")
    fit.add_argument("--name", default="twin", help="name of the twin's files (default twin)")
    fit.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where the twin goes")
    fit.add_argument("--response-delays", type=int, help="earlier samples of the response that the twin sees")
    fit.add_argument("--drive-delays", type=int, help="earlier samples of the drive that the twin sees")
    fit.add_argument("--seconds", type=float, help="budget for training (default 20)")
    fit.add_argument("--seed", type=int, default=0, help="seed (default 0)")
    add_data_arguments(fit)
    fit.set_defaults(run=run_fit)
    check = actions.add_parser("check", help="print how well a twin is calibrated on recordings")
    check.add_argument("twin", type=Path, help="the twin (.safetensors or .json of it)")
    check.add_argument("recordings", type=Path, nargs="+", help="recordings with repeats of inputs (.h5)")
    check.add_argument("--draws", type=int, default=99, help="free runs an input (default 99)")
    check.add_argument("--seed", type=int, default=0, help="seed of the free runs (default 0)")
    check.set_defaults(run=run_check)


def run_fit(options: argparse.Namespace) -> int:
    """Fit, with a progress bar; print the calibration if there are held-out recordings."""
    from dataclasses import replace

    from labctl.campaign import run
    from labctl.campaigns.fit_twin import FitSettings, fit_twin
    from labctl.console import Console

    given = {
        "response_delays": options.response_delays,
        "drive_delays": options.drive_delays,
        "max_seconds": options.seconds,
    }
    settings = replace(FitSettings(), **{name: value for name, value in given.items() if value is not None})
    recordings, heldout = recordings_of(options, options.recordings)
    if options.heldout:
        heldout = recordings_of(options, [options.heldout])[0]
    simulated = any(recording.simulated for recording in recordings)
    campaign = fit_twin(
        options.name,
        recordings,
        heldout[0] if heldout else None,
        seed=options.seed,
        settings=settings,
        folder=options.out,
    )
    fitted = run(campaign, on_event=Console())
    sys.stdout.write(json.dumps({"twin": str(fitted.path), "simulated": simulated, **fitted.figures}, indent=2) + "\n")
    return 0


def run_check(options: argparse.Namespace) -> int:
    """Print the calibration figures as JSON."""
    from labctl.campaigns.fit_twin import calibration_of
    from labctl.store import open_recording
    from twins import load_twin

    twin = load_twin(options.twin)
    figures = {
        str(path): {
            "simulated": recording.simulated,
            **calibration_of(twin, recording, n_draws=options.draws, seed=options.seed),
        }
        for path in options.recordings
        for recording in [open_recording(path)]
    }
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")
    return 0
