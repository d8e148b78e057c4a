"""`labctl demo`: the whole loop on simulated devices, ending with its result."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.commands.arguments import check_folder, seed

if TYPE_CHECKING:
    from labctl.report import LoopOutcome


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    demo = commands.add_parser("demo", help="close the loop on simulated devices and show the result")
    demo.add_argument("--out", type=Path, required=True, metavar="DIR", help="where report, summary and data go")
    demo.add_argument("--seed", type=seed, default=1, help="seed of everything random on our side (default 1)")
    demo.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the demo; 1 if an output did not end at its safe value."""
    from labctl.console import Console
    from labctl.demo import run_demo

    check_folder(options.out)
    outcome = run_demo(options.out, seed=options.seed, on_event=Console())
    sys.stdout.write(summary_text(outcome, options.out))
    return 0 if outcome.summary["outputs_safe"] else 1


def summary_text(outcome: LoopOutcome, out: Path) -> str:
    """The result for a terminal."""
    summary = outcome.summary
    lines = [
        "",
        "SIMULATED bench: every figure below was measured on simulated devices" if summary["simulated"] else "",
    ]
    header = ("task", "metric", "promised", "MEASURED", "reservoir", "unoptimised", "linear", "linear 20 taps")
    lines.append("".join(f"{name:>16}" for name in header))
    for task in outcome.tasks:
        cells = (
            task.name,
            task.metric,
            f"{task.promised:.3f} ± {task.promised_std:.3f}",
            f"{task.measured_mean:.3f} ± {task.measured_std:.3f}",
            f"{task.reservoir_measured:.3f}",
            f"{task.unoptimised_measured:.3f}",
            f"{task.linear_same_taps:.3f}",
            f"{task.linear_20_taps:.3f}",
        )
        lines.append("".join(f"{cell:>16}" for cell in cells))
    lines.append("error on held-out inputs, lower is better; the read-outs of the rivals are fitted on measured data")
    clearance = summary["clearance"]
    lines.append(
        "the twins passed their gates on held-out inputs"
        if clearance["passed"]
        else f"GATES OVERRIDDEN, because: {clearance['override']}"
    )
    for output in outcome.outputs:
        state = "safe" if output["ok"] else "NOT SAFE"
        lines.append(f"output {output['channel']}: {output['read_back']} {output['unit']} read back, {state}")
    lines.append(f"{summary['seconds']:.0f} s of wall time, {summary['device_seconds']:.1f} s of device time")
    lines.append(f"report: {out / 'report.html'}   figures: {out / 'summary.json'}")
    return "\n".join(lines) + "\n"
