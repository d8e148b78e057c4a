"""Channels that never move, and channels at a rail."""

import numpy as np
import pytest

from labctl.outside_data import OutsideDataError, read_traces

OPTIONS = {"drive": "V1", "response": "V2", "rate_Hz": 1000}


def test_a_drive_that_never_moves_is_a_condition(write_csv, one) -> None:
    columns = one.columns | {"bias": np.full(400, 0.25)}
    with pytest.raises(OutsideDataError, match=r"bias never moves: it is 0.25 .*--condition bias=0.25"):
        read_traces(write_csv(columns), drive=("V1", "bias"), response="V2", rate_Hz=1000)
    (traces,) = read_traces(write_csv(columns), **OPTIONS, conditions={"bias": "bias"}).traces
    assert traces.conditions == {"bias": 0.25}


def test_a_response_that_never_moves_is_refused(write_csv, one) -> None:
    with pytest.raises(
        OutsideDataError, match="V2 never moves: it is 1 in all 400 samples, so there is nothing to learn"
    ):
        read_traces(write_csv(one.columns | {"V2": np.ones(400)}), **OPTIONS)


def clipped(one) -> dict[str, np.ndarray]:
    return one.columns | {"V2": np.clip(one.response[0], -np.inf, np.quantile(one.response[0], 0.9))}


def test_a_clipped_response_is_refused_with_rail_and_share(write_csv, one) -> None:
    rail = f"{np.quantile(one.response[0], 0.9):.6g}"
    with pytest.raises(
        OutsideDataError, match=rf"looks clipped: V2 is exactly {rail} in 40 samples \(10 %\), up to \d+ in"
    ):
        read_traces(write_csv(clipped(one)), **OPTIONS)


def test_a_response_too_fast_to_stay_at_its_rail_is_found_too(write_csv, one) -> None:
    values = np.random.default_rng(3).standard_normal(400) * np.where(np.arange(400) % 2, 1.0, 0.1)
    with pytest.raises(OutsideDataError, match="V2 is exactly 1 in"):
        read_traces(write_csv(one.columns | {"V2": np.minimum(values, 1.0)}), **OPTIONS)


def test_both_rails_are_told(write_csv, one) -> None:
    values = np.clip(one.response[0], *np.quantile(one.response[0], [0.1, 0.9]))
    with pytest.raises(OutsideDataError, match=r"V2 is exactly -.*; V2 is exactly 0"):
        read_traces(write_csv(one.columns | {"V2": values}), **OPTIONS)


def test_clipped_data_are_taken_where_that_is_declared(write_csv, one) -> None:
    data = read_traces(write_csv(clipped(one)), **OPTIONS, clipped="accept", segment_samples=0)
    assert data.traces[0].n_samples == 400
    (record,) = [record for record in data.provenance["treatments"] if record["treatment"] == "clipped: accept"]
    assert (record["name"], record["samples"]) == ("V2", 40)


def test_segments_at_a_rail_are_dropped_where_that_is_declared(write_csv, one) -> None:
    columns = clipped(one)
    data = read_traces(write_csv(columns), **OPTIONS, clipped="drop", segment_samples=10)
    (traces,) = data.traces
    whole = columns["V2"].reshape(40, 10)
    assert np.array_equal(traces.response[..., 0], whole[whole.max(1) < columns["V2"].max()])
    assert {"treatment": "clipped: drop", "segments_left_away": 40 - traces.n_trials, "of": 40} in data.provenance[
        "treatments"
    ]


def test_where_all_segments_touch_a_rail_nothing_is_left(write_csv, one) -> None:
    with pytest.raises(OutsideDataError, match="all 2 segments touch a rail"):
        read_traces(write_csv(clipped(one)), **OPTIONS, clipped="drop", segment_samples=200)


def test_a_clipped_drive_is_refused_too(write_csv, one) -> None:
    smooth = np.clip(np.sin(np.arange(400) * 0.05), -2, 0.7)
    with pytest.raises(OutsideDataError, match=r"V1 is exactly 0\.7"):
        read_traces(write_csv(one.columns | {"V1": smooth}), **OPTIONS)


RNG = np.random.default_rng(0)
HONEST_DRIVES = {
    "binary": np.where(RNG.random(400) > 0.5, 1.0, -1.0),
    "held": np.repeat(RNG.uniform(-1, 1, 40), 10),
    "pulses": np.where(np.arange(400) % 20 < 3, np.repeat(RNG.uniform(0.1, 1, 20), 20), 0.0),
    "sine": np.sin(np.arange(400) * 2 * np.pi / 80),
}


@pytest.mark.parametrize("name", HONEST_DRIVES)
def test_drives_in_levels_steps_and_pulses_are_not_taken_for_clipped(write_csv, one, name: str) -> None:
    assert read_traces(write_csv(one.columns | {"V1": HONEST_DRIVES[name]}), **OPTIONS).traces


def test_a_coarsely_digitised_sine_is_not_taken_for_clipped(write_csv, one) -> None:
    values = np.round(127 * np.sin(np.arange(400) * 0.0731)) / 127
    assert read_traces(write_csv(one.columns | {"V2": values}), **OPTIONS).traces


def test_noise_clipped_far_out_by_a_coarse_digitiser_is_found(write_csv, one) -> None:
    smooth = np.convolve(np.random.default_rng(2).standard_normal(20_020), np.ones(21) / np.sqrt(21), "valid")
    codes = np.clip(np.round(20 * smooth), -128, 40)[:20_000]
    columns = {"V1": np.resize(one.drive[0], 20_000), "V2": codes}
    with pytest.raises(OutsideDataError, match="V2 is exactly 40 in"):
        read_traces(write_csv(columns), **OPTIONS)


def test_clipping_by_a_coarse_digitiser_is_found(write_csv, one) -> None:
    codes = np.minimum(np.round(127 * np.sin(np.arange(400) * 0.0731)), 100)
    with pytest.raises(OutsideDataError, match="V2 is exactly 100 in"):
        read_traces(write_csv(one.columns | {"V2": codes}), **OPTIONS)
