"""Traces chosen by hand: what files hold, gaps, and simulated examples that say that they are."""

from pathlib import Path

import numpy as np
import pytest

from labctl.calls import call
from labctl.cli import main
from labctl.errors import CampaignError, LabctlError, UsageError
from labctl.goku_equation import EquationSource
from labctl.goku_example import ExampleDesign, simulated_traces, write_simulated
from labctl.goku_helper import Helper
from labctl.goku_traces import look_at, read_measured, traces_told


def test_columns_of_a_table_are_given_the_roles_that_their_names_tell(traces: Path) -> None:
    (told,) = look_at([traces])
    assert not told.own
    assert {one.name: one.role for one in told.columns} == {"trial": "trial", "t": "time", "x": "response"}


def test_a_recording_is_known_as_one_and_its_truth_comes_with_it(equation: Path, tmp_path: Path) -> None:
    source = EquationSource.of(str(equation))
    made = simulated_traces(source, seed=3, design=ExampleDesign(n_traces=2, missing=0.2))
    write_simulated(tmp_path / "made.h5", made, source, seed=3)
    (told,) = look_at([tmp_path / "made.h5"])
    assert told.own and told.simulated
    shown = traces_told(read_measured([tmp_path / "made.h5"]))
    assert shown.simulated
    assert shown.truth["rate"] == pytest.approx(made.parameters[:, 0])
    missing = int(np.isnan(made.values).sum())
    assert missing > 0 and sum(one.n_missing for one in shown.traces) == missing
    assert f"{missing} values missing" in shown.in_words()


def test_a_gap_is_told_by_its_ends(tmp_path: Path) -> None:
    times = np.concatenate((np.arange(10), np.arange(20, 30))) * 0.1
    path = tmp_path / "gap.csv"
    np.savetxt(path, np.stack((times, np.sin(times)), 1), delimiter=",", header="t,x", comments="")
    (trace,) = traces_told(read_measured([path], response=["x"], time="t")).traces
    assert np.array(trace.gaps) == pytest.approx(np.array([[0.9, 2.0]]))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "which columns were measured"),
        ({"response": ["x"]}, "which column is the time"),
        ({"response": ["voltage"], "time": "t"}, "no column 'voltage'"),
    ],
)
def test_what_is_missing_of_a_choice_is_said(traces: Path, options: dict[str, object], says: str) -> None:
    with pytest.raises(LabctlError, match=says):
        read_measured([traces], **options)  # type: ignore[arg-type]


def test_no_files_are_no_traces() -> None:
    with pytest.raises(UsageError, match="no traces yet"):
        read_measured([])


def test_the_sampling_of_an_example_follows_the_motion(equation: Path) -> None:
    slow, fast = (EquationSource.of(str(equation), ranges={"rate": ends}) for ends in ((0.1, 0.2), (10.0, 20.0)))
    steps = [simulated_traces(one, seed=0).dt_s for one in (slow, fast)]
    assert steps[0] / steps[1] == pytest.approx(100.0, rel=0.5)


def test_simulated_traces_can_be_written_by_a_command(
    equation: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "example.h5"
    assert main(["goku", "simulate", "--system", str(equation), "--out", str(out), "--traces", "3"]) == 0
    assert str(out) in capsys.readouterr().out
    assert len(traces_told(read_measured([out])).traces) == 3


def test_a_process_beside_answers_raises_and_is_started_again() -> None:
    helper = Helper()
    try:
        assert helper.ask(call("labctl.goku_writing:check_written", "")).problem is not None
        with pytest.raises(CampaignError, match="samples"):
            helper.ask(call("labctl.goku_example:ExampleDesign", n_samples=1))
        assert helper._process is not None
        helper._process.kill()
        helper._process.join()
        assert helper.ask(call("labctl.goku_writing:check_written", "")).problem is not None
        with pytest.raises(CampaignError, match="no answer within"):
            helper.ask(call("labctl.goku_told:equations_told"), longest_s=0.0)
    finally:
        helper.close()
