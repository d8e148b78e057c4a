"""What a recorded point costs: labctl beside PyMeasure and QCoDeS, in one run, on one simulated bench.

    python benchmarks/point_cost.py --json point_cost.json

Buffered: CPU time (all threads of this process; the simulator is another) of a recording played from memory and streamed
to disk, a sample being one instant of one device (drive and response). Floor: the same bytes received from a socket and
written by h5py, nothing else.
Stepped: set + get of one output on a SOCKET connection, wall and CPU time, medians of interleaved rounds: PyMeasure's
Instrument with a strict validator (bare, nothing recorded), labctl's bench (limits, ramp and state checked, the point
appended to a recording on disk), PyMeasure's worker writing its CSV, and QCoDeS' Measurement writing its SQLite.
Everything is measured on SIMULATED instruments.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from labctl.bench import Bench, Block
from labctl.designs import random_steps
from labctl.plant import collect
from labctl.recording import RecordingHeader
from labctl.simulation import SimulatedBench, write_demo_station
from labctl.store import RecordingWriter

Cost = tuple[float, float]  # wall and CPU, microseconds a point
CHANNEL = "leaky_drive"


def timed(work: Callable[[], object], n: int) -> Cost:
    """Wall and CPU microseconds a point of `work`, which handles n points."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return 1e6 * (time.perf_counter() - wall) / n, 1e6 * (time.process_time() - cpu) / n


def buffered(bench: Bench, folder: Path, *, n_trials: int, rounds: int, seed: int) -> dict[str, Any]:
    """CPU a sample of buffered recordings, beside the floor, interleaved."""
    dt_s = bench.station.device("leaky").dt_s
    excitation = random_steps(
        CHANNEL,
        low=-2.0,
        high=2.0,
        hold_s=[5 * dt_s],
        duration_s=2000 * dt_s,
        n_trials=n_trials,
        dt_s=dt_s,
        generator=np.random.default_rng(seed),
    )
    costs, floors, samples = [], [], 0
    for number in range(rounds):
        recordings = []
        wall, cpu = time.perf_counter(), time.process_time()
        recordings.append(collect(bench.respond(excitation, store=folder / f"buffered-{number}.h5")))
        spent = time.process_time() - cpu, time.perf_counter() - wall
        samples = int(recordings[0].valid_samples.sum())
        costs.append((1e6 * spent[0] / samples, 1e6 * spent[1] / samples))
        floors.append(floor(samples, folder / f"floor-{number}.h5"))
    return {
        "samples_a_round": samples,
        "rounds": rounds,
        "labctl_cpu_us_per_sample": statistics.median(cost for cost, _ in costs),
        "labctl_wall_us_per_sample_with_the_simulator": statistics.median(wall for _, wall in costs),
        "floor_cpu_us_per_sample": statistics.median(floors),
    }


def floor(samples: int, path: Path) -> float:
    """CPU microseconds a sample for receiving float32 from a socket and writing drive and response as float64."""
    sender, receiver = socket.socketpair()
    payload = np.zeros(samples, dtype=np.float32).tobytes()
    thread = threading.Thread(target=lambda: (sender.sendall(payload), sender.close()), daemon=True)
    cpu = time.process_time()
    thread.start()
    received = bytearray(len(payload))
    view, position = memoryview(received), 0
    while position < len(payload):
        position += receiver.recv_into(view[position : position + (1 << 20)])
    with h5py.File(path, "x", libver="earliest") as file:
        file["response"] = np.frombuffer(received, dtype=np.float32).astype(np.float64)
        file["drive"] = np.zeros(samples)
    thread.join()
    receiver.close()
    return 1e6 * (time.process_time() - cpu) / samples


def labctl_points(bench: Bench, values: np.ndarray, path: Path) -> None:
    """Set and get each value through the bench, and append every 500 points to a recording on disk."""
    header = RecordingHeader(
        shape=(1, len(values)),
        dt_s=1e-3,
        drive_names=(CHANNEL,),
        drive_units=("V",),
        response_names=("read_back",),
        response_units=("V",),
        n_prepare=0,
        input_id=np.zeros(1, dtype=np.int64),
        simulated=True,
    )
    with RecordingWriter(path, header) as writer:
        read = np.empty((500, 1))
        for start in range(0, len(values), 500):
            chunk = values[start : start + 500]
            for index, value in enumerate(chunk.tolist()):
                bench.set(CHANNEL, value)
                read[index, 0] = bench.get(CHANNEL)
            writer.append(Block(0, start, chunk[:, None], read[: len(chunk)].copy()))


