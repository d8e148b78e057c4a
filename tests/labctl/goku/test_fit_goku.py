"""Training on measured traces: what is trained when it is stopped is kept; what is judged on was not trained on."""

import json
from pathlib import Path

import numpy as np
import pytest

from labctl.campaign import run
from labctl.campaigns.fit_goku import fit_goku, prepare
from labctl.campaigns.goku_settings import GokuSettings, InferSettings
from labctl.campaigns.infer_goku import infer_goku
from labctl.errors import CampaignError
from labctl.events import Figures
from labctl.goku_channels import Wishes
from labctl.goku_equation import EquationSource
from labctl.goku_model import load_goku_model
from labctl.goku_noise import noise_levels
from labctl.goku_series import Channels, Measured, Trace

SMALL = {
    "feature_widths": (8, 8, 8),
    "state_hidden": 8,
    "parameter_hidden": 4,
    "latent_state": 4,
    "latent_parameter": 4,
    "latent_out_width": 8,
}


def relaxing(n_traces: int = 12, *, n_samples: int = 19, noise_sd: float = 0.02) -> Measured:
    rng = np.random.default_rng(0)
    rates = rng.uniform(0.5, 2.0, n_traces)
    times = 0.1 * np.arange(n_samples)
    traces = tuple(
        Trace(
            f"trial {k}", (np.exp(-rates[k] * times) + noise_sd * rng.standard_normal(n_samples))[:, None], times,
            np.empty((n_samples, 0)), {}, (0, k),
        )
        for k in range(n_traces)
    )  # fmt: skip
    return Measured(traces, Channels(("x",), ("V",), (), ()), ({"path": None},), simulated=True)


def test_a_training_on_measured_traces_that_is_stopped_leaves_the_network_as_far_as_it_came(
    equation: Path, tmp_path: Path
) -> None:
    measured = relaxing()
    settings = GokuSettings(training="measured", max_seconds=600.0)
    campaign = fit_goku(
        "net", measured, None, EquationSource.of(str(equation)), Wishes(), seed=1, settings=settings, folder=tmp_path,
        network=SMALL,
    )  # fmt: skip
    epochs = 0
    for event in campaign:
        epochs += isinstance(event, Figures)
        if epochs == 2:
            break
    campaign.close()
    about = json.loads((tmp_path / "net.json").read_text(encoding="utf-8"))["provenance"]
    assert about["training"]["interrupted"] is True
    assert about["extra"]["judged_on"]["how"] == "2 traces that were kept from training"
    model = load_goku_model(tmp_path / "net")
    assert model.training == "measured"
    inferred = run(infer_goku(model, model.fitting(measured.select([0, 1]), None), seed=0, settings=QUICK))
    assert len(inferred.rows) == 2
    assert inferred.refined is not None


QUICK = InferSettings(sampler="none", refined_draws=100, n_starts=1, n_draws=100)


def test_traces_that_are_judged_on_did_not_train(equation: Path) -> None:
    source, settings = EquationSource.of(str(equation)), GokuSettings(training="measured")
    origin, _ = prepare("a", relaxing(), None, source, Wishes(), seed=0, settings=settings)
    assert not set(origin.measured.labels) & set(origin.held_measured.labels)
    assert origin.series.n_traces + origin.held.n_traces == 12
    simulated, _ = prepare("a", relaxing(), None, source, Wishes(), seed=0, settings=GokuSettings(n_judged=5))
    assert simulated.held.n_traces == 5
    assert simulated.series.n_traces == 12


def test_the_noise_that_traces_show_lies_within_the_range_that_is_trained_for() -> None:
    for noise_sd in (0.003, 0.02, 0.1):
        series = relaxing(noise_sd=noise_sd).series(("x",), {})
        low, high = noise_levels(series, {})
        assert low[0] < noise_sd < high[0]
    low, high = noise_levels(series, {"": (0.1, 0.2)})
    assert (low[0], high[0]) == (0.1, 0.2)


@pytest.mark.parametrize(
    "options",
    [
        {"training": "some"},
        {"preset": "goku"},
        {"max_seconds": 0.0},
        {"held_out_fraction": 1.0},
        {"noise_sd": {"": (0.1, 0.1)}},
    ],
)
def test_settings_that_are_none_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(CampaignError):
        GokuSettings(**options)  # type: ignore[arg-type]
