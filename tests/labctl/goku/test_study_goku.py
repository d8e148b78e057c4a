"""A study: everything that was found, as numbers in one file; a stopped training keeps the best so far."""

import json
from pathlib import Path

import numpy as np
import pytest

from labctl.campaign import run
from labctl.campaigns.fit_goku import fit_goku
from labctl.campaigns.goku_settings import GokuSettings
from labctl.campaigns.study_goku import compared_goku, study_goku, study_with_model
from labctl.cli import main
from labctl.errors import RecordingError
from labctl.events import Figures
from labctl.goku_channels import Wishes
from labctl.goku_equation import EquationSource
from labctl.goku_example import ExampleDesign, simulated_traces, write_simulated
from labctl.goku_model import load_goku_model
from labctl.goku_residuals import autocorrelation, density, standard_normal
from labctl.goku_study import GokuStudy, Standing, correlation_of, open_study, pair_in_words
from labctl.goku_traces import read_measured
from twins.goku.amortised.settings import AmortisedSettings

SMALL = AmortisedSettings(
    chunk=500, chunks=2, passes=2, batch=100, width=32, blocks=1, components=2, held_out=100, calibration=200
)


@pytest.fixture(scope="module")
def example(equation: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Simulated traces with their truth."""
    path = tmp_path_factory.mktemp("example") / "example.h5"
    source = EquationSource.of(str(equation))
    write_simulated(path, simulated_traces(source, seed=0, design=ExampleDesign(n_traces=3)), source, seed=0)
    return path


@pytest.fixture(scope="module")
def study(equation: Path, example: Path, tmp_path_factory: pytest.TempPathFactory) -> GokuStudy:
    """Of those."""
    campaign = study_goku(
        "found", read_measured([example]), EquationSource.of(str(equation)), seed=0,
        folder=tmp_path_factory.mktemp("study"), amortised=SMALL,
    )  # fmt: skip
    return open_study(run(campaign))


def test_a_study_holds_parameters_beside_the_truth(study: GokuStudy) -> None:
    assert study.simulated and study.stage == "inferred"
    assert [one.name for one in study.parameters] == ["rate"]
    for row, truth in zip(study.rows, study.truth["rate"], strict=True):
        (one,) = row.estimates
        assert abs(one.value - truth) < 3.0 * (one.high - one.low)


def test_a_study_foresees_the_end_of_each_trace_with_bands(study: GokuStudy) -> None:
    assert len(study.courses) == 3
    for course in study.courses:
        assert 0 < course.n_seen < len(course.times_s)
        assert course.values.shape == course.low.shape == course.left_over.shape == (80, 1)
        assert bool((course.low < course.high).all())
        assert abs(float(np.nanmean(course.left_over))) < 1.0


def test_a_study_says_what_the_data_tell_and_where_its_files_are(study: GokuStudy) -> None:
    assert [one.standings[0].verdict for one in study.identified] == ["learned"] * 3
    assert all(Path(path).is_file() for path in study.files.values())
    assert study.draws.shape[::2] == (3, 1) and np.isfinite(study.draws).all()


def test_parameters_that_go_together_are_told_as_a_pair() -> None:
    rng = np.random.default_rng(0)
    mass = rng.standard_normal((1, 200))
    draws = np.stack((mass, -2.0 * mass, rng.standard_normal((1, 200))), axis=-1)
    correlation = correlation_of(draws)[0]
    assert correlation[0, 1] == pytest.approx(-1.0)
    assert abs(correlation[0, 2]) < 0.3


def test_a_pair_is_only_known_together_where_much_of_it_is_left_open() -> None:
    tight, wide = (Standing("mass", width, 0.01, "", "") for width in (0.02, 0.6))
    assert "mass and force are only known together" in pair_in_words("mass", "force", 0.99, [wide])
    assert "make up for each other" in pair_in_words("mass", "force", 0.99, [tight])


def test_what_is_no_study_is_refused_by_name(tmp_path: Path, example: Path) -> None:
    with pytest.raises(RecordingError, match="holds no study"):
        open_study(example)
    (tmp_path / "no.h5").write_text("no")
    with pytest.raises(RecordingError, match="cannot be read"):
        open_study(tmp_path / "no.h5")


def test_a_training_that_is_stopped_keeps_a_model_that_infers(equation: Path, example: Path, tmp_path: Path) -> None:
    long = AmortisedSettings(
        chunk=500, chunks=2000, passes=2, batch=100, width=32, blocks=1, components=2, held_out=100, calibration=200,
        patience=10_000,
    )  # fmt: skip
    measured = read_measured([example])
    campaign = fit_goku("kept", measured, None, EquationSource.of(str(equation)), seed=0, folder=tmp_path, amortised=long,
                        settings=GokuSettings(max_seconds=600.0))  # fmt: skip
    seen = 0
    for event in campaign:
        seen += isinstance(event, Figures)
        if seen == 4:
            break
    campaign.close()
    model = load_goku_model(tmp_path / "kept.json")
    assert model.about["training"]["interrupted"] is True
    path = run(study_with_model(tmp_path / "kept.json", measured, seed=0, folder=tmp_path / "after"))
    found = open_study(path)
    assert found.stage == "inferred" and len(found.rows) == 3


def test_equations_are_compared_as_plain_data(equation: Path, example: Path, tmp_path: Path) -> None:
    measured = read_measured([example])
    plain, held = EquationSource.of(str(equation)), EquationSource.of(str(equation), ranges={"rate": (20.0, 30.0)})
    wishes = Wishes(observe={"x": "x"})
    outcome = run(compared_goku({"own": (plain, wishes), "fast": (held, wishes)}, measured, seed=0, folder=tmp_path))
    assert json.loads(json.dumps(outcome))["rows"][0]["equation"] == "own"
    assert outcome["simulated"] and Path(outcome["page"]).is_file()


def test_the_command_says_what_the_data_tell(model: Path, traces: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["goku", "identifiability", str(model), str(traces), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["identifiability"]
    assert [one["parameters"][0]["verdict"] for one in told] == ["learned"] * 4


def test_the_command_studies_and_says_that_it_was_simulated(
    equation: Path, example: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def small(*arguments: object, **options: object) -> object:
        return study_goku(*arguments, **{**options, "amortised": SMALL})  # type: ignore[arg-type]

    monkeypatch.setattr("labctl.campaigns.study_goku.study_goku", small)
    out = tmp_path / "out"
    told = main(["goku", "study", str(example), "--system", str(equation), "--out", str(out), "--seconds", "1"])
    said = capsys.readouterr().out
    assert told == 0
    assert said.startswith("SIMULATED") and str(out / "goku.study.h5") in said
    assert open_study(out / "goku.study.h5").stage == "inferred"


def test_residuals_of_white_noise_look_as_they_should() -> None:
    residuals = np.random.default_rng(0).standard_normal(4000)
    residuals[::7] = np.nan
    values, heights = density(residuals)
    assert np.abs(heights - standard_normal(values)).max() < 0.06
    lags, memory = autocorrelation(residuals)
    assert lags[0] == 1.0 and np.abs(memory).max() < 0.08


def test_residuals_that_follow_each_other_are_seen() -> None:
    slow = np.repeat(np.random.default_rng(0).standard_normal(200), 10)
    assert autocorrelation(slow)[1][0] > 0.8
    assert np.isnan(autocorrelation(np.full(20, np.nan))[1]).all()
    assert density(np.full(5, np.nan))[1].sum() == 0.0
