"""From an instrument to parameters: recorded under chosen levels and set-points, made safe, inferred, all with its origin."""

import json
from pathlib import Path

import numpy as np
import pytest

from labctl.bench import Bench
from labctl.campaign import run
from labctl.campaigns.characterise_goku import TracesDesign, characterise_and_infer, record_traces
from labctl.campaigns.goku_settings import GokuSettings, InferSettings
from labctl.errors import CampaignError
from labctl.events import Event, StepStarted
from labctl.goku_channels import Wishes
from labctl.goku_equation import EquationSource

LAG = """
name = "lag"
time_unit_s = 1e-3

[states.x]
unit = "V"
range = [-2.0, 2.0]

[parameters.rate]
unit = "1/ms"
range = [0.1, 5.0]
scale = "log"

[parameters.strength]
range = [0.1, 3.0]

[drives.u]
unit = "V"

[drift]
x = "rate * (strength * u - x)"
"""


@pytest.fixture
def lag(tmp_path: Path) -> EquationSource:
    path = tmp_path / "lag.toml"
    path.write_text(LAG, encoding="utf-8")
    return EquationSource.of(str(path))


def test_the_bench_is_safe_while_the_computer_thinks_and_everything_says_where_it_comes_from(
    demo_station: Path, lag: EquationSource, tmp_path: Path
) -> None:
    from twins.goku.amortised.settings import AmortisedSettings

    safe: dict[str, bool] = {}
    with Bench.open(demo_station) as bench:

        def watch(event: Event) -> None:
            if isinstance(event, StepStarted):
                safe[event.title.split()[0]] = bench.safe_report is not None and bench.safe_report.ok

        campaign = characterise_and_infer(
            bench,
            "leaky",
            lag,
            Wishes(observe={"leaky_response": "x"}),
            folder=tmp_path,
            seed=3,
            design=TracesDesign(levels=(-0.4, 0.4), n_repeats=2, n_samples=40),
            settings=GokuSettings(n_judged=1),
            inferring=InferSettings(share="all", sampler="none", refined_draws=100, n_starts=1),
            amortised=AmortisedSettings(
                chunk=500,
                chunks=1,
                passes=2,
                batch=100,
                width=32,
                blocks=1,
                components=2,
                held_out=100,
                calibration=200,
            ),
        )
        done = run(campaign, on_event=watch)
        assert safe["Record"] is False
        assert safe["Train"] is True
    assert [path.name for path in done.recordings] == ["leaky-traces.h5"]
    told = json.loads((tmp_path / "leaky.parameters.json").read_text(encoding="utf-8"))
    assert told["simulated"] is True
    assert told["seed"] == 3
    assert any("SIM-" in text for text in told["identities"].values())
    assert told["observed"]["drives"] == {"u": "leaky_drive"}
    assert told["equation"]["text"] == LAG
    assert len({row["parameters"]["rate"]["estimate"] for row in told["traces"]}) == 1
    assert len(told["traces"]) == 4
    assert "SIMULATED" in done.report.read_text(encoding="utf-8")
    drive = done.inferred.series.drive
    assert drive is not None
    assert sorted(np.round(drive[:, 5, 0], 2).tolist()) == [-0.4, -0.4, 0.4, 0.4]


def test_every_combination_of_set_points_is_a_recording_of_its_own(demo_station: Path, tmp_path: Path) -> None:
    design = TracesDesign(levels=(0.1,), n_repeats=1, n_samples=10, sweep={"duffing_bias": (0.0, 0.1)})
    with Bench.open(demo_station) as bench:
        recordings = run(record_traces(bench, "duffing", folder=tmp_path, seed=0, design=design))
    assert [one.path.name for one in recordings if one.path] == ["duffing-traces-1.h5", "duffing-traces-2.h5"]
    assert [one.conditions["duffing_bias"] for one in recordings] == pytest.approx([0.0, 0.1], abs=1e-6)


def test_an_equation_that_the_channels_do_not_fit_is_told_after_the_first_recording(
    demo_station: Path, lag: EquationSource, tmp_path: Path
) -> None:
    design = TracesDesign(levels=(0.1,), n_repeats=1, n_samples=10, sweep={"duffing_bias": (0.0, 0.1)})
    with Bench.open(demo_station) as bench, pytest.raises(Exception, match="no channel 'leaky_response'"):
        run(
            characterise_and_infer(
                bench, "duffing", lag, Wishes(observe={"leaky_response": "x"}), folder=tmp_path, seed=0, design=design
            )
        )
    assert [path.name for path in tmp_path.glob("*.h5")] == ["duffing-traces-1.h5"]
    with pytest.raises(CampaignError, match="not both"):
        run(characterise_and_infer(bench, "duffing", None, folder=tmp_path, seed=0))
