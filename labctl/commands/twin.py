"""`labctl twin`: diagnose recordings, fit a twin to them, check it, ask it, compare twins, fit one while recording."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.commands import twin_import, twin_list, twin_predict, twin_serve, twin_stream
from labctl.commands.arguments import check_folder, positive_integer, seed
from labctl.commands.data_arguments import add_data_arguments, align_as, heldout_of, recordings_of

if TYPE_CHECKING:
    from labctl.campaigns.fit_twin import FitSettings, FittedTwin
    from labctl.recording import Recording

EXIT_GATES_NOT_PASSED = 3
DEFAULT_SECONDS = 120.0


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    twin = commands.add_parser("twin", help="diagnose recordings, fit a twin to them, check it, compare twins")
    actions = twin.add_subparsers(title="actions", metavar="ACTION", required=True)
    _add_diagnose(actions)
    _add_fit(actions)
    _add_check(actions)
    _add_compare(actions)
    twin_predict.add_action(actions)
    twin_list.add_action(actions)
    twin_import.add_action(actions)
    twin_stream.add_action(actions)
    twin_serve.add_action(actions)


def _add_diagnose(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    diagnose = actions.add_parser(
        "diagnose", help="what noise, memory and drift recordings show, and which twin they call for"
    )
    diagnose.add_argument("recordings", type=Path, nargs="+", help="recordings of one device (.h5), or outside data")
    diagnose.add_argument("--seed", type=seed, default=0, help="seed of the stretches looked at (default 0)")
    diagnose.add_argument("--json", action="store_true", help="print JSON instead of words")
    add_data_arguments(diagnose, test_rows=False)
    _add_grouping(diagnose)
    diagnose.set_defaults(run=run_diagnose)


def _add_fit(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    fit = actions.add_parser(
        "fit",
        help="fit a twin, judge it on held-out inputs, save it with a report",
        description="Without further options the twin is built and trained as a diagnosis of the recordings calls for, "
        "which is printed with its reasons. It is judged on --heldout, or on inputs kept from the fit, and on none that it "
        "was trained on; what is optimised on a twin that does not pass its gates is not applied to a device. Results go to "
        "stdout as JSON, the verdict in words to stderr.",
    )
    fit.add_argument("recordings", type=Path, nargs="+", help="recordings of one device (.h5), or outside data")
    fit.add_argument("--heldout", type=Path, help="a recording to judge it on, with repeats of other inputs")
    fit.add_argument("--name", default="twin", help="name of the twin's files (default twin)")
    fit.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where the twin and its report go")
    choice = fit.add_mutually_exclusive_group()
    choice.add_argument("--as-diagnosed", action="store_true", help="choose by the diagnosis (the default)")
    choice.add_argument("--plain", action="store_true", help="the plain defaults and one-step likelihood")
    choice.add_argument("--preset", metavar="NAME", help="a preset of the reference: duffing, leaky_integrator ...")
    fit.add_argument("--phases", metavar="NAME,NAME", help="phases of the training instead of the chosen ones")
    fit.add_argument("--response-delays", type=int, help="earlier samples of the response that the twin sees")
    fit.add_argument("--drive-delays", type=int, help="earlier samples of the drive that the twin sees")
    fit.add_argument("--hidden", type=_widths, metavar="N,N", help="widths of the nets' hidden layers")
    fit.add_argument(
        "--ensemble", type=positive_integer, help="twins of different seeds; the first is judged and used (default 1)"
    )
    fit.add_argument(
        "--seconds",
        type=float,
        default=DEFAULT_SECONDS,
        help="wall time of all training together: the twin has at least half of it, a plain twin that is tried beside it and "
        f"further members the rest; diagnosis, judgement and report come on top (default {DEFAULT_SECONDS:g})",
    )
    fit.add_argument(
        "--held-out-fraction",
        type=_fraction,
        metavar="SHARE",
        help="kept from the fit to judge it, where --heldout and --test-rows are not given: of the inputs, or of every trial "
        "where there are fewer than 5 inputs (default: 0.2, or up to 0.4 where the gates need as much)",
    )
    fit.add_argument("--seed", type=seed, default=0, help="seed (default 0)")
    add_data_arguments(fit)
    _add_grouping(fit)
    fit.set_defaults(run=run_fit)


def _add_check(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    check = actions.add_parser(
        "check",
        help="judge a twin on recordings it has not seen",
        description=f"Exit status: 0 passed its gates, {EXIT_GATES_NOT_PASSED} did not.",
    )
    check.add_argument("twin", type=Path, help="the twin (.safetensors or .json of it)")
    check.add_argument("recordings", type=Path, nargs="+", help="recordings that were not used to fit it")
    check.add_argument("--draws", type=positive_integer, default=99, help="free runs an input (default 99)")
    check.add_argument("--seed", type=seed, default=0, help="seed of the free runs (default 0)")
    check.add_argument("--store", action="store_true", help="keep the outcome with the twin as its gates")
    add_data_arguments(check, test_rows=False)
    _add_grouping(check)
    check.set_defaults(run=run_check)


def _add_compare(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    compare = actions.add_parser("compare", help="twins side by side on recordings that none of them has seen")
    compare.add_argument("twins", type=Path, nargs="+", help="two twins or more (.safetensors or .json)")
    compare.add_argument("--on", type=Path, action="append", required=True, metavar="RECORDING", help="repeatable")
    compare.add_argument("--draws", type=positive_integer, default=99, help="free runs an input (default 99)")
    compare.add_argument("--seed", type=seed, default=0, help="seed of the free runs (default 0)")
    compare.add_argument("--json", action="store_true", help="print JSON instead of a table")
    add_data_arguments(compare, test_rows=False)
    compare.set_defaults(run=run_compare)


def _add_grouping(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--group-similar",
        type=_tolerance,
        metavar="TOLERANCE",
        help="take trials of a file as repeats whose drives differ by no more than this, as a root mean square in spreads of "
        "the drive, and conditions as one within this share of their range: where exact repeats are impossible",
    )


def _grouped(options: argparse.Namespace, recordings: list[Recording]) -> list[Recording]:
    from labctl.grouped import group_similar

    if options.group_similar is None or not recordings:
        return recordings
    return group_similar(recordings, tolerance=options.group_similar)


def _tolerance(text: str) -> float:
    try:
        tolerance = float(text)
    except ValueError:
        tolerance = 0.0
    if not 0.0 < tolerance < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r}: give a positive number, as in 0.05")
    return tolerance


def run_diagnose(options: argparse.Namespace) -> int:
    """Print the diagnosis and the recommendation with its reasons."""
    from labctl.campaign import run
    from labctl.campaigns.diagnose_twin import diagnose_twin
    from labctl.console import Console

    recordings, _ = recordings_of(options, options.recordings)
    found = run(diagnose_twin("the device", _grouped(options, recordings), seed=options.seed), on_event=Console())
    if options.json:
        _print_json(found.as_dict())
        return 0
    recommended = found.recommendation
    lines = ["SIMULATED recordings"] if found.simulated else []
    lines += [*found.lines, "", "recommended:"]
    lines += [f"  {name} = {value}" for name, value in recommended.spec_options.items()]
    lines += [f"  phases = {', '.join(recommended.phases)}", f"  ensemble = {recommended.ensemble}", "because:"]
    lines += [f"  {reason}" for reason in recommended.reasons]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def run_fit(options: argparse.Namespace) -> int:
    """Fit, with a progress bar; print why it is built so, how it is calibrated, and whether it passed its gates."""
    from labctl.campaign import run
    from labctl.campaigns.fit_twin import fit_twin
    from labctl.console import Console

    check_folder(options.out)
    recordings, test = recordings_of(options, options.recordings)
    if options.heldout:
        test = [*test, *heldout_of(options, options.heldout)]
    recordings, test = _grouped(options, recordings), _grouped(options, test)
    campaign = fit_twin(
        options.name, recordings, test or None, seed=options.seed, settings=_settings(options), folder=options.out
    )
    fitted = run(campaign, on_event=Console())
    for reason in fitted.reasons:
        sys.stderr.write(f"{reason}\n")
    _print_json(_fit_outcome(fitted, recordings))
    sys.stdout.flush()
    sys.stderr.write(_summary(options.name, fitted))
    return 0


def _summary(name: str, fitted: FittedTwin) -> str:
    """For people: what it is worth, and where it is."""
    from labctl.clearance import verdict_in_words

    coverage, ratio = fitted.figures["coverage_90"], fitted.figures["std_ratio"]
    told = "not known" if ratio is None else f"{ratio:.3f}"
    return (
        f"\n{verdict_in_words(name, fitted.gates)}\n"
        f"judged on {fitted.figures['n_trials']} held-out trials of {fitted.figures['n_inputs']} inputs: {coverage:.3f} of the "
        f"measured values lie in its 90 % interval, its spread over the device's is {told}\n"
        f"twin {fitted.path}, report {fitted.report}\n"
    )


def _fit_outcome(fitted: FittedTwin, recordings: list[Recording]) -> dict[str, Any]:
    return {
        "twin": str(fitted.path),
        "report": str(fitted.report),
        "simulated": any(recording.simulated for recording in recordings),
        **fitted.figures,
        "gates_passed": fitted.passed,
        "gates": fitted.gates["gates"],
        "reasons": list(fitted.reasons),
        "ensemble": None if fitted.ensemble is None else str(fitted.ensemble),
    }


def _settings(options: argparse.Namespace) -> FitSettings:
    from labctl.campaigns.choose_twin import DIAGNOSED, PLAIN
    from labctl.campaigns.fit_twin import FitSettings

    return FitSettings(
        choice=PLAIN if options.plain else options.preset or DIAGNOSED,
        response_delays=options.response_delays,
        drive_delays=options.drive_delays,
        hidden=options.hidden,
        phases=tuple(options.phases.split(",")) if options.phases else None,
        ensemble=options.ensemble,
        max_seconds=options.seconds,
        held_out_fraction=options.held_out_fraction,
    )


def run_check(options: argparse.Namespace) -> int:
    """Print calibration and gates on each recording as JSON; 3 if a gate is not passed on any of them."""
    from labctl.campaign import run
    from labctl.campaigns.check_twin import check_twin
    from labctl.clearance import verdict_in_words
    from labctl.console import Console

    align_as(options, [options.twin])
    recordings = {str(path): _grouped(options, recordings_of(options, [path])[0]) for path in options.recordings}
    campaign = check_twin(options.twin, recordings, n_draws=options.draws, seed=options.seed, store=options.store)
    checked = run(campaign, on_event=Console())
    _print_json(checked.as_dict())
    sys.stdout.flush()
    for name, judgement in checked.judgements.items():
        sys.stderr.write(f"{name}: {verdict_in_words(options.twin.stem, judgement.gates)}\n")
    return 0 if checked.passed else EXIT_GATES_NOT_PASSED


def run_compare(options: argparse.Namespace) -> int:
    """Print the twins side by side, and which is better beyond chance."""
    from labctl.campaign import run
    from labctl.campaigns.compare_twins import compare_twins
    from labctl.console import Console

    align_as(options, options.twins)
    recordings, _ = recordings_of(options, options.on)
    campaign = compare_twins(options.twins, recordings, n_draws=options.draws, seed=options.seed)
    comparison = run(campaign, on_event=Console())
    if options.json:
        _print_json(comparison.as_dict())
    else:
        sys.stdout.write(comparison.as_text())
    return 0


def _widths(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(width) for width in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: give whole numbers, as in 24,24") from None


def _fraction(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0.0 < share < 1.0:
        raise argparse.ArgumentTypeError(f"{text!r}: give a share between 0 and 1, as in 0.3")
    return share


def _print_json(data: object) -> None:
    sys.stdout.write(json.dumps(data, indent=2) + "\n")
