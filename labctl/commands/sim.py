"""`labctl sim`: run a simulated bench in a process of its own until Ctrl-C."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

POLL_S = 0.2


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    sim = commands.add_parser("sim", help="run a simulated bench until Ctrl-C, and write a station file for it")
    sim.add_argument(
        "bench",
        nargs="?",
        default="demo",
        help="bench file (TOML), or the name of one that comes with labctl: demo (default), closed_loop, oscillator, "
        "reaction_cell",
    )
    sim.add_argument(
        "--station", type=Path, metavar="FILE", help="write a station file with the bench's addresses here"
    )
    sim.add_argument(
        "--template",
        type=Path,
        metavar="FILE",
        help="station file with {INSTRUMENT} for each address (default: the one that comes with the bench, or the demo's)",
    )
    sim.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Start the bench, print its addresses, write the station file, and wait."""
    from labctl.errors import SimulationError
    from labctl.simulation import BUNDLED, SimulatedBench, bundled_bench, bundled_station

    bundled = options.bench in BUNDLED and not Path(options.bench).exists()
    file = bundled_bench(options.bench) if bundled else Path(options.bench)
    with SimulatedBench.start(file, on_log=sys.stderr.write) as bench:
        sys.stdout.write(f"SIMULATED bench {bench.name!r}, process {bench.pid}\n")
        for name, address in bench.addresses.items():
            sys.stdout.write(f"  {name:12} {address:42} {bench.identities[name]}\n")
        if options.station:
            own = bundled_station(options.bench if bundled else "demo")
            template = options.template.read_text(encoding="utf-8") if options.template else own
            options.station.parent.mkdir(parents=True, exist_ok=True)
            options.station.write_text(bench.fill(template), encoding="utf-8")
            sys.stdout.write(f"station file: {options.station}\n")
        sys.stdout.write("Ctrl-C ends it\n")
        sys.stdout.flush()
        try:
            while bench.running:
                time.sleep(POLL_S)
        except KeyboardInterrupt:
            return 0
        raise SimulationError("the simulated bench ended by itself")
