"""Files that are damaged, foreign, too large or hostile are refused in plain words; nothing in them is run or followed."""

import io
import pickle
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io

from labctl.outside_data import OutsideDataError, data_file, mat_files, read_traces, text_files
from labctl.outside_data.opening import open_data_file

OPTIONS = {"drive": "u", "response": "y", "rate_Hz": 1000}
VALUES = np.sin(np.arange(400.0))


class Explodes:
    def __reduce__(self):
        return (pytest.fail, ("it was unpickled",))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (pickle.dumps(Explodes(), protocol=4), "never read: it could run any program"),
        (b"\x93NUMPY\x01\x00", "NumPy, Excel or zip"),
        (b"PK\x03\x04", "NumPy, Excel or zip"),
        (b"CDF\x05" + bytes(200), "CDF-5"),
        (b"CDF\x01" + bytes(3), "damaged netCDF"),
        (b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM" + b"\x0f\0\0\0\xff\0\0\0junk", "damaged .mat"),
        (b"\x89HDF\r\n\x1a\n" + bytes(200), "damaged HDF5|cannot be read"),
        (b"\x00\x01\x02" * 100, "neither text nor HDF5"),
    ],
)
def test_foreign_and_damaged_files_are_refused(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "data.bin"
    path.write_bytes(content)
    with pytest.raises(OutsideDataError, match=words):
        read_traces(path, **OPTIONS)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(OutsideDataError, match="no such file"):
        read_traces(tmp_path / "nothing.csv", **OPTIONS)


def test_a_truncated_mat_file_is_refused(tmp_path: Path) -> None:
    whole = io.BytesIO()
    scipy.io.savemat(whole, {"u": VALUES, "y": VALUES})
    path = tmp_path / "data.mat"
    path.write_bytes(whole.getvalue()[:-1000])
    with pytest.raises(OutsideDataError, match=r"data\.mat"):
        read_traces(path, **OPTIONS)


@pytest.mark.parametrize("value", [np.array([{"a": 1}, "text"], dtype=object), "text", VALUES * 1j])
def test_what_is_no_array_of_real_numbers_in_a_mat_file_is_refused(tmp_path: Path, value: object) -> None:
    path = tmp_path / "data.mat"
    scipy.io.savemat(path, {"u": value, "y": VALUES})
    with pytest.raises(OutsideDataError, match=r"u (is a MATLAB (cell|char)|holds complex)"):
        read_traces(path, **OPTIONS)


def test_a_matlab_object_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        file["u"] = np.arange(4, dtype=np.uint32)
        file["u"].attrs["MATLAB_class"] = np.bytes_("timeseries")
    with path.open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file")
    with pytest.raises(OutsideDataError, match="u is a MATLAB timeseries"):
        read_traces(path, **OPTIONS)


def test_a_mat_file_that_unpacks_to_too_much_is_not_unpacked(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(mat_files, "LARGEST_FILE_BYTES", 1 << 20)
    packed = zlib.compress(bytes(8 << 20))
    path = tmp_path / "data.mat"
    header = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"
    path.write_bytes(header + (15).to_bytes(4, "little") + len(packed).to_bytes(4, "little") + packed)
    with pytest.raises(OutsideDataError, match="unpacks to more than"):
        read_traces(path, **OPTIONS)


def test_an_array_that_unpacks_to_too_much_is_not_read(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file.create_dataset("u", shape=(1 << 40,), chunks=(1 << 16,), dtype="f8", compression="gzip")
        file["y"] = VALUES
    with pytest.raises(OutsideDataError, match=rf"u has the shape \({1 << 40},\).* at most {data_file.LARGEST_ARRAY}"):
        read_traces(tmp_path / "data.h5", **OPTIONS)


def test_text_that_is_too_long_is_not_read(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(text_files, "LARGEST_TEXT_BYTES", 100)
    path = tmp_path / "data.csv"
    path.write_text("u,y\n" + "0.1,0.2\n" * 100)
    with pytest.raises(OutsideDataError, match="804 bytes; text is read up to 100: convert it to HDF5"):
        read_traces(path, **OPTIONS)


def test_no_other_file_is_opened(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["u"] = VALUES
    (tmp_path / "secret.bin").write_bytes(VALUES.tobytes())
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["link"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "u")
        layout = h5py.VirtualLayout(shape=(400,), dtype="f8")
        layout[:] = h5py.VirtualSource(str(tmp_path / "secret.h5"), "u", shape=(400,))
        file.create_virtual_dataset("virtual", layout)
        file.create_dataset("outside", shape=(400,), dtype="f8", external=[(str(tmp_path / "secret.bin"), 0, 3200)])
        file["y"] = VALUES
    with pytest.raises(OutsideDataError, match="no column 'link'"):
        read_traces(tmp_path / "data.h5", **OPTIONS | {"drive": "link"})
    for name in ("virtual", "outside"):
        with pytest.raises(OutsideDataError, match=f"{name} keeps its values in another file"):
            read_traces(tmp_path / "data.h5", **OPTIONS | {"drive": name})
        with pytest.raises(OutsideDataError, match=f"{name} keeps its values in another file"):
            open_data_file(tmp_path / "data.h5").read_labels(name)