class PyMeasureRival:
    """PyMeasure on the same instrument: bare set + get, and its worker with a CSV file."""

    def __init__(self, address: str) -> None:
        from pymeasure.adapters import VISAAdapter
        from pymeasure.instruments import Instrument
        from pymeasure.instruments.validators import strict_range

        class Generator(Instrument):  # type: ignore[misc]
            offset = Instrument.control(
                "SOUR1:VOLT:OFFS?", "SOUR1:VOLT:OFFS %g", "Offset (V).", validator=strict_range, values=[-10, 10]
            )

        adapter = VISAAdapter(address, visa_library="@py", read_termination="\n", write_termination="\n")
        session = adapter.connection.visalib.sessions[adapter.connection.session]
        session.interface.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # the rival at its best
        self.instrument = Generator(adapter, "generator", includeSCPI=False)
        self.adapter = adapter

    def bare(self, values: np.ndarray) -> None:
        """Set and get; nothing is kept."""
        instrument = self.instrument
        for value in values.tolist():
            instrument.offset = value
            _ = instrument.offset

    def recorded(self, values: np.ndarray, path: Path) -> None:
        """The same by a Procedure in a Worker, into its CSV."""
        from pymeasure.experiment import FloatParameter, Procedure, Results, Worker

        instrument = self.instrument

        class Sweep(Procedure):  # type: ignore[misc]
            scale = FloatParameter("scale", default=1.0)
            DATA_COLUMNS = ["set", "read"]  # noqa: RUF012 - PyMeasure's convention

            def execute(self) -> None:
                for value in values.tolist():
                    instrument.offset = value
                    self.emit("results", {"set": value, "read": instrument.offset})

        worker = Worker(Results(Sweep(), str(path)))
        worker.start()
        worker.join(timeout=600)


def qcodes_points(rival: PyMeasureRival, values: np.ndarray, folder: Path) -> None:
    """QCoDeS' Measurement into its SQLite, over the same open connection."""
    from qcodes.dataset import Measurement, initialise_or_create_database_at, load_or_create_experiment
    from qcodes.parameters import Parameter
    from qcodes.validators import Numbers

    initialise_or_create_database_at(str(folder / "qcodes.db"))
    experiment = load_or_create_experiment("point_cost", "simulated")

    def write(value: float) -> None:
        rival.instrument.offset = value

    output = Parameter("output", set_cmd=write, get_cmd=False, vals=Numbers(-10, 10))
    reading = Parameter("reading", get_cmd=lambda: rival.instrument.offset)
    measurement = Measurement(exp=experiment)
    measurement.register_parameter(output)
    measurement.register_parameter(reading, setpoints=(output,))
    with measurement.run() as saver:
        for value in values.tolist():
            output.set(value)
            saver.add_result((output, value), (reading, reading.get()))


def stepped(bench: Bench, address: str, folder: Path, *, n: int, rounds: int, seed: int) -> dict[str, Any]:
    """Medians of interleaved rounds; small steps, which no ramp slows down."""
    values = 0.1 + 1e-4 * np.random.default_rng(seed).random(n)
    rival = PyMeasureRival(address)
    qcodes = importlib.util.find_spec("qcodes") is not None
    contestants: dict[str, Callable[[int], object]] = {
        "pymeasure_bare": lambda _: rival.bare(values),
        "labctl_recorded": lambda number: labctl_points(bench, values, folder / f"stepped-{number}.h5"),
        "pymeasure_recorded": lambda number: rival.recorded(values, folder / f"pymeasure-{number}.csv"),
    }
    if qcodes:
        contestants["qcodes_recorded"] = lambda _: qcodes_points(rival, values, folder)
    bench.set(CHANNEL, 0.1)
    costs: dict[str, list[Cost]] = {name: [] for name in contestants}
    for number in range(rounds):
        for name, work in contestants.items():
            costs[name].append(timed(lambda work=work, number=number: work(number), n))  # type: ignore[misc]
    table = {
        name: {
            "wall_us": statistics.median(wall for wall, _ in found),
            "cpu_us": statistics.median(cpu for _, cpu in found),
        }
        for name, found in costs.items()
    }
    pairs = zip(costs["labctl_recorded"], costs["pymeasure_bare"], strict=True)
    differences = [(ours[0] - theirs[0], ours[1] - theirs[1]) for ours, theirs in pairs]
    rival.adapter.close()
    return {
        "points_a_round": n,
        "rounds": rounds,
        "us_per_point": table,
        "stepped_overhead_us": statistics.median(wall for wall, _ in differences),
        "stepped_overhead_cpu_us": statistics.median(cpu for _, cpu in differences),
        "qcodes": "measured" if qcodes else "skipped: QCoDeS is not installed (pip install qcodes)",
    }


def main() -> None:
    """Measure and print; with --json also write."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--json", type=Path, help="write the figures here")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--quick", action="store_true", help="fewer points and rounds")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as temporary, SimulatedBench.start() as simulation:
        folder = Path(temporary)
        with Bench.open(write_demo_station(simulation, folder / "station.toml")) as bench:
            rounds = 3 if chosen.quick else 7
            figures = {
                "simulated": bench.simulated,
                **buffered(bench, folder, n_trials=40 if chosen.quick else 100, rounds=rounds, seed=chosen.seed),
                "stepped": stepped(
                    bench,
                    simulation.addresses["awg"],
                    folder,
                    n=1000 if chosen.quick else 3000,
                    rounds=rounds,
                    seed=chosen.seed,
                ),
            }
    figures["stepped_overhead_us"] = figures["stepped"]["stepped_overhead_us"]
    print(json.dumps(figures, indent=2))
    if not isinstance(figures["stepped"], dict) or "skipped" in figures["stepped"]["qcodes"]:
        print(figures["stepped"]["qcodes"])
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
