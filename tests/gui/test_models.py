"""The tables' models, fed with plain events; pytest-qt's model tester watches that they keep Qt's rules."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from pytestqt.modeltest import ModelTester
from pytestqt.qtbot import QtBot

from gui.models.channels import ChannelsModel
from gui.models.instruments import InstrumentRow
from gui.models.log import MOST_LINES, LogModel
from gui.models.results import FiguresModel, TasksModel, plain, tasks_in
from gui.models.rows import RowsModel
from gui.models.steps import FRACTION_ROLE, MOST_STEPS, StepsModel
from gui.trouble import trouble_of
from labctl.errors import InstrumentFault, OutOfLimits
from labctl.events import Progress, Reported, StepFinished, StepStarted, Warned
from labctl.simulation import bundled_bench, bundled_station, demo_station_template
from labctl.station import parse_station

TASK = {"name": "narma10", "metric": "nrmse", "promised": 0.3, "measured_mean": 0.31, "measured_std": 0.02}


def text(model: RowsModel, row: int) -> list[str]:
    return [str(model.index(row, column).data()) for column in range(model.columnCount())]


def test_steps_follow_their_events(qtbot: QtBot, qtmodeltester: ModelTester) -> None:
    model = StepsModel()
    qtmodeltester.check(model)
    model.take([StepStarted("a", "First"), Progress("a", 1, 4, "a quarter")])
    assert text(model, 0)[:2] == ["First", "25 %"]
    assert model.index(0, 1).data(FRACTION_ROLE) == 0.25
    model.take([StepFinished("a", "First", 2.5, "well"), Progress("a", 1, 4, "late")])
    assert text(model, 0) == ["First", "done", "2.5 s", "well"]
    assert model.finished == 1
    assert model.index(0, 0).data(Qt.ItemDataRole.ToolTipRole) == "First (a)"


def test_a_step_that_never_ended_is_broken_off(qtbot: QtBot) -> None:
    model = StepsModel()
    model.take([StepStarted("a", "First"), Progress("a", 1, 2)])
    model.break_off()
    assert text(model, 0)[1] == "broken off at 50 %"
    assert model.index(0, 1).data(FRACTION_ROLE) == -1.0
    assert model.finished == 0


def test_a_campaign_without_end_keeps_its_newest_steps(qtbot: QtBot, qtmodeltester: ModelTester) -> None:
    model = StepsModel()
    for number in range(MOST_STEPS + 50):
        model.take([StepStarted(str(number), f"step {number}")])
    model.take([StepFinished(str(MOST_STEPS + 49), "last", 1.0)])
    assert model.rowCount() == MOST_STEPS
    assert text(model, MOST_STEPS - 1)[1] == "done"
    qtmodeltester.check(model)


def test_the_log_keeps_its_newest_lines(qtbot: QtBot, qtmodeltester: ModelTester) -> None:
    model = LogModel()
    qtmodeltester.check(model)
    for start in range(0, MOST_LINES + 1000, 1000):
        model.take([Warned("a", f"line {start + number}") for number in range(1000)])
    assert model.rowCount() == MOST_LINES
    assert text(model, MOST_LINES - 1)[1:] == ["WARNING", f"line {MOST_LINES + 999}"]


def test_the_log_says_how_many_events_are_left_out(qtbot: QtBot) -> None:
    model = LogModel()
    model.take([], left_out=7)
    assert "7 events" in text(model, 0)[2]


def test_tasks_are_found_in_reports_summaries_and_results(qtbot: QtBot, qtmodeltester: ModelTester) -> None:
    @dataclass
    class Outcome:
        name: str
        promised: float
        measured_mean: float

    @dataclass
    class Result:
        tasks: tuple[Outcome, ...]

    assert tasks_in(TASK) == [TASK]
    assert tasks_in({"seconds": 3.0, "tasks": [TASK]}) == [TASK]
    assert tasks_in(Result((Outcome("x", 1.0, 2.0),))) == [{"name": "x", "promised": 1.0, "measured_mean": 2.0}]
    assert tasks_in({"measured_mean": 1.0}) == []
    assert tasks_in(None) == []
    model = TasksModel()
    model.take([TASK])
    model.take([{**TASK, "measured_mean": 0.5}])
    qtmodeltester.check(model)
    assert model.rowCount() == 1
    assert text(model, 0)[2:5] == ["0.300", "0.500 ± 0.020", "–"]


def test_every_reported_figure_and_file_is_shown(qtbot: QtBot) -> None:
    report = Reported("fit/leaky", {"coverage": 0.9012, "gates": [True, False]}, ("twin.json",))
    model = FiguresModel()
    model.take(report.key, report.outcome, report.files)
    assert [text(model, row)[1:] for row in range(3)] == [
        ["coverage", "0.9012"],
        ["gates", "yes, no"],
        ["file", "twin.json"],
    ]
    assert plain({"a": 1, "b": 2.0}) == "a = 1, b = 2"


def test_a_value_that_is_not_measured_any_more_stands_in_brackets(qtbot: QtBot, qtmodeltester: ModelTester) -> None:
    model = ChannelsModel()
    model.show_station(parse_station(demo_station_template()))
    model.show_values({"leaky_drive": 1.5})
    assert text(model, 0)[2] == "+1.5000 V"
    model.show_stale()
    assert text(model, 0)[2] == "(+1.5000 V)"
    assert "last value known" in model.index(0, 2).data(Qt.ItemDataRole.ToolTipRole)
    model.show_values({}, {"leaky_drive": "no answer"})
    assert text(model, 0)[2] == "unknown"
    model.show_values({"leaky_drive": 0.0})
    assert text(model, 0)[2] == "+0.0000 V"
    qtmodeltester.check(model)


@pytest.mark.parametrize("file", sorted(bundled_bench("demo").parent.glob("*.toml")), ids=lambda file: file.stem)
def test_channels_of_every_bundled_station_are_shown(qtbot: QtBot, qtmodeltester: ModelTester, file: Path) -> None:
    station = parse_station(bundled_station(file.stem))
    model = ChannelsModel()
    model.show_station(station)
    qtmodeltester.check(model)
    for row, (name, channel) in enumerate(station.channels.items()):
        shown = text(model, row)
        assert (shown[0], "inf" in shown[3]) == (name, False)
        assert name in model.index(row, 0).data(Qt.ItemDataRole.ToolTipRole)
        assert shown[1] == {"set": "set-point"}.get(channel.kind, channel.kind)


def test_an_instrument_that_cannot_say_who_it_is_shows_its_address() -> None:
    row = InstrumentRow("old", "scpi", "GPIB0::5::INSTR")
    assert row.who.splitlines() == ["has not said who it is", "GPIB0::5::INSTR, scpi"]
    assert row.state == "not asked"


def test_an_error_of_ours_is_told_with_its_causes_and_without_a_traceback() -> None:
    try:
        try:
            raise OSError("no route to host")
        except OSError as error:
            raise InstrumentFault("awg: gone") from error
    except InstrumentFault as fault:
        trouble = trouble_of(fault, doing="Recording")
    assert trouble.headline == "Recording: an instrument failed"
    assert trouble.message == "awg: gone"
    assert trouble.details == "because of OSError: no route to host"


def test_a_fault_of_the_program_is_told_with_its_traceback() -> None:
    try:
        {}["missing"]
    except KeyError as error:
        trouble = trouble_of(error)
    assert trouble.headline == "Something went wrong: key error"
    assert "Traceback" in trouble.details


@pytest.mark.parametrize("kind", [OutOfLimits])
def test_a_refused_value_says_that_nothing_was_sent(kind: type[Exception]) -> None:
    assert "nothing was sent" in trouble_of(kind("gate: 12 V is outside -10..10 V")).headline
