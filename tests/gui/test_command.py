"""`labctl gui` on the command line."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gui import command
from labctl.cli import main
from labctl.errors import StationError, UsageError
from labctl.simulation import SimulatedBench, write_demo_station


def test_help_explains_the_window(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["gui", "--help"])
    said = capsys.readouterr().out
    assert "STATION.toml" in said
    assert "--simulated" in said


def test_any_simulated_bench_that_comes_with_labctl_can_be_asked_for() -> None:
    parser = argparse.ArgumentParser()
    command.add_command(parser.add_subparsers())
    assert parser.parse_args(["gui"]).simulated is None
    assert parser.parse_args(["gui", "--simulated"]).simulated == "demo"
    assert parser.parse_args(["gui", "--simulated", "reaction_cell"]).simulated == "reaction_cell"


def test_adding_the_command_loads_no_qt() -> None:
    code = (
        "import argparse, sys; from gui.command import add_command; "
        "add_command(argparse.ArgumentParser().add_subparsers()); "
        "print([name for name in sys.modules if name.split('.')[0] in ('PySide6', 'pyqtgraph', 'torch')])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


def test_a_station_and_the_simulated_bench_at_once_is_refused() -> None:
    options = argparse.Namespace(simulated="demo", station=Path("x.toml"), runs=None, theme=None)
    with pytest.raises(UsageError, match="not both"):
        command.run(options)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_closes_the_window_and_it_says_what_was_read_back(
    simulation: SimulatedBench, tmp_path: Path, number: signal.Signals
) -> None:
    station = write_demo_station(simulation, tmp_path / "station.toml")
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "XDG_CONFIG_HOME": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-m", "labctl.cli", "gui", str(station), "--runs", str(tmp_path)],
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        assert process.stderr is not None
        seen = []
        for line in process.stderr:
            seen.append(line)
            if "Opened demo bench" in line:
                process.send_signal(number)
        assert process.wait(60) == 0
    assert any("All outputs safe, read back: leaky_drive 0 V" in line for line in seen)


def test_a_missing_station_file_is_told_before_there_is_a_window(tmp_path: Path) -> None:
    options = argparse.Namespace(simulated=None, station=tmp_path / "none.toml", runs=None, theme=None)
    with pytest.raises(StationError, match=r"none\.toml"):
        command.run(options)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere there always is a display")
def test_no_display_is_told_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    options = argparse.Namespace(simulated="demo", station=None, runs=None, theme=None)
    with pytest.raises(UsageError, match="no display"):
        command.run(options)
