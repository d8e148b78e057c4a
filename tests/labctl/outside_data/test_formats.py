"""The same data in every format give the same traces."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io

from labctl.errors import UsageError
from labctl.outside_data import OutsideDataError, as_recordings, read_traces
from labctl.recording import Block, RecordingHeader
from labctl.store import RecordingWriter

MAT_HEADER = b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Mon Jan 01 00:00:00 2024 HDF5 schema 1.00 ."


def write_text(path: Path, columns: dict[str, np.ndarray]) -> None:
    np.savetxt(
        path,
        np.stack(list(columns.values()), axis=1),
        fmt="%.17g",
        delimiter=",",
        header=",".join(columns),
        comments="",
    )


def write_hdf5(path: Path, columns: dict[str, np.ndarray]) -> None:
    with h5py.File(path, "w") as file:
        for name, values in columns.items():
            file[name] = values


def write_netcdf3(path: Path, columns: dict[str, np.ndarray]) -> None:
    with scipy.io.netcdf_file(str(path), "w") as file:
        file.createDimension("time", len(columns["t"]))
        for name, values in columns.items():
            file.createVariable(name, "d", ("time",))[:] = values


def write_netcdf4(path: Path, columns: dict[str, np.ndarray]) -> None:
    xarray = pytest.importorskip("xarray")
    xarray.Dataset({name: ("time", values) for name, values in columns.items()}).to_netcdf(path, engine="h5netcdf")


def write_mat5(path: Path, columns: dict[str, np.ndarray]) -> None:
    scipy.io.savemat(path, {name: values[:, None] for name, values in columns.items()}, do_compression=True)


def write_mat73(path: Path, columns: dict[str, np.ndarray]) -> None:
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, values in columns.items():
            file[name] = values[None, :]  # MATLAB's (time, 1), whose axes HDF5 counts the other way round
            file[name].attrs["MATLAB_class"] = np.bytes_("double")
    with path.open("r+b") as file:
        file.write(MAT_HEADER.ljust(124, b" ") + b"\x00\x02IM")


WRITERS = {
    "data.csv": write_text,
    "data.h5": write_hdf5,
    "data.nc": write_netcdf3,
    "data4.nc": write_netcdf4,
    "data.mat": write_mat5,
    "data73.mat": write_mat73,
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_traces(name: str, tmp_path: Path, one) -> None:
    path = tmp_path / name
    WRITERS[name](path, one.columns)
    data = read_traces(path, drive="V1", response="V2", time="t", segment_samples=0, units={"V1": "V", "V2": "mV"})
    (traces,) = data.traces
    assert np.array_equal(traces.drive[0, :, 0], one.drive[0])
    assert np.array_equal(traces.response[0, :, 0], one.response[0])
    assert (traces.dt_s, traces.drive_units, traces.response_units) == (1e-3, ("V",), ("mV",))
    assert data.provenance["mapping"]["drive"] == ["V1"]
    assert len(data.provenance["sha256"]) == 64


@pytest.mark.parametrize("axes", ["trial,time", "time,trial"])
@pytest.mark.parametrize("ending", [".h5", ".mat"])
def test_arrays_of_trials_in_either_order(axes: str, ending: str, tmp_path: Path, ten) -> None:
    path = tmp_path / f"data{ending}"
    turned = axes == "time,trial"
    arrays = {"run/u": ten.drive.T if turned else ten.drive, "run/y": ten.response.T if turned else ten.response}
    if ending == ".h5":
        write_hdf5(path, arrays)
    else:
        scipy.io.savemat(path, {"run": {name[4:]: values for name, values in arrays.items()}})
    data = read_traces(path, drive="run/u", response="run/y", rate_Hz=1000, axes=axes.split(","))
    (traces,) = data.traces
    assert np.array_equal(traces.drive[..., 0], ten.drive)
    assert np.array_equal(traces.response[..., 0], ten.response)


def test_arrays_whose_axes_nobody_named_are_refused(tmp_path: Path, ten) -> None:
    write_hdf5(tmp_path / "data.h5", {"u": ten.drive, "y": ten.response})
    with pytest.raises(OutsideDataError, match=r"u has the shape \(10, 60\).*--axes trial,time"):
        read_traces(tmp_path / "data.h5", drive="u", response="y", rate_Hz=1000)


def test_netcdf_dimensions_name_the_axes(tmp_path: Path, ten) -> None:
    xarray = pytest.importorskip("xarray")
    arrays = {"u": (("time", "trial"), ten.drive.T), "y": (("trial", "time"), ten.response, {"units": "mV"})}
    xarray.Dataset(arrays).to_netcdf(tmp_path / "data.nc", engine="h5netcdf")
    (traces,) = read_traces(tmp_path / "data.nc", drive="u", response="y", rate_Hz=1000).traces
    assert np.array_equal(traces.drive[..., 0], ten.drive)
    assert np.array_equal(traces.response[..., 0], ten.response)
    assert traces.response_units == ("mV",)


def test_packed_netcdf_numbers_are_unpacked_and_fill_values_are_missing(tmp_path: Path, one) -> None:
    codes = np.round(one.response[0] * 1000).astype(np.int16)
    codes[7] = -32768
    with scipy.io.netcdf_file(str(tmp_path / "data.nc"), "w") as file:
        file.createDimension("time", codes.size)
        file.createVariable("u", "d", ("time",))[:] = one.drive[0]
        packed = file.createVariable("y", "h", ("time",))
        packed[:] = codes
        packed.scale_factor, packed.add_offset, packed._FillValue = 1e-3, 2.0, np.int16(-32768)
    with pytest.raises(OutsideDataError, match=r"1 of 400 samples are missing .*1 of y.*sample 7"):
        read_traces(tmp_path / "data.nc", drive="u", response="y", rate_Hz=1000)
    data = read_traces(
        tmp_path / "data.nc",
        drive="u",
        response="y",
        rate_Hz=1000,
        gaps="interpolate",
        longest_gap=1,
        segment_samples=0,
    )
    assert np.allclose(data.traces[0].response[0, 8:, 0], one.response[0, 8:] + 2.0, atol=6e-4)


def test_channels_of_an_array_are_picked_by_number(tmp_path: Path, ten) -> None:
    both = np.stack((ten.drive[0], ten.response[0]), axis=1)
    write_hdf5(tmp_path / "data.h5", {"daq": both})
    options = {"rate_Hz": 1000, "axes": ("time", "channel"), "segment_samples": 0}
    (traces,) = read_traces(tmp_path / "data.h5", drive="daq[0]", response="daq[1]", **options).traces
    assert np.array_equal(traces.response[0, :, 0], ten.response[0])
    assert traces.drive_names == ("daq[0]",)
    with pytest.raises(OutsideDataError, match="2 channels, numbered from 0"):
        read_traces(tmp_path / "data.h5", drive="daq[0]", response="daq[2]", **options)


def test_one_drive_for_many_trials_makes_them_repeats(tmp_path: Path, ten) -> None:
    write_hdf5(tmp_path / "data.h5", {"u": ten.drive[0], "y": ten.response})
    data = read_traces(
        tmp_path / "data.h5", drive="u", response="y", rate_Hz=1000, axes=("trial", "time"), segment_samples=0
    )
    assert data.traces[0].inputs.tolist() == [0] * 10
    assert {"treatment": "equal drives taken as repeats", "inputs": 1, "trials": 10} in data.provenance["treatments"]


def test_a_recording_of_our_own_goes_the_existing_way(tmp_path: Path, ten) -> None:
    header = RecordingHeader(
        shape=(10, 60), dt_s=1e-3, drive_names=("a", "b"), drive_units=("V", "V"), response_names=("y",),
        response_units=("V",), n_prepare=5, input_id=np.arange(10), simulated=True,
    )  # fmt: skip
    drive = np.stack((ten.drive, ten.drive), axis=2)
    with RecordingWriter(tmp_path / "own.h5", header) as writer:
        for trial in range(10):
            writer.append(Block(trial, 0, drive[trial], ten.response[trial][:, None]))
    data = read_traces(tmp_path / "own.h5", drive="b", response="y")
    assert data.simulated
    assert data.traces[0].n_prepare == 5
    assert data.traces[0].drive_names == ("b",)
    with pytest.raises(OutsideDataError, match="no drive c; it has a, b"):
        read_traces(tmp_path / "own.h5", drive="c", response="y")
    with pytest.raises(UsageError, match="recording of labctl's own"):
        read_traces(tmp_path / "own.h5", drive="b", response="y", rate_Hz=3)


def test_data_of_other_programs_become_recordings(write_csv: Callable[..., Path], one) -> None:
    data = read_traces(write_csv(one.columns), drive="V1", response="V2", time="t", conditions={"bias": 0.1})
    (recording,) = as_recordings(data)
    assert not recording.simulated
    assert recording.traces().conditions == {"bias": 0.1}
    assert recording.provenance["outside_data"]["rate_Hz"] == 1000.0
