"""What lies below a runs folder: found, described, linked, exported, and shown as a script."""

from __future__ import annotations

import csv
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labctl import runs_catalogue
from labctl.calls import FOLDER, call
from labctl.campaign import run
from labctl.campaigns.play_again import play_again
from labctl.cli import main
from labctl.errors import RecordingError, UsageError
from labctl.job import Job, save_job
from labctl.recording import Block, RecordingHeader
from labctl.runs_catalogue import INDEX_NAME, RunsCatalogue
from labctl.runs_export import export_run
from labctl.runs_file import DEPLOYMENT, JOB, JOURNAL, NETWORK, RECORDING, REPORT, TWIN, RunFile
from labctl.runs_preview import preview
from labctl.runs_provenance import Link, Provenance
from labctl.runs_script import job_behind, script_behind
from labctl.runs_search import Wanted, search
from labctl.store import RecordingWriter, open_recording

STARTED = "2026-01-31T12:00:00.000001+00:00"
GATES = {"passed": True, "judged": True, "gates": [{"name": "coverage_90", "value": 0.8991206030150756}]}
PROMISE = {"promised": 0.2910511219393244, "promised_std": 0.0025, "linear_same_taps": 0.59, "linear_20_taps": 0.41}


def record(path: Path, *, started: str = STARTED, n_samples: int = 50, note: str = "", whole: bool = True) -> Path:
    header = RecordingHeader(
        shape=(2, n_samples),
        dt_s=1e-3,
        drive_names=("leaky_drive",),
        drive_units=("V",),
        response_names=("leaky_response",),
        response_units=("V",),
        n_prepare=10,
        input_id=np.arange(2),
        simulated=True,
        started_utc=started,
        provenance={"seed": 7, "station": {"path": "bench.toml"}},
    )
    ramp = np.arange(n_samples, dtype=float)[:, None]
    writer = RecordingWriter(path, header)
    writer.append_many([Block(0, 0, ramp, -ramp), *([Block(1, 0, ramp, 2 * ramp)] if whole else [])])
    writer.note(note)
    writer.finish(complete=whole, ended="as planned" if whole else "the power went")
    return path


