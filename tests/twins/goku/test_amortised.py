"""Facts about amortised posteriors as a whole: what they say of traces, when they are not to be trusted, their files."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save

from twins.errors import CheckpointInvalid, EquationInvalid, SeriesInvalid
from twins.goku.amortised import file as amortised_file
from twins.goku.amortised.file import load_amortised, read_amortised_provenance, save_amortised
from twins.goku.amortised.fit import fit_amortised
from twins.goku.amortised.posterior import AmortisedPosterior
from twins.goku.amortised.settings import AmortisedCalibrated, AmortisedEvent, AmortisedPass, AmortisedSettings
from twins.goku.series import Series
from twins.goku.system import System
from twins.goku.systems import DampedPendulum

SMALL = AmortisedSettings(
    chunk=2048, chunks=4, passes=2, batch=128, width=48, blocks=1, components=2, held_out=256, calibration=600
)
NOISE = (0.05, 0.3)


def trained(
    system: System, design: Series, settings: AmortisedSettings = SMALL
) -> tuple[AmortisedPosterior, list[AmortisedEvent]]:
    events: list[AmortisedEvent] = []
    work = fit_amortised(system, None, design, noise_sd_range=NOISE, seed=5, settings=settings)
    while True:
        try:
            events.append(next(work))
        except StopIteration as stop:
            return stop.value, events


def measured(posterior: AmortisedPosterior, n: int) -> tuple[Series, np.ndarray]:
    generator = torch.Generator().manual_seed(77)
    simulations = posterior.simulator.draw(n, generator)
    values, coordinates = posterior.simulator.measured(simulations, generator)
    steps = posterior.simulator.design.steps_s[simulations.rows].numpy()
    times = np.concatenate((np.zeros((n, 1)), np.cumsum(steps, axis=1)), axis=1)
    parameters, _, _ = posterior.simulator.physical(coordinates)
    return Series(values.numpy(), times, posterior.names, posterior.units), parameters.numpy()


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(1)


@pytest.fixture(scope="module")
def design() -> Series:
    return Series(np.zeros((1, 24, 2)), 0.1 * np.arange(24), ("angle", "rate"), ("rad", "rad/s"))


@pytest.fixture(scope="module")
def fitted(design: Series) -> tuple[AmortisedPosterior, list[AmortisedEvent]]:
    return trained(DampedPendulum().with_ranges({"angle": (1.0, 1.5), "rate": (-0.5, 0.5)}), design)


@pytest.fixture
def posterior(fitted: tuple[AmortisedPosterior, list[AmortisedEvent]]) -> AmortisedPosterior:
    return fitted[0]


def test_the_posterior_is_narrower_than_the_prior_and_its_intervals_cover(posterior: AmortisedPosterior) -> None:
    series, truth = measured(posterior, 300)
    found = posterior.infer(series, 300, generator=generator())
    system = posterior.simulator.system
    prior = system.parameters_to_unit(torch.from_numpy(truth)).numpy()
    estimate = system.parameters_to_unit(torch.from_numpy(found.median())).numpy()
    assert np.sqrt(np.mean((estimate[:, 0] - prior[:, 0]) ** 2)) < 0.5 * prior[:, 0].std()  # the length
    assert np.abs(found.covers(truth).mean(axis=0) - 0.9).max() < 0.07
    assert found.how == "amortised"
    low, high = system.parameter_range(torch.zeros(1, dtype=torch.float64))
    assert bool((found.parameters >= low.numpy()).all() and (found.parameters <= high.numpy()).all())


def test_the_noise_level_is_inferred(posterior: AmortisedPosterior) -> None:
    series, _ = measured(posterior, 200)
    simulations = np.log(np.std(np.diff(series.values, 2, axis=1), axis=1) / np.sqrt(6.0))
    found = np.log(posterior.infer(series, 200, generator=generator()).noise_sd).mean(axis=1)
    assert np.corrcoef(simulations[:, 0], found[:, 0])[0, 1] > 0.7


def test_the_events_tell_the_course_and_the_calibration(
    fitted: tuple[AmortisedPosterior, list[AmortisedEvent]],
) -> None:
    passes, last = fitted[1][:-1], fitted[1][-1]
    assert all(isinstance(event, AmortisedPass) for event in passes)
    losses = [event.held_out_loss for event in passes if isinstance(event, AmortisedPass)]
    assert losses[-1] < losses[0] - 1.0
    assert passes[-1].progress == 1.0  # type: ignore[union-attr]
    assert isinstance(last, AmortisedCalibrated)
    assert last.names[-3:] == ("initial rate", "noise of angle", "noise of rate")
    assert all(abs(covered - 0.9) < 0.07 for covered in last.coverage90_after)


def test_simulations_are_trusted_and_traces_like_none_of_them_are_not(posterior: AmortisedPosterior) -> None:
    series, _ = measured(posterior, 200)
    assert posterior.infer(series, 50, generator=generator()).trusted.mean() > 0.97
    odd = np.array(series.values[:3])
    odd[0] += 30.0
    odd[1] = np.random.default_rng(1).normal(0.0, 3.0, odd[1].shape)
    strange = Series(odd, series.times_s[:3], series.names, series.units)
    found = posterior.infer(strange, 50, generator=generator())
    assert found.trusted.tolist() == [False, False, True]
    assert "unlike that of any simulation" in found.why[0]


def test_traces_measured_unlike_the_design_are_not_trusted(posterior: AmortisedPosterior) -> None:
    series, _ = measured(posterior, 2)
    slower = Series(series.values, 2.0 * series.times_s, series.names, series.units)
    values = np.array(series.values)
    values[0, 5:8] = np.nan
    gaps = Series(values, series.times_s, series.names, series.units)
    assert "times" in posterior.infer(slower, 50, generator=generator()).why[1]
    found = posterior.infer(gaps, 50, generator=generator())
    assert "gaps" in found.why[0]
    assert 1 not in found.why


def test_the_same_seed_trains_the_same_network(design: Series) -> None:
    tiny = AmortisedSettings(
        chunk=256, chunks=1, passes=1, width=8, blocks=1, components=1, held_out=64, calibration=200
    )
    (one, _), (other, _) = trained(DampedPendulum(), design, tiny), trained(DampedPendulum(), design, tiny)
    series, _ = measured(one, 3)
    draws = [made.infer(series, 20, generator=generator()).parameters for made in (one, other)]
    assert np.array_equal(draws[0], draws[1])


def test_gaps_and_times_of_their_own_reach_the_network(chain: System) -> None:
    random = np.random.default_rng(2)
    values = np.where(random.uniform(size=(5, 12, 1)) < 0.8, 0.0, np.nan)
    values[:, 0] = 0.0
    times = np.cumsum(random.uniform(0.05, 0.3, (5, 12)), axis=1)
    tiny = AmortisedSettings(
        chunk=512, chunks=1, passes=2, width=16, blocks=1, components=2, held_out=64, calibration=200
    )
    posterior, _ = trained(chain, Series(values, times, ("sum",), ("V",)), tiny)
    assert posterior.network.shape.varying == ("gaps", "times")
    series, _ = measured(posterior, 4)
    found = posterior.infer(series, 30, generator=generator())
    assert found.parameters.shape == (4, 30, 10)
    assert found.initial.shape == (4, 30, 3)


def test_a_file_gives_the_same_posterior_back(posterior: AmortisedPosterior, tmp_path: Path) -> None:
    path = save_amortised(posterior, tmp_path / "pendulum", provenance={"seed": 5})
    loaded = load_amortised(path)
    series, _ = measured(posterior, 3)
    one, other = (made.infer(series, 40, generator=generator()) for made in (posterior, loaded))
    assert np.array_equal(one.parameters, other.parameters)
    assert one.why == other.why
    assert loaded.coverage90_after == posterior.coverage90_after
    assert read_amortised_provenance(path) == {"seed": 5}


def test_a_file_that_was_changed_or_is_for_another_equation_is_refused(
    posterior: AmortisedPosterior, tmp_path: Path
) -> None:
    path = save_amortised(posterior, tmp_path / "pendulum", provenance={})
    narrower = DampedPendulum().with_ranges({"length": (1.0, 1.1)})
    with pytest.raises(CheckpointInvalid, match="is of an equation with states"):
        load_amortised(path, narrower)
    tensors = path.with_suffix(".safetensors")
    tensors.write_bytes(tensors.read_bytes()[:-1] + b"x")
    with pytest.raises(CheckpointInvalid, match="sha256"):
        load_amortised(path)


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"shape": {"width": 16384}}, "the width of the network"),
        ({"shape": {"blocks": 256}}, "the blocks of the network"),
        ({"shape": {"n_samples": 10**9}}, "samples and channels"),
        ({"shape": {"components": 1024}}, "the components of the network"),
        ({"shape": {"varying": ["weather"]}}, "what varies"),
        ({"substeps": 10**9}, "substeps must be 1 to 1024"),
        ({"method": "no such"}, "method must be one of"),
        ({"uniform_step_s": 3.0}, "not uniform_step_s"),
        ({"names": ["angle"]}, "as many names and units"),
    ],
)
def test_claims_of_a_file_that_its_tensors_do_not_bear_out_are_refused_before_a_network_is_made(
    posterior: AmortisedPosterior, tmp_path: Path, claims: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save_amortised(posterior, tmp_path / "pendulum", provenance={})
    document = json.loads(path.read_text())
    shape = document["shape"] | claims.get("shape", {})
    path.write_text(json.dumps(document | claims | {"shape": shape}))
    monkeypatch.setattr(amortised_file, "PosteriorNetwork", lambda shape: pytest.fail("a network was made"))
    with pytest.raises(CheckpointInvalid, match=words):
        load_amortised(path)


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("noise_low", lambda value: 100.0 * value, "0 < noise_low < noise_high"),
        ("ranks", lambda value: value.flip(0), "ranks must rise"),
        ("trust_distances", lambda value: value[:0], "trust_distances must be"),
        ("observation_matrix", lambda value: value[:, :1], "observation_matrix must be 2 x 2"),
        ("noise_high", lambda value: None, "lacks the tensor 'noise_high'"),
    ],
)
def test_tensors_that_make_no_posterior_are_refused(
    posterior: AmortisedPosterior, tmp_path: Path, name: str, change: Callable[[torch.Tensor], Any], words: str
) -> None:
    path = save_amortised(posterior, tmp_path / "pendulum", provenance={})
    tensors = load_file(path.with_suffix(".safetensors"))
    changed = change(tensors.pop(name))
    payload = save(tensors if changed is None else tensors | {name: changed.contiguous()})
    path.with_suffix(".safetensors").write_bytes(payload)
    document = json.loads(path.read_text()) | {"tensors_sha256": hashlib.sha256(payload).hexdigest()}
    path.write_text(json.dumps(document))
    with pytest.raises(CheckpointInvalid, match=words):
        load_amortised(path)


def test_a_posterior_whose_simulations_no_draw_could_explain_can_be_loaded_again(
    posterior: AmortisedPosterior, tmp_path: Path
) -> None:
    misfits = posterior.trust.misfits.clone()
    misfits[-3:] = torch.inf
    unexplained = replace(posterior, trust=replace(posterior.trust, misfits=misfits))
    path = save_amortised(unexplained, tmp_path / "pendulum", provenance={})
    assert torch.equal(load_amortised(path).trust.misfits, misfits)


def test_series_of_another_length_or_other_channels_are_refused(posterior: AmortisedPosterior) -> None:
    series, _ = measured(posterior, 1)
    with pytest.raises(SeriesInvalid, match="24 samples of 2 channels"):
        posterior.infer(series.span(0, 20), 10, generator=generator())
    renamed = Series(series.values, series.times_s, ("rate", "angle"), series.units)
    with pytest.raises(SeriesInvalid, match="trained for the channels"):
        posterior.infer(renamed, 10, generator=generator())


@pytest.mark.parametrize("noise", [(0.0, 1.0), (1.0, 0.5), (0.1, np.array([0.2, np.inf]))])
def test_a_noise_range_that_is_empty_is_refused(noise: tuple[float, float], design: Series) -> None:
    with pytest.raises(EquationInvalid, match="lowest < highest"):
        next(fit_amortised(DampedPendulum(), None, design, noise_sd_range=noise, seed=1))


def test_drives_that_differ_reach_the_network_and_a_drive_it_never_saw_is_told(decay: System) -> None:
    tiny = AmortisedSettings(
        chunk=512, chunks=1, passes=2, width=16, blocks=1, components=2, held_out=64, calibration=200
    )
    drive = np.sin(np.arange(12.0))[None, :, None] * np.array([0.5, 1.0])[:, None, None]

    def design(chosen: np.ndarray) -> Series:
        n = len(chosen)
        return Series(np.zeros((n, 12, 1)), 0.1 * np.arange(12), ("a",), ("V",), chosen, ("input",), ("V",))

    differing, _ = trained(decay, design(drive), tiny)
    assert differing.network.shape.varying == ("drive",)
    same, _ = trained(decay, design(drive[:1]), tiny)
    assert same.network.shape.varying == ()
    other = design(drive[1:])
    assert "its drive is not that of the design" in same.infer(other, 30, generator=generator()).why[0]
    assert "drive" not in differing.infer(other, 30, generator=generator()).why.get(0, "")
