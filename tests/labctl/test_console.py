"""What a person sees of a campaign."""

import io

from labctl.console import Console
from labctl.events import Progress, StepFinished, StepStarted, Warned


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_log_file_gets_a_few_lines_and_no_control_characters() -> None:
    stream = io.StringIO()
    show = Console(stream)
    show(StepStarted("k", "Record"))
    for done in range(1000):
        show(Progress("k", done + 1, 1000))
    show(StepFinished("k", "Record", 1.25, "40 trials"))
    lines = stream.getvalue().splitlines()
    assert len(lines) == 4
    assert lines[-1] == "Record: 40 trials, 1.2 s"
    assert "\x1b" not in stream.getvalue()


def test_a_terminal_gets_a_moving_bar() -> None:
    stream = Terminal()
    show = Console(stream)
    show(StepStarted("k", "Record"))
    show(Progress("k", 1, 2, "half"))
    show(StepFinished("k", "Record", 1.0))
    assert "50 % half" in stream.getvalue()
    assert stream.getvalue().endswith("Record: 1.0 s\n")


def test_a_warning_stands_out() -> None:
    stream = io.StringIO()
    Console(stream)(Warned("k", "the digitiser is at its rails"))
    assert stream.getvalue() == "WARNING the digitiser is at its rails\n"


def test_steps_that_run_side_by_side_keep_their_titles() -> None:
    stream = io.StringIO()
    show = Console(stream)
    show(StepStarted("a", "Fit a"))
    show(StepStarted("b", "Fit b"))
    show(Progress("a", 1, 2))
    show(Progress("b", 1, 4))
    assert stream.getvalue().splitlines() == ["Fit a: 50 %", "Fit b: 25 %"]


def test_a_log_file_of_long_work_says_every_ten_seconds_how_long_it_will_take() -> None:
    stream, seconds = io.StringIO(), iter(range(0, 100, 4))
    show = Console(stream, clock=lambda: float(next(seconds)))
    show(StepStarted("k", "Train"))
    for done in range(1, 7):
        show(Progress("k", done, 100, f"epoch {done}"))
    assert stream.getvalue().splitlines() == [
        "Train: 3 % epoch 3 (12 s, about 388 s left)", "Train: 6 % epoch 6 (24 s, about 376 s left)",
    ]  # fmt: skip
