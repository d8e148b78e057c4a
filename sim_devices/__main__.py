"""`python -m sim_devices BENCH.toml`: serve a simulated bench until told to stop."""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
import threading
from pathlib import Path

from sim_devices.bench_file import BenchFileError, load_bench
from sim_devices.running import RunningBench

_DESCRIPTION = """Serve a simulated bench: devices with noise, and instruments wired to them that speak SCPI on 127.0.0.1.

One line of JSON on standard output says when everything listens, and where:
  {"bench": ..., "simulated": true, "pid": ..., "instruments": {NAME: {"address": "TCPIP::127.0.0.1::...", "identity": ...}}}
"""
_EPILOG = """The bench file is described at the top of sim_devices/bench_file.py; an example is sim_devices/benches/demo.toml.
Stop it with SIGTERM or Ctrl-C. Exit status: 0 stopped, 2 the bench file cannot be used."""


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m sim_devices", description=_DESCRIPTION, epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("bench", metavar="BENCH.toml", type=Path, help="the bench file")
    parser.add_argument("--port-file", metavar="FILE", type=Path, help="write the line of JSON to this file as well")
    parser.add_argument("--exit-with-parent", action="store_true", help="stop when standard input ends")
    options = parser.parse_args(arguments)
    sys.setswitchinterval(0.001)  # the physics thread must not keep the lines waiting
    try:
        spec = load_bench(options.bench)
        running = RunningBench(spec)
        asyncio.run(_serve(running, port_file=options.port_file, watch_stdin=options.exit_with_parent))
    except (BenchFileError, OSError) as error:
        sys.stderr.write(f"sim_devices: {error}\n")
        return 2
    return 0


async def _serve(running: RunningBench, *, port_file: Path | None, watch_stdin: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    try:
        await running.start()
        line = json.dumps(running.announcement(pid=os.getpid())) + "\n"
        if port_file is not None:
            partial = port_file.with_name(port_file.name + ".part")
            partial.write_text(line, encoding="utf-8")
            partial.replace(port_file)  # whoever waits for the file never sees half of it
        sys.stdout.write(line)
        sys.stdout.flush()
        if watch_stdin:
            end_of_input = threading.Thread(target=_watch_input, args=(loop, stop), daemon=True)
            end_of_input.start()
        await stop.wait()
    finally:
        await running.close()


def _watch_input(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """In a thread: standard input may be anything, even what no event loop can wait for."""
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    with contextlib.suppress(RuntimeError):  # the loop may be closed already
        loop.call_soon_threadsafe(stop.set)


if __name__ == "__main__":
    sys.exit(main())
