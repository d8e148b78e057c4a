"""`labctl twin stream`: record a device and fit its twin at the same time, until the twin passes its gates."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from labctl.commands.arguments import check_folder, check_new, positive_integer, seed


def add_action(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the action to `labctl twin`."""
    stream = actions.add_parser(
        "stream",
        help="record a device and fit its twin meanwhile, until the twin passes its gates",
        description="Exit status: 0 the gates were passed, 3 the budget was spent before, 1 an error.",
    )
    stream.add_argument("station", type=Path, help="station file (TOML)")
    stream.add_argument("--device", required=True, help="device of the station file")
    stream.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where recordings and twin go")
    stream.add_argument(
        "--budget", type=_seconds, default=60.0, metavar="SECONDS", help="device time at most, as in 60s (default 60s)"
    )
    stream.add_argument("--wall", type=_seconds, metavar="SECONDS", help="wall time at most, checked between rounds")
    stream.add_argument("--choose", action="store_true", help="next drives where an ensemble of twins disagrees most")
    stream.add_argument("--plain", action="store_true", help="the plain twin, without a diagnosis of the first round")
    stream.add_argument("--trials", type=positive_integer, default=6, help="training trials a round (default 6)")
    stream.add_argument("--samples", type=positive_integer, default=300, help="samples a training trial (default 300)")
    stream.add_argument("--inputs", type=positive_integer, default=12, help="held-out inputs (default 12)")
    stream.add_argument("--low", type=float, help="lowest drive (default: the channel's limit)")
    stream.add_argument("--high", type=float, help="highest drive (default: the channel's limit)")
    stream.add_argument(
        "--condition", action="append", default=[], metavar="CHANNEL=VALUE", help="set-point held meanwhile; repeatable"
    )
    stream.add_argument("--seed", type=seed, default=0, help="seed of drives and fit (default 0)")
    stream.set_defaults(run=run_stream)


def run_stream(options: argparse.Namespace) -> int:
    """Record and fit; print device-seconds used and what the twin is worth. The outputs end safe."""
    import numpy as np

    from labctl.bench import Bench
    from labctl.campaign import Journal, run
    from labctl.campaigns.choose_twin import DIAGNOSED, PLAIN
    from labctl.campaigns.fit_settings import FitSettings
    from labctl.campaigns.stream_design import StreamBudget, StreamDesign
    from labctl.campaigns.stream_twin import stream_twin
    from labctl.commands.record import conditions_from
    from labctl.commands.twin import EXIT_GATES_NOT_PASSED
    from labctl.console import Console
    from labctl.network_bench import apply_conditions

    check_folder(options.out)
    check_new([options.out / f"{options.device}.json", options.out / "recordings"])
    design = StreamDesign(
        n_trials=options.trials,
        n_samples=options.samples,
        n_inputs=options.inputs,
        low=options.low,
        high=options.high,
    )
    with Bench.open(options.station) as bench, Journal(options.out / "journal.jsonl") as journal:
        if bench.simulated:
            sys.stderr.write(f"SIMULATED bench {bench.station.name!r}\n")
        apply_conditions(bench, conditions_from(options.condition))
        campaign = stream_twin(
            bench,
            options.device,
            folder=options.out,
            rng=np.random.default_rng(options.seed),
            design=design,
            budget=StreamBudget(device_seconds=options.budget, wall_seconds=options.wall),
            settings=FitSettings(choice=PLAIN if options.plain else DIAGNOSED),
            drives="chosen" if options.choose else "random",
            seed=options.seed,
        )
        streamed = run(campaign, on_event=Console(), journal=journal)
        sys.stdout.write(json.dumps({"simulated": bench.simulated, **streamed.as_dict()}, indent=2) + "\n")
        sys.stdout.flush()
        report = bench.make_safe()
        if report.ok:
            sys.stderr.write(f"{report}\n")
    if not report.ok:
        return 1
    return 0 if streamed.passed else EXIT_GATES_NOT_PASSED


def _seconds(text: str) -> float:
    """An argparse type: seconds, as in 60, 60s or 2min."""
    from labctl.errors import LabctlError
    from labctl.outside_data.quantities import seconds_of

    try:
        return seconds_of(text)
    except LabctlError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
