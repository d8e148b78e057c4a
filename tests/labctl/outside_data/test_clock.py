"""Time stamps: their order, their rate, their gaps, their evenness."""

import numpy as np
import pytest

from labctl.outside_data import OutsideDataError, read_traces

CHANNELS = {"drive": "V1", "response": "V2"}


def records(data, name: str) -> list[dict]:
    return [record for record in data.provenance["treatments"] if record["treatment"].startswith(name)]


def test_without_rate_or_time_stamps_nothing_is_guessed(write_csv, one) -> None:
    with pytest.raises(OutsideDataError, match=r"--rate.*--dt.*--time"):
        read_traces(write_csv(one.columns), **CHANNELS)


@pytest.mark.parametrize(
    ("header", "unit"), [("t [ms]", None), ("t", "ms"), ("t (milliseconds since 2024-01-01)", None)]
)
def test_time_in_another_unit(write_csv, one, header: str, unit: str | None) -> None:
    columns = {header: one.time_s * 1000, "V1": one.drive[0], "V2": one.response[0]}
    data = read_traces(write_csv(columns), **CHANNELS, time="t", time_unit=unit)
    assert data.traces[0].dt_s == 1e-3


def test_a_unit_that_is_no_time_is_refused(write_csv, one) -> None:
    columns = {"t [V]": one.time_s, "V1": one.drive[0], "V2": one.response[0]}
    with pytest.raises(OutsideDataError, match=r"no unit of time; .*--time t:ms"):
        read_traces(write_csv(columns), **CHANNELS, time="t")


@pytest.mark.parametrize(("change", "words"), [(0.0, "stand twice"), (-2.5e-3, "go backwards")])
def test_time_stamps_out_of_order_are_told_with_their_place(write_csv, one, change: float, words: str) -> None:
    time_s = one.time_s.copy()
    time_s[100] = time_s[99] + change
    with pytest.raises(OutsideDataError, match=f"1 time stamps {words}, the first at sample 100 .*--trial"):
        read_traces(write_csv(one.columns | {"t": time_s}), **CHANNELS, time="t")


def test_a_missing_time_stamp_is_told(write_csv, one) -> None:
    time_s = one.time_s.copy()
    time_s[5] = np.nan
    with pytest.raises(OutsideDataError, match="1 time stamps are missing, the first of sample 5"):
        read_traces(write_csv(one.columns | {"t": time_s}), **CHANNELS, time="t")


@pytest.mark.parametrize("places", [4, 5, 7])
def test_stamps_of_an_even_clock_may_be_rounded(write_csv, one, places: int) -> None:
    columns = one.columns | {"t": np.round(one.time_s * 1.6384, places)}
    data = read_traces(write_csv(columns), **CHANNELS, time="t")
    assert data.traces[0].dt_s == pytest.approx(1.6384e-3, rel=1e-4)
    assert records(data, "time stamps")[0]["largest_deviation_dt"] < 0.6 * 10**-places / 1.6384e-3


def test_stamps_rounded_to_half_a_step_or_more_show_no_even_clock(write_csv, one) -> None:
    columns = one.columns | {"t": np.round(one.time_s * 1.6384, 3)}
    with pytest.raises(OutsideDataError, match="not sampled evenly"):
        read_traces(write_csv(columns), **CHANNELS, time="t")


def jittered(one, amount: float = 0.3) -> np.ndarray:
    return one.time_s + np.random.default_rng(3).uniform(-amount, amount, one.time_s.size) * one.dt_s


def test_uneven_sampling_is_refused_with_the_measured_jitter(write_csv, one) -> None:
    with pytest.raises(OutsideDataError, match=r"not sampled evenly: steps of .* % of a step.*--rate.*--resample"):
        read_traces(write_csv(one.columns | {"t": jittered(one)}), **CHANNELS, time="t")


def test_a_slow_drift_of_the_clock_is_uneven_too(write_csv, one) -> None:
    drifting = one.time_s + 2e-5 * np.sin(np.linspace(0, np.pi, 400)) * 3
    with pytest.raises(OutsideDataError, match="not sampled evenly"):
        read_traces(write_csv(one.columns | {"t": drifting}), **CHANNELS, time="t")


