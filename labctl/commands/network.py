"""`labctl network`: optimise a network of twins for a task."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.commands import close_gap

if TYPE_CHECKING:
    from twins import DeviceTwin

TASK_HELP = (
    "narma10, narma30, mackey_glass, lorenz, memory_capacity, delayed_parity, sine_square, spoken_digits or "
    "waveform_synthesis; or FILE.py:ClassName, a task of your own, whose file is run"
)


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    network = commands.add_parser("network", help="optimise a network of twins for a task")
    actions = network.add_subparsers(title="actions", metavar="ACTION", required=True)
    optimise = actions.add_parser("optimise", help="backpropagation through time on the twins, with sampled noise")
    optimise.add_argument(
        "--twin", action="append", required=True, metavar="DEVICE=FILE", help="a device and its twin; repeatable"
    )
    optimise.add_argument("--task", required=True, metavar="NAME", help=TASK_HELP)
    optimise.add_argument(
        "--station", type=Path, help="station file whose limits bound the drives besides the fitted ranges"
    )
    optimise.add_argument(
        "--range", action="append", default=[], metavar="DEVICE=LOW:HIGH", help="narrower drive range; repeatable"
    )
    optimise.add_argument(
        "--condition", action="append", default=[], metavar="CHANNEL=VALUE",
        help="where a set-point is held, for twins fitted at several values of it; repeatable",
    )  # fmt: skip
    optimise.add_argument("--seconds", type=float, help="budget of the optimiser")
    optimise.add_argument("--seed", type=int, default=0, help="seed (default 0)")
    optimise.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where the network goes")
    optimise.add_argument(
        "--resume", action="store_true", help="go on where an interrupted run into --out stopped, if there is one"
    )
    optimise.set_defaults(run=run_optimise)
    close_gap.add_action(actions)


def run_optimise(options: argparse.Namespace) -> int:
    """Optimise, with a progress bar, and save the wirings with what they promise."""
    from labctl.campaign import run
    from labctl.campaigns.network_files import save_network
    from labctl.campaigns.optimise_network import allowed_ranges, optimise_network
    from labctl.campaigns.task_plan import plan_for
    from labctl.clearance import shortcomings
    from labctl.console import Console
    from labctl.provenance import collect_provenance
    from labctl.station import load_station
    from twins.network.multi_start_state import forget_choice

    twins, conditions, simulated, gates = load_twins(options.twin)
    conditions |= conditions_from(options.condition, conditions)
    for fault in (fault for name, one in gates.items() for fault in shortcomings(name, one)):
        sys.stderr.write(f"WARNING {fault}; `labctl deploy` will refuse this network\n")
    station = load_station(options.station) if options.station else None
    plan = plan_for(options.task, tuple(twins), dt_s=next(iter(twins.values())).spec.dt_s)
    if options.seconds is not None:
        plan = plan.with_budget(options.seconds)
    examples_seed = options.seed + 1
    state = unfinished(options.out, resume=options.resume)
    campaign = optimise_network(
        twins,
        plan,
        ranges=allowed_ranges(twins, station, ranges_from(options.range)),
        conditions=conditions,
        seed=options.seed,
        examples_seed=examples_seed,
        state=state,
    )
    optimised = run(campaign, on_event=Console())
    save_network(
        options.out,
        optimised,
        conditions=conditions,
        gates=gates,
        provenance=collect_provenance(simulated=simulated, seed=options.seed),
    )
    forget_choice(state)
    promised = {
        "task": options.task,
        "simulated": simulated,
        "promised": optimised.promise.mean,
        "promised_std": optimised.promise.std,
    }
    sys.stdout.write(json.dumps({**promised, "folder": str(options.out)}, indent=2) + "\n")
    return 0


def unfinished(folder: Path, *, resume: bool) -> Path:
    """The file in which the optimiser keeps how far it is; raises UsageError if one is there and nobody said --resume."""
    from labctl.errors import UsageError

    state = folder / "unfinished.json"
    if state.exists() and not resume:
        raise UsageError(
            f"{state}: an interrupted run lies there; go on with --resume, or remove it, or choose another --out"
        )
    return state


def ranges_from(arguments: list[str]) -> dict[str, tuple[float, float]]:
    """DEVICE=LOW:HIGH arguments as ranges; raises UsageError for anything else."""
    from labctl.errors import UsageError

    ranges: dict[str, tuple[float, float]] = {}
    for argument in arguments:
        name, _, edges = argument.partition("=")
        low, _, high = edges.partition(":")
        try:
            ranges[name] = (float(low), float(high))
        except ValueError as error:
            raise UsageError(f"--range {argument!r}: expected DEVICE=LOW:HIGH with two numbers") from error
    return ranges


def conditions_from(arguments: list[str], recorded: dict[str, float]) -> dict[str, float]:
    """CHANNEL=VALUE arguments; raises UsageError for anything else, or for another value than all recordings had."""
    from labctl.errors import UsageError

    given: dict[str, float] = {}
    for argument in arguments:
        name, _, value = argument.partition("=")
        try:
            given[name] = float(value)
        except ValueError as error:
            raise UsageError(f"--condition {argument!r}: expected CHANNEL=VALUE with a number") from error
        if recorded.get(name, given[name]) != given[name]:
            raise UsageError(f"--condition {argument}: the twins were recorded at {name} = {recorded[name]:g} alone")
    return given


def load_twins(
    arguments: list[str],
) -> tuple[dict[str, DeviceTwin], dict[str, float], bool, dict[str, dict[str, Any]]]:
    """DEVICE=FILE arguments as twins, the conditions they were recorded under, whether any device was simulated, and
    the gates of each twin (empty for one that was not judged).

    Raises UsageError for another form, or for twins of contradicting conditions.
    """
    from labctl.errors import UsageError
    from twins import load_twin, read_provenance

    twins: dict[str, DeviceTwin] = {}
    conditions: dict[str, float] = {}
    gates: dict[str, dict[str, Any]] = {}
    simulated = False
    for argument in arguments:
        name, separator, path = argument.partition("=")
        if not separator or not name or not path:
            raise UsageError(f"--twin {argument!r}: expected DEVICE=FILE")
        twins[name] = load_twin(path)
        provenance = read_provenance(path)
        gates[name] = dict(provenance.get("gates") or {})
        simulated = simulated or bool(provenance.get("simulated"))
        for channel, value in provenance.get("conditions", {}).items():
            if conditions.setdefault(channel, value) != value:
                raise UsageError(
                    f"{channel} was {conditions[channel]:g} for one twin and {value:g} for {name}: record them alike"
                )
    return twins, conditions, simulated, gates