def write(path: Path, content: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A recording, a twin of it, a network of that, its deployment with a recording: as labctl writes them, in short."""
    root = tmp_path / "runs"
    (root / "a").mkdir(parents=True)
    record(root / "a" / "leaky-training.h5", note="the relay clicked")
    training = {"choice": "plain", "response_delays": 1, "drive_delays": 1, "hidden": [16, 16], "max_seconds": 20.0}
    about = {"simulated": True, "seed": 3, "started_utc": "2026-02-01T00:00:00+00:00", "gates": GATES}
    sources = [{"path": "/elsewhere/leaky-training.h5", "started_utc": STARTED}]
    extra = {"recordings": sources, "training": training}
    write(root / "a" / "leaky.json", {"format": "labctl.device_twin", "provenance": {**about, "extra": extra}})
    network = {
        "format": "labctl-network-2",
        "gates": {"leaky": GATES},
        "metric": "nrmse",
        "plan": {"task": {"name": "narma10"}},
    }
    provenance = {"simulated": True, "seed": 4, "started_utc": "2026-02-02T00:00:00+00:00", "extra": {}}
    write(root / "net" / "network.json", {**network, **PROMISE, "provenance": provenance})
    clearance = {"passed": True, "override": None, "twins": {"leaky": GATES}}
    told = {
        "task": "narma10",
        "metric": "nrmse",
        "outputs_safe": True,
        "simulated": True,
        "optimised": {"measured_mean": 0.293},
    }
    write(root / "out" / "deployment.json", {**told, **PROMISE, "clearance": clearance})
    (root / "out" / "measured-optimised").mkdir()
    record(root / "out" / "measured-optimised" / "layer0-play0.h5", started="2026-02-03T00:00:00+00:00")
    events = [
        {"utc": "2026-02-03T00:00:00+00:00", "event": "StepStarted", "key": "a", "title": "Measure"},
        {
            "utc": "2026-02-03T00:00:01+00:00",
            "event": "Failed",
            "key": "a",
            "error": "InstrumentFault",
            "message": "the line broke",
        },
    ]
    (root / "out" / "journal.jsonl").write_text("".join(json.dumps(one) + "\n" for one in events))
    (root / "out" / "report.html").write_text("<!doctype html><html><head><title>What came out</title>")
    write(root / "out" / "other.json", {"mine": 1})
    return root


def entry(root: Path, name: str) -> RunFile:
    (found,) = [one for one in RunsCatalogue(root).entries() if one.name == name]
    return found


def told(links: tuple[Link, ...]) -> list[tuple[str, str]]:
    return [pair for link in links for pair in ((link.role, link.told), *told(link.beneath))]


def test_every_file_of_ours_is_found_and_described_in_one_line(runs: Path) -> None:
    entries = RunsCatalogue(runs).entries()
    kinds = {one.name: one.kind for one in entries}
    assert kinds == {
        "leaky-training.h5": RECORDING,
        "layer0-play0.h5": RECORDING,
        "leaky.json": TWIN,
        "network.json": NETWORK,
        "deployment.json": DEPLOYMENT,
        "journal.jsonl": JOURNAL,
        "report.html": REPORT,
    }
    said = {one.name: one.outcome for one in entries}
    assert said["leaky-training.h5"] == "2 trials × 50 samples at 1000 Hz, leaky_drive → leaky_response"
    assert said["leaky.json"] == "passed its gates"
    assert said["network.json"] == "narma10: promised nrmse 0.291 ± 0.003"
    assert said["deployment.json"] == "narma10: nrmse promised 0.291, MEASURED 0.293"
    assert said["journal.jsonl"] == "FAILED: the line broke"
    assert said["report.html"] == "What came out"
    assert [one.when_utc for one in entries] == sorted((one.when_utc for one in entries), reverse=True)


def test_what_was_interrupted_or_cannot_be_read_says_so(tmp_path: Path) -> None:
    record(tmp_path / "cut.h5", whole=False)
    (tmp_path / "broken.h5").write_bytes(b"\x89HDF\r\n\x1a\n and nothing more")
    assert "INTERRUPTED: the power went" in entry(tmp_path, "cut.h5").outcome
    assert entry(tmp_path, "broken.h5").trouble


def test_a_file_is_read_again_only_when_it_changes(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue = RunsCatalogue(runs)
    first = catalogue.entries()
    read: list[str] = []
    real = runs_catalogue.describe
    monkeypatch.setattr(runs_catalogue, "describe", lambda path, root: (read.append(path.name), real(path, root))[1])
    assert catalogue.entries() == first
    assert read == []
    os.utime(runs / "a" / "leaky.json", (0, 0))
    (runs / "out" / "report.html").unlink()
    assert len(catalogue.entries()) == len(first) - 1
    assert read == ["leaky.json"]


def test_a_damaged_index_loses_nothing(runs: Path) -> None:
    first = RunsCatalogue(runs).entries()
    (runs / INDEX_NAME).write_bytes(b"no database at all, but long enough to look like one" * 20)
    assert RunsCatalogue(runs).entries() == first


def test_a_scan_tells_what_is_known_before_it_reads_what_is_new(runs: Path) -> None:
    catalogue = RunsCatalogue(runs)
    known = catalogue.entries()
    record(runs / "new.h5")
    told = [(len(one.entries), one.remaining) for one in catalogue.scan()]
    assert told == [(len(known), 1), (len(known) + 1, 0)]


def test_search_finds_words_anywhere_also_in_notes_and_keeps_to_filters(runs: Path) -> None:
    entries = RunsCatalogue(runs).entries()

    def names(**wanted: Any) -> list[str]:
        return sorted(one.name for one in search(entries, Wanted(**wanted)))

    assert names(words="RELAY clicked") == ["leaky-training.h5"]
    assert names(words="relay network") == []
    assert names(kinds=frozenset({TWIN, NETWORK})) == ["leaky.json", "network.json"]
    assert names(device="leak", simulated=True, since="2026-02-01", until="2026-02-02") == [
        "leaky.json",
        "network.json",
    ]
    assert names(simulated=False) == []


def test_links_hold_from_recording_to_deployment_though_folders_were_moved(runs: Path) -> None:
    provenance = Provenance(RunsCatalogue(runs).entries())
    assert told(provenance.made_from(entry(runs, "deployment.json"))) == [
        ("of the network", "net/network.json"),
        ("of the twin of leaky", "a/leaky.json"),
        ("trained on", "a/leaky-training.h5"),
        ("of the twin of leaky", "a/leaky.json"),
        ("trained on", "a/leaky-training.h5"),
    ]
    assert told(provenance.made_from(entry(runs, "layer0-play0.h5")))[0] == (
        "measured with the network",
        "out/deployment.json",
    )
    used = told(provenance.used_by(entry(runs, "leaky-training.h5")))
    assert (
        used[:2] == [("trained the twin", "a/leaky.json"), ("part of", "net/network.json")]
        or used[0][1] == "a/leaky.json"
    )
    assert "out/deployment.json" in [name for _, name in used]


def test_what_is_named_but_not_there_is_told_as_such(runs: Path) -> None:
    (runs / "a" / "leaky-training.h5").unlink()
    provenance = Provenance(RunsCatalogue(runs).entries())
    (link,) = provenance.made_from(entry(runs, "leaky.json"))
    assert (link.entry, link.told) == (None, "/elsewhere/leaky-training.h5")


def test_with_its_job_a_run_is_the_very_script(runs: Path) -> None:
    job = Job(
        "Look", call("labctl.store:open_recording", runs / "a" / "leaky-training.h5", folder=FOLDER), runs / "net"
    )
    save_job(job, runs / "net" / "job.json")
    provenance = Provenance(RunsCatalogue(runs).entries())
    found = job_behind(entry(runs, "network.json"), provenance, runs)
    assert found.exact
    assert found.job == job
    assert entry(runs, "job.json").kind == JOB
    assert "open_recording(" in script_behind(entry(runs, "network.json"), provenance, runs)


def test_without_its_job_a_script_is_rebuilt_and_says_so_or_says_why_not(runs: Path) -> None:
    provenance = Provenance(RunsCatalogue(runs).entries())
    text = script_behind(entry(runs, "leaky.json"), provenance, runs)
    assert text.startswith("# REBUILT, not stored: ")
    assert str(runs / "a" / "leaky-training.h5") in text  # where it lies now, not where it lay
    assert "seed=3" in text
    compile(text, "script", "exec")
    with pytest.raises(UsageError, match="no job was stored with it"):
        job_behind(entry(runs, "network.json"), provenance, runs)


def test_a_recording_as_csv_has_every_measured_sample_with_units(runs: Path, tmp_path: Path) -> None:
    run(export_run(runs / "a" / "leaky-training.h5", tmp_path / "x.csv"))
    with (tmp_path / "x.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["trial", "time (s)", "input", "leaky_drive (V)", "leaky_response (V)"]
    assert len(rows) == 1 + 2 * 50
    assert [float(text) for text in rows[1 + 50 + 20]] == [1.0, 0.01, 1.0, 20.0, 40.0]


def test_a_run_as_zip_copy_and_page(runs: Path, tmp_path: Path) -> None:
    run(export_run(runs / "out", tmp_path / "x.zip"))
    with zipfile.ZipFile(tmp_path / "x.zip") as packed:
        assert "out/measured-optimised/layer0-play0.h5" in packed.namelist()
    run(export_run(runs / "a" / "leaky-training.h5", tmp_path / "x.nc"))
    assert open_recording(tmp_path / "x.nc").n_trials == 2
    run(export_run(runs / "a", tmp_path / "x.html"))
    page = (tmp_path / "x.html").read_text()
    assert "SIMULATED" in page
    assert "trained on: leaky-training.h5" in page


def test_what_cannot_be_exported_leaves_no_half_file(runs: Path, tmp_path: Path) -> None:
    for source, target in (("a/leaky.json", "x.csv"), ("a", "x.pdf"), ("none", "x.zip")):
        with pytest.raises(UsageError):
            run(export_run(runs / source, tmp_path / target))
    (tmp_path / "bad.h5").write_bytes(b"no recording")
    with pytest.raises(RecordingError):
        run(export_run(tmp_path / "bad.h5", tmp_path / "x.csv"))
    assert not list(tmp_path.glob("x.*"))


def test_a_preview_reads_few_points_and_loses_no_spike(tmp_path: Path) -> None:
    record(tmp_path / "a.h5", n_samples=5000)
    seen = preview(tmp_path / "a.h5", most_trials=1, most_points=100)
    (curve,) = seen.response
    assert (curve.channel, curve.unit, curve.trial) == ("leaky_response", "V", 0)
    assert len(curve.values) <= 100
    assert curve.values.min() < -4890
    assert seen.words == "trials 1 of 2"


def test_the_commands_search_show_and_export(runs: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["runs", str(runs), "--kind", "twin"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "1 files"
    assert main(["runs", str(runs), "--json"]) == 0
    assert {"file", "n_trials", "dt_s"} <= json.loads(capsys.readouterr().out)[0].keys()
    assert main(["runs", str(runs), "--all", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 7
    assert main(["runs", "show", str(runs / "a" / "leaky.json"), "--root", str(runs)]) == 0
    assert "trained on: a/leaky-training.h5" in capsys.readouterr().out
    assert main(["runs", "export", str(runs / "a"), "--to", str(tmp_path / "a.zip")]) == 0
    assert main(["runs", "script", str(runs / "net" / "network.json"), "--root", str(runs)]) == 1
    assert main(["runs", "show"]) == 1


def test_an_earlier_drive_is_played_again(demo_station: Path, tmp_path: Path) -> None:
    from labctl.bench import Bench

    again = tmp_path / "again"
    with Bench.open(demo_station) as bench:
        dt_s = bench.station.devices["leaky"].dt_s
        header = RecordingHeader(
            shape=(1, 40), dt_s=dt_s, drive_names=("leaky_drive",), drive_units=("V",), response_names=("leaky_response",),
            response_units=("V",), n_prepare=10, input_id=np.zeros(1, dtype=np.int64), simulated=True,
        )  # fmt: skip
        with RecordingWriter(tmp_path / "a.h5", header) as writer:
            writer.append(Block(0, 0, np.full((40, 1), 0.25), np.zeros((40, 1))))
        recording = run(play_again(bench, tmp_path / "a.h5", folder=again))
    assert recording.path == again / "a.h5"
    np.testing.assert_array_equal(recording.scored()[0], np.full((1, 30, 1), 0.25))