def test_a_rate_given_beside_uneven_stamps_is_believed_and_recorded(write_csv, one) -> None:
    data = read_traces(
        write_csv(one.columns | {"t": jittered(one, 0.2)}), **CHANNELS, time="t", rate_Hz=1000, segment_samples=0
    )
    assert np.array_equal(data.traces[0].drive[0, :, 0], one.drive[0])
    assert records(data, "rate given")[0]["dt_s"] == 1e-3


def test_a_rate_that_contradicts_the_time_stamps_is_refused(write_csv, one) -> None:
    with pytest.raises(OutsideDataError, match=r"rate given is 610.* Hz, but the time stamps say 1000 Hz"):
        read_traces(write_csv(one.columns), **CHANNELS, time="t", rate_Hz=610.35)


def test_resampling_puts_smooth_data_onto_the_grid(write_csv, one) -> None:
    stamps = jittered(one)
    smooth = {"t": stamps, "V1": np.sin(40 * stamps), "V2": np.cos(40 * stamps)}
    data = read_traces(write_csv(smooth), **CHANNELS, time="t", dt_s=1e-3, resample=True, segment_samples=0)
    (traces,) = data.traces
    grid = stamps[0] + 1e-3 * np.arange(traces.n_samples)
    assert np.allclose(traces.drive[0, :, 0], np.sin(40 * grid), atol=6e-4)  # (40 · 1.6 ms)² / 8
    (record,) = records(data, "resampled")
    assert record["by"] == "linear interpolation"
    assert record["longest_step_s"] == pytest.approx(np.diff(stamps).max())


def test_resampling_does_not_draw_lines_across_gaps(write_csv, one) -> None:
    stamps = jittered(one)
    stamps[200:] += 0.05
    path = write_csv(one.columns | {"t": stamps})
    with pytest.raises(OutsideDataError, match=r"1 gaps of up to 0.05.*after sample 199"):
        read_traces(path, **CHANNELS, time="t", resample=True)
    data = read_traces(path, **CHANNELS, time="t", resample=True, gaps="split", segment_samples=0)
    assert [part.n_samples for part in data.traces] in ([199, 199], [200, 199], [199, 200], [200, 200], [200], [199])


def gapped(one, missing: slice) -> dict[str, np.ndarray]:
    keep = np.ones(400, dtype=bool)
    keep[missing] = False
    return {name: values[keep] for name, values in one.columns.items()}


def test_gaps_in_the_time_stamps_are_refused_with_their_place(write_csv, one) -> None:
    with pytest.raises(OutsideDataError, match=r"1 gaps, 3 samples .*after sample 99; --gaps split"):
        read_traces(write_csv(gapped(one, slice(100, 103))), **CHANNELS, time="t")


def test_data_are_cut_at_gaps(write_csv, one) -> None:
    data = read_traces(write_csv(gapped(one, slice(100, 200))), **CHANNELS, time="t", gaps="split", segment_samples=100)
    (traces,) = data.traces
    assert np.array_equal(traces.drive[..., 0], one.drive[0].reshape(4, 100)[[0, 2, 3]])
    assert records(data, "gaps: split")[0]["samples"] == 100


def test_short_gaps_are_filled_by_straight_lines(write_csv, one) -> None:
    columns = gapped(one, slice(100, 103))
    data = read_traces(write_csv(columns), **CHANNELS, time="t", gaps="interpolate", longest_gap=3, segment_samples=0)
    response = data.traces[0].response[0, :, 0]
    assert np.array_equal(response[103:], one.response[0, 103:])
    assert np.allclose(response[99:104], np.linspace(one.response[0, 99], one.response[0, 103], 5))
    assert records(data, "gaps: interpolate")[0] == {
        "treatment": "gaps: interpolate", "of": "time stamps", "gaps": 1, "samples": 3,
    }  # fmt: skip


def test_gaps_too_long_or_off_the_grid_are_not_filled(write_csv, one) -> None:
    options = {**CHANNELS, "time": "t", "gaps": "interpolate", "longest_gap": 3}
    with pytest.raises(OutsideDataError, match="a gap of 4 samples is longer than the 3"):
        read_traces(write_csv(gapped(one, slice(100, 104))), **options)
    columns = gapped(one, slice(100, 103))
    columns["t"][100:] += 0.4e-3
    with pytest.raises(OutsideDataError, match=r"4.400 sampling times is no whole number"):
        read_traces(write_csv(columns), **options)
