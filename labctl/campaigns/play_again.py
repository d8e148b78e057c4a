"""Play the drive of an earlier recording once more, under the same conditions: is the device still the same?"""

from __future__ import annotations

from pathlib import Path

from labctl.bench import Bench
from labctl.campaign import Campaign
from labctl.campaigns.record import record
from labctl.errors import RecordingError
from labctl.excitation import Excitation
from labctl.network_bench import apply_conditions
from labctl.recording import Recording
from labctl.store import open_recording


def play_again(bench: Bench, recorded: Path, *, folder: Path) -> Campaign[Recording]:
    """Play what was driven in the whole trials of `recorded`; the new recording has its name, in `folder`.

    The bench prepares the device in its own way before each trial. Raises RecordingError where no trial was measured to
    its end, and what the bench raises.
    """
    before = open_recording(recorded)
    whole = before.whole_trials
    if whole.size == 0:
        raise RecordingError(f"{recorded}: no trial was measured to its end; there is nothing to play again")
    drive, _ = before.trials(whole).scored()
    excitation = Excitation(
        drive,
        before.drive_names,
        before.dt_s,
        before.input_id[whole],
        {"design": "played again", "path": str(recorded)},
    )
    apply_conditions(bench, before.conditions)
    key = f"again/{recorded.stem}"
    return (
        yield from record(
            bench,
            excitation,
            path=folder / recorded.name,
            key=key,
            title=f"Play {recorded.stem} again",
            provenance={"played_again": {"path": str(recorded), "started_utc": before.started_utc}},
        )
    )
