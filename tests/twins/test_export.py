"""An exported twin, advanced with NumPy alone, answers as the twin itself."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

import twins
from sim_devices.physics import ExportedTwin
from sim_devices.physics.twin_clock import TwinClock
from sim_devices.physics.twin_file import read_twin_file
from twins.device.prepare import prepare_twin
from twins.export import arrays_of, export_twin

DT_S = 2e-4
STRUCTURES = {
    "default": {},
    "relu, no delays": {"activation": "relu", "response_delays": 0, "drive_delays": 0},
    "heun": {"scheme": "heun"},
    "rk4": {"scheme": "rk4", "backbone_order": 2},
    "cubic": {"backbone_order": 3, "response_delays": 1, "drive_delays": 0},
    "columns": {"noise_columns": 2, "noise_diagonal": False},
    "diagonal and columns": {"noise_columns": 1, "noise_mask": (True, False)},
    "auxiliaries": {"auxiliaries": 2, "noise_columns": 1},
    "ordinary": {"noise_diagonal": False},
    "other diffusion net": {"diffusion_hidden": (5,)},
    "observed": {"observation": True, "observation_columns": 1},
    "everything": {
        "observation": True, "auxiliaries": 1, "noise_columns": 2, "scheme": "heun", "backbone_order": 2,
        "trial_drift": True, "warm_up": 5, "diffusion_hidden": (4, 4), "condition_names": ("bias",),
    },
}  # fmt: skip


def recorded(bias, seed=0, units=("V", "V")):
    rng = np.random.default_rng(seed)
    drive, response = rng.uniform(-2, 2, (6, 60, 2)), np.zeros((6, 60, 2))
    for k in range(59):
        pull = np.tanh(drive[:, k] + bias) - response[:, k]
        response[:, k + 1] = response[:, k] + 0.2 * pull + 0.05 * rng.normal(size=(6, 2))
    return twins.Traces(
        drive, response, DT_S, ("d1", "d2"), ("V", "V"), ("r1", "r2"), units, n_prepare=10, conditions={"bias": bias}
    )


def make(*, units=("V", "V"), **structure):
    """A twin of random weights, everything in it away from zero."""
    traces = [recorded(bias, seed, units) for seed, bias in enumerate((0.0, 0.1))]
    structure = {"condition_names": (), **structure}
    if not structure["condition_names"]:
        traces = [replace(part, conditions={}) for part in traces]
    spec = twins.DeviceTwinSpec.for_traces(traces, hidden=(6, 6), **structure)
    twin, generator = twins.DeviceTwin(spec), torch.Generator().manual_seed(1)
    prepare_twin(twin, traces, generator=generator)
    with torch.no_grad():
        for name, parameter in twin.named_parameters():
            scale = {"higher_weight": 1e-4, "linear_weight": 0.01}.get(name, 0.2)
            parameter.add_(scale * torch.randn(parameter.shape, generator=generator))
        if spec.trial_drift:
            twin.trial_offsets.copy_(torch.tensor([[0.1, 0.0], [0.05, 0.02]]))
            twin.trial_correlation.fill_(0.9)
    return twin


class Replayed:
    """A generator that gives these rows, whatever is asked; zeros beside them."""

    def __init__(self, rows):
        self.rows = rows

    def standard_normal(self, size):
        draws = np.zeros(size)
        if np.ndim(draws) == 2:
            draws[:, : self.rows.shape[1]] = self.rows[: len(draws)]
            self.rows = self.rows[len(draws) :]
        return draws


def ports_of(device, drive, **conditions):
    ports = {name: drive[:, column] for column, name in enumerate(("d1", "d2"))}
    return ports | {name: np.full(len(drive), value) for name, value in conditions.items()}


@pytest.mark.parametrize("structure", STRUCTURES.values(), ids=STRUCTURES.keys())
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_with_the_same_noise_both_give_the_same_numbers(structure, dtype, tmp_path, monkeypatch):
    twin = make(**structure).to(dtype)
    spec, n_time = twin.spec, 40
    device = ExportedTwin(path=str(export_twin(twin, tmp_path / "twin")), start=3)
    starts = device._file.arrays
    begin = tuple(torch.tensor(starts[f"start_{part}"][3]) for part in ("response", "auxiliaries"))
    x0 = ((begin[0] - twin.response_centre) / twin.response_scale).to(dtype)
    monkeypatch.setattr("twins.device.responding.draw_start", lambda *_: (x0, begin[1].to(dtype)))
    rng = np.random.default_rng(5)
    drive, noise = rng.uniform(-1.5, 1.5, (n_time, 2)), rng.normal(size=(n_time - 1, spec.n_noise))
    history = twin.histories([0]).reshape()
    history.drive[: spec.drive_delays] = torch.tensor(starts["start_drive"][3])
    held = dict.fromkeys(spec.condition_names, 0.06)
    expected = twin.respond(
        torch.tensor(drive, dtype=dtype), history=history, noise=torch.tensor(noise, dtype=dtype), conditions=held,
        observed=False,
    )  # fmt: skip
    seen = device.advance(ports_of(device, drive[:-1], **held), step_s=DT_S, generator=Replayed(noise))
    np.testing.assert_allclose(
        np.stack([seen["r1"], seen["r2"]], 1),
        expected[1:].detach().numpy(),
        atol=1e-5 if dtype == torch.float32 else 1e-10,
    )
    assert not device.take_remarks()


def at_rest(device, n, seed=0):
    """(step, response), normalised, without a drive."""
    seen = device.advance(ports_of(device, np.zeros((n, 2))), step_s=DT_S, generator=np.random.default_rng(seed))
    arrays = device._file.arrays
    return (np.stack(list(seen.values()), 1) - arrays["response_centre"]) / arrays["response_scale"]


def test_measurement_noise_has_the_twins_covariance(tmp_path):
    twin = make(observation=True, observation_columns=1, noise_diagonal=False)
    device = ExportedTwin(path=str(export_twin(twin, tmp_path / "twin")))
    seen = at_rest(device, 20_200)[200:]
    expected = twin.observation_covariance().detach().numpy()
    np.testing.assert_allclose(np.cov(seen.T), expected, rtol=0.05, atol=0.03 * expected.max())
    assert np.corrcoef(seen[1:, 0], seen[:-1, 0])[0, 1] == pytest.approx(0.0, abs=0.03)


def test_offsets_of_trials_are_constant_in_them_and_wander_as_the_twin_says(tmp_path):
    twin = make(trial_drift=True, noise_diagonal=False)
    device = ExportedTwin(path=str(export_twin(twin, tmp_path / "twin")), trial_s=10 * DT_S)
    settled = at_rest(device, 200)
    trials = at_rest(device, 40_000, seed=1)
    trials = (trials - trials.mean(0)).reshape(-1, 10, 2)
    assert np.abs(np.diff(trials, axis=1)).max() < 1e-6
    offsets = trials[:, 0]
    root = twin.trial_offsets.double().numpy()
    np.testing.assert_allclose(np.cov(offsets.T), root @ root.T, rtol=0.35)  # some 200 independent ones
    assert np.corrcoef(offsets[1:, 0], offsets[:-1, 0])[0, 1] == pytest.approx(0.9, abs=0.03)
    assert settled.shape == (200, 2)


def test_a_play_begins_a_trial(tmp_path):
    twin = make(trial_drift=True, noise_diagonal=False)
    device = ExportedTwin(path=str(export_twin(twin, tmp_path / "twin")))
    at_rest(device, 200)
    levels = []
    for play in range(4):
        device.begin_play(np.random.default_rng(play))
        level = at_rest(device, 50)
        assert np.abs(np.diff(level, axis=0)).max() < 1e-6
        levels.append(level[0, 0])
    assert len(set(np.round(levels, 9))) == 4


def test_finer_steps_see_the_mean_of_the_port_and_hold_the_response(tmp_path):
    twin = make(noise_diagonal=False)
    path = str(export_twin(twin, tmp_path / "twin"))
    coarse, fine, odd = (ExportedTwin(path=path) for _ in range(3))
    rng = np.random.default_rng(2)
    drive = rng.uniform(-1, 1, (30, 2))
    expected = coarse.advance(ports_of(coarse, drive), step_s=DT_S, generator=rng)["r1"]
    wiggle = np.repeat(drive, 4, axis=0) + np.tile([[0.1], [-0.1], [0.2], [-0.2]], (30, 1))
    seen = fine.advance(ports_of(fine, wiggle), step_s=DT_S / 4, generator=rng)["r1"]
    np.testing.assert_allclose(seen[3::4], expected, atol=1e-12)
    np.testing.assert_array_equal(seen[3:-1].reshape(-1, 4)[:, 0], seen[3:-1].reshape(-1, 4)[:, 3])
    whole = np.concatenate([
        odd.advance(ports_of(odd, np.repeat(part, 3, axis=0)), step_s=DT_S / 3, generator=rng)["r1"]
        for part in np.split(drive, [7, 8, 20])
    ])  # fmt: skip
    np.testing.assert_allclose(whole[2::3], expected, atol=1e-12)


def test_the_clock_takes_means_over_samples_of_any_length():
    clock, inputs = TwinClock(1), np.arange(14.0)[:, None]
    parts = [clock.advance(part, 1 / 1.4) for part in np.split(inputs, [3, 4, 9])]
    means = np.concatenate([mean for mean, _ in parts])[:, 0]
    integral = np.concatenate(([0.0], np.cumsum(inputs[:, 0])))
    at = np.interp(1.4 * np.arange(11), np.arange(15), integral)
    np.testing.assert_allclose(means, np.diff(at) / 1.4, atol=1e-12)
    assert sum(done[-1] for _, done in parts) == 10


def test_the_answer_does_not_depend_on_how_it_is_cut_into_chunks(tmp_path):
    twin = make(auxiliaries=1, observation=True)
    path = str(export_twin(twin, tmp_path / "twin"))
    whole, cut = ExportedTwin(path=path), ExportedTwin(path=path)
    drive = np.random.default_rng(2).uniform(-1, 1, (30, 2))
    one, two = np.random.default_rng(7), np.random.default_rng(7)
    expected = whole.advance(ports_of(whole, drive), step_s=DT_S, generator=one)["r2"]
    parts = [cut.advance(ports_of(cut, part), step_s=DT_S, generator=two)["r2"] for part in np.split(drive, [11])]
    np.testing.assert_allclose(np.concatenate(parts), expected, atol=1e-12)


def test_units_of_volts_are_converted_and_a_port_beyond_the_range_is_remarked_on_once(tmp_path):
    path = str(export_twin(make(units=("mV", "V")), tmp_path / "twin", held_conditions={"bias": 0.05}))
    device, rng = ExportedTwin(path=path), np.random.default_rng(0)
    assert device.ports == ("d1", "d2", "bias")
    started = device.observe()
    assert started["r1"] == pytest.approx(1e-3 * device._file.arrays["start_response"][0, 0, 0])
    drive = np.zeros((5, 2))
    device.advance(ports_of(device, drive, bias=0.05), step_s=DT_S, generator=rng)
    assert device.take_remarks() == []
    drive[2:, 1] = 2.5
    for _ in range(2):
        device.advance(ports_of(device, drive, bias=0.05), step_s=DT_S, generator=rng)
    (remark,) = device.take_remarks()
    assert remark.startswith("d2 went to 2.5, beyond -1.99")
    device.begin_play(rng)
    device.advance(ports_of(device, 0 * drive, bias=0.2), step_s=DT_S, generator=rng)
    assert "bias went to 0.2" in device.take_remarks()[0]


def test_starts_of_a_hidden_state_are_drawn_and_none_is_kept_beyond_what_anybody_needs():
    twin = make(observation=True, warm_up=8, auxiliaries=1)
    first, again, other = (arrays_of(twin, seed=seed)["start_response"] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


def damage(path, **changes):
    document = json.loads(path.read_text())
    for name, value in changes.items():
        (document["spec"] if name in document["spec"] else document)[name] = value
    path.write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "other"}, "no exported twin"),
        ({"format_version": 9}, "version 9"),
        ({"simulated": False}, "simulated = true"),
        ({"arrays_sha256": "0"}, "sha256"),
        ({"arrays_file": "../twin.exported.npz"}, "beside it"),
        ({"held_conditions": {"bias": float("nan")}}, "finite"),
        ({"response_delays": 2}, "not as the spec says"),
        ({"hidden": [10**9]}, "hidden"),
        ({"response_delays": 10**9}, "delays"),
        ({"hidden": "wide"}, "hidden must be"),
        ({"noise_columns": 1}, "not as the spec says"),
        ({"dt_s": 0.0}, "dt_s"),
        ({"surprise": 1}, None),
    ],
)
def test_a_file_that_was_changed_is_refused(changes, message, tmp_path):
    path = export_twin(make(), tmp_path / "twin")
    damage(path, **changes)
    if message is None:
        read_twin_file(path)
        return
    with pytest.raises(ValueError, match=message):
        ExportedTwin(path=str(path))


def rewritten(path, **arrays):
    """The same with other arrays, and a checksum that agrees."""
    import hashlib

    target = path.with_name("twin.exported.npz")
    kept = dict(np.load(target))
    np.savez(target, **{**kept, **arrays})
    damage(path, arrays_sha256=hashlib.sha256(target.read_bytes()).hexdigest())


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"linear_bias": np.array([np.nan, 0.0])}, "not finite"),
        ({"linear_bias": np.zeros(3)}, "not as the spec says"),
        ({"linear_bias": np.zeros(2, np.float32)}, "not as the spec says"),
        ({"linear_bias": np.array([{}, {}], object)}, "not as the spec says"),
        ({"drive_scale": np.array([0.0, 1.0])}, "positive"),
        ({"start_response": np.zeros((0, 4, 2))}, "at least one"),
        ({"more": np.zeros(1)}, "more"),
    ],
)
def test_arrays_that_cannot_be_are_refused_and_no_pickle_is_opened(arrays, message, tmp_path):
    path = export_twin(make(), tmp_path / "twin")
    rewritten(path, **arrays)
    with pytest.raises(ValueError, match=message):
        ExportedTwin(path=str(path))


def test_the_file_says_that_it_is_a_model_and_of_what(tmp_path):
    path = export_twin(make(), tmp_path / "twin.json", provenance={"simulated": False, "seed": 4})
    assert path.name == "twin.exported.json"
    document = json.loads(path.read_text())
    assert document["simulated"] is True
    assert document["fitted_on_simulated"] is False
    assert document["provenance"]["seed"] == 4
    with pytest.raises(twins.CheckpointInvalid, match="plain JSON"):
        export_twin(make(), tmp_path / "twin", provenance={"when": object()})
    with pytest.raises(twins.TwinNotFitted):
        export_twin(twins.DeviceTwin(make().spec), tmp_path / "twin")
