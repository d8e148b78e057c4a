"""Arguments of `labctl network`."""

from pathlib import Path

import pytest

from labctl.commands.network import TASK_HELP, conditions_from, unfinished
from labctl.errors import UsageError
from twins.network.tasks import TASKS


def test_the_help_names_every_task() -> None:
    names, _, own = TASK_HELP.partition("; or ")
    assert names.replace(" or ", ", ").split(", ") == list(TASKS)
    assert own.startswith("FILE.py:ClassName")


def test_conditions_are_numbers_by_channel_and_cannot_contradict_the_recordings() -> None:
    assert conditions_from(["bias=0.1", "T=4"], {"T": 4.0}) == {"bias": 0.1, "T": 4.0}
    with pytest.raises(UsageError, match="expected CHANNEL=VALUE"):
        conditions_from(["bias"], {})
    with pytest.raises(UsageError, match="recorded at T = 4 alone"):
        conditions_from(["T=5"], {"T": 4.0})


def test_an_interrupted_run_is_never_overwritten_unasked(tmp_path: Path) -> None:
    for resume in (False, True):
        state = unfinished(tmp_path, resume=resume)
    state.write_text("{}")
    assert unfinished(tmp_path, resume=True) == state
    with pytest.raises(UsageError, match="--resume"):
        unfinished(tmp_path, resume=False)
