"""`labctl goku`: infer the parameters of a known equation from measured traces, and foresee how they go on."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.commands import (
    goku_characterise,
    goku_compare,
    goku_fit,
    goku_identifiability,
    goku_simulate,
    goku_study,
    goku_systems,
)
from labctl.commands.arguments import positive_integer
from labctl.commands.goku_arguments import measured_of
from labctl.commands.goku_asked import add_inference, asked
from labctl.commands.goku_stopped import told_when_stopped

if TYPE_CHECKING:
    from labctl.goku_model import GokuModel
    from labctl.goku_series import Measured

EXIT_NOT_TRUSTED = 3


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    goku = commands.add_parser(
        "goku", help="infer the parameters of a known equation from measured traces, forecast, report"
    )
    actions = goku.add_subparsers(title="actions", metavar="ACTION", required=True)
    goku_systems.add_action(actions)
    goku_fit.add_action(actions)
    _add_infer(actions)
    _add_forecast(actions)
    _add_report(actions)
    goku_identifiability.add_action(actions)
    goku_compare.add_action(actions)
    goku_simulate.add_action(actions)
    goku_study.add_action(actions)
    goku_characterise.add_action(actions)


def _add_infer(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    infer = actions.add_parser(
        "infer",
        help="parameters of each trace with 90 %% intervals",
        description=f"Exit status: 0 all traces are to be trusted, {EXIT_NOT_TRUSTED} some are not (the table says why).",
    )
    add_inference(infer)
    infer.add_argument("--json", action="store_true", help="print JSON instead of a table")
    infer.add_argument(
        "--identifiability",
        action="store_true",
        help="also which parameters the data tell, and which only in combination",
    )
    _add_out(infer, "draws")
    infer.set_defaults(run=run_infer)


def what_file_holds(_: Path) -> str:
    """Of a file of an inference that was stopped."""
    return "what the network says of every trace, NOT refined: the refinement was stopped, and nothing of it is kept"


def _add_out(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument(
        "--out",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help=f"also write FILE.json, FILE.csv or FILE.h5 (with all {what}); repeatable",
    )


def _add_forecast(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    forecast = actions.add_parser("forecast", help="how each trace goes on, with 90 %% bands")
    add_inference(forecast)
    forecast.add_argument("--samples", type=positive_integer, required=True, help="how many samples to foresee")
    forecast.add_argument("--drive-file", type=Path, metavar="FILE", help="data with the drive of the samples to come")
    forecast.add_argument("--hold-drive", action="store_true", help="the last value of the drive stays")
    forecast.add_argument("--json", action="store_true", help="print JSON instead of a summary")
    _add_out(forecast, "draws")
    forecast.set_defaults(run=run_forecast)


def _add_report(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    report = actions.add_parser(
        "report", help="a page with parameters, reconstruction, forecast of what was held back, residuals"
    )
    add_inference(report)
    report.add_argument("--out", type=Path, required=True, metavar="FILE", help="the page (.html)")
    report.set_defaults(run=run_report)


def run_infer(options: argparse.Namespace) -> int:
    """Print the table; 3 if a trace is not to be trusted."""
    from labctl.campaign import run
    from labctl.campaigns.finish_twin import plain
    from labctl.campaigns.infer_goku import check_writable, infer_goku, what_can_be_told
    from labctl.console import Console
    from labctl.goku_table import check_ending, table_text

    for path in options.out:
        check_ending(path)
    check_writable(options.out)
    model, measured, settings = asked(options)
    with told_when_stopped(options.out, what_file_holds):
        inferred = run(
            infer_goku(model, measured, seed=options.seed, settings=settings, files=options.out), on_event=Console()
        )
    told = what_can_be_told(inferred, seed=options.seed) if options.identifiability else []
    if options.json:
        findings = {"identifiability": [{"traces": traces, **one.as_dict()} for traces, one in told]} if told else {}
        _print_json(plain({**inferred.as_dict(), **findings}))
    else:
        simulated = "SIMULATED data\n" if inferred.about["simulated"] else ""
        sys.stdout.write(simulated + table_text(inferred.rows))
        for traces, one in told:
            sys.stdout.write("\n".join([f"\n{traces}:", *(f"  {line}" for line in one.lines())]) + "\n")
    return 0 if inferred.n_trusted == len(inferred.rows) else EXIT_NOT_TRUSTED


def run_forecast(options: argparse.Namespace) -> int:
    """Print a summary, or JSON; 3 if a trace is not to be trusted."""
    from labctl.campaign import run
    from labctl.campaigns.forecast_goku import forecast_goku, forecast_text
    from labctl.campaigns.infer_goku import check_writable
    from labctl.console import Console
    from labctl.goku_table import check_ending

    for path in options.out:
        check_ending(path)
    check_writable(options.out)
    model, measured, settings = asked(options)
    drive = None if options.drive_file is None else _drive_file(options, model)
    campaign = forecast_goku(
        model,
        measured,
        n_samples=options.samples,
        seed=options.seed,
        settings=settings,
        drive=drive,
        hold_drive=options.hold_drive,
        files=options.out,
    )
    forecast = run(campaign, on_event=Console())
    if options.json:
        _print_json(forecast.as_dict())
    else:
        sys.stdout.write(forecast_text(forecast))
    trusted = forecast.inferred.n_trusted == len(forecast.inferred.rows)
    return 0 if trusted else EXIT_NOT_TRUSTED


def _drive_file(options: argparse.Namespace, model: GokuModel) -> Measured:
    """A file with the drive alone, or with the response as well."""
    from labctl.outside_data import is_recording

    whole = argparse.Namespace(**vars(options) | {"rows": None, "segment": None})
    if not is_recording(options.drive_file):
        whole.response, whole.drive = list(dict.fromkeys(model.wired.drives.values())), None
        return measured_of(whole, [options.drive_file], moving=False).driving()
    return measured_of(whole, [options.drive_file])


def run_report(options: argparse.Namespace) -> int:
    """Write the page."""
    from labctl.campaign import run
    from labctl.campaigns.infer_goku import check_writable
    from labctl.campaigns.report_goku import report_goku
    from labctl.console import Console
    from labctl.errors import UsageError

    if options.out.suffix not in (".html", ".htm"):
        raise UsageError(f"--out {options.out}: the report is a page; give FILE.html")
    check_writable([options.out])
    model, measured, settings = asked(options)
    run(report_goku(model, measured, path=options.out, seed=options.seed, settings=settings), on_event=Console())
    sys.stdout.write(f"{options.out}\n")
    return 0


def _print_json(data: object) -> None:
    sys.stdout.write(json.dumps(data, indent=2) + "\n")
