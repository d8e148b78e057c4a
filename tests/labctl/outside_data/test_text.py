"""Text as instruments and spreadsheets write it."""

from pathlib import Path

import numpy as np
import pytest

from labctl.outside_data import OutsideDataError, read_traces
from labctl.outside_data.opening import open_data_file

N = 80
U = np.round(np.sin(np.arange(N) * 0.7) + np.cos(np.arange(N) * 0.31), 4)
Y = np.round(0.5 * np.roll(U, 1) + 0.1, 4)


def rows(form: str = "{u},{y}") -> list[str]:
    return [form.format(u=u, y=y, k=k) for k, (u, y) in enumerate(zip(U, Y, strict=True))]


def read(tmp_path: Path, lines: list[str], *, drive: str = "V1", response: str = "V2", encoding: str = "utf-8"):
    path = tmp_path / "data.csv"
    path.write_bytes("\n".join(lines).encode(encoding))
    return read_traces(path, drive=drive, response=response, rate_Hz=1000, segment_samples=0)


def decimal_commas(lines: list[str]) -> list[str]:
    return [line.replace(".", ",") for line in lines]


@pytest.mark.parametrize(
    "lines",
    [
        ["V1,V2", *rows()],
        ['"V1","V2",', *rows("{u},{y},")],
        ["V1,V2", *rows("{u},{y},")],
        ["V1;V2", *rows("{u};{y}")],
        ["V1;V2", *decimal_commas(rows("{u};{y}"))],
        ["V1\tV2", *rows("{u}\t{y}")],
        ["  V1   V2", *rows("  {u}   {y}  ")],
        ["# made by a scope", "", "% gain 1", "V1, V2", *rows("{u}, {y}"), "# end"],
        ["# V1,V2", *rows()],
        ["Model,TDS1000,,", "Interval,1e-6,,", "k,V1,V2,note", *rows("{k},{u},{y},ok")],
        ["k,label,V1,V2", *rows("{k},up,{u},{y}")],
        ["V1,V2", "V,mV", *rows()],
        ["V1 [V],V2 (mV)", *rows()],
    ],
)
def test_what_stands_around_the_numbers_does_not_matter(tmp_path: Path, lines: list[str]) -> None:
    (traces,) = read(tmp_path, lines).traces
    assert np.array_equal(traces.drive[0, :, 0], U)
    assert np.array_equal(traces.response[0, :, 0], Y)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
def test_encodings_of_spreadsheets(tmp_path: Path, encoding: str) -> None:
    (traces,) = read(tmp_path, ["V1 [µV],V2", *rows()], encoding=encoding).traces
    assert traces.drive_units == ("µV",)


def test_units_stand_in_the_header_or_below_it(tmp_path: Path) -> None:
    assert read(tmp_path, ["V1 [V],V2 (mV)", *rows()]).traces[0].response_units == ("mV",)
    data = read(tmp_path, ["V1,V2", "V,mV", *rows()])
    assert data.traces[0].drive_units == ("V",)
    assert "the line below the header holds units" in data.provenance["treatments"][0]["notes"]


def test_a_channel_without_a_unit_is_told_and_nothing_is_invented(tmp_path: Path) -> None:
    data = read(tmp_path, ["V1 [V],V2", *rows()])
    assert data.traces[0].response_units == ("",)
    assert {"treatment": "no unit given", "channels": ["V2"]} in data.provenance["treatments"]


def test_columns_without_a_header_are_numbered(tmp_path: Path) -> None:
    (traces,) = read(tmp_path, rows(), drive="1", response="2").traces
    assert np.array_equal(traces.response[0, :, 0], Y)


def test_columns_of_one_name_are_told_apart(tmp_path: Path) -> None:
    (traces,) = read(tmp_path, ["V,V", *rows()], drive="V#1", response="V#2").traces
    assert np.array_equal(traces.response[0, :, 0], Y)


def test_an_unknown_column_is_told_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(OutsideDataError, match=r"no column 'v2' \(did you mean 'V2'\?\); it has V1, V2"):
        read(tmp_path, ["V1,V2", *rows()], response="v2")


def test_text_among_numbers_is_told_with_its_line(tmp_path: Path) -> None:
    lines = ["V1,V2", *rows()]
    lines[70] = "0.5,overload"
    with pytest.raises(OutsideDataError, match="line 71: V2 is 'overload', which is no number"):
        read(tmp_path, lines)


def test_text_near_the_top_is_not_taken_for_a_header(tmp_path: Path) -> None:
    lines = ["V1,V2", *rows()]
    lines[3] = "0.5,overload"
    with pytest.raises(OutsideDataError, match="line 4: V2 is 'overload'"):
        read(tmp_path, lines)


def test_a_first_line_with_a_missing_cell_is_data(tmp_path: Path) -> None:
    with pytest.raises(OutsideDataError, match="the first in the data at sample 0"):
        read(tmp_path, ["V1,V2", "0.1,NaN", *rows()])
    with pytest.raises(OutsideDataError, match="the first in the data at sample 0"):
        read(tmp_path, ["V1,V2", "NaN,NaN", *rows()])


def test_a_line_cut_off_is_told(tmp_path: Path) -> None:
    with pytest.raises(OutsideDataError, match="line 82: 1 cells where there are 2 columns"):
        read(tmp_path, ["V1,V2", *rows(), "0.5"])


@pytest.mark.parametrize("cell", ["", "NaN", "n/a", "-"])
def test_a_missing_cell_is_missing_and_not_zero(tmp_path: Path, cell: str) -> None:
    lines = ["V1,V2", *rows()]
    lines[41] = f"0.5,{cell}"
    with pytest.raises(OutsideDataError, match=r"1 of 80 samples are missing .*1 of V2.*at sample 40"):
        read(tmp_path, lines)


def test_a_last_column_that_is_partly_empty_is_a_column(tmp_path: Path) -> None:
    lines = ["V1,V2,gate", *(f"{row}," for row in rows()[:70]), *(f"{row},1.0" for row in rows()[70:])]
    path = tmp_path / "data.csv"
    path.write_text("\n".join(lines))
    assert list(open_data_file(path).columns) == ["V1", "V2", "gate"]


@pytest.mark.parametrize(
    ("text", "words"), [("", "is empty"), ("# nothing\n", "holds no data"), ("V1,V2\n", "no data")]
)
def test_a_file_without_data_is_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "data.csv"
    path.write_text(text)
    with pytest.raises(OutsideDataError, match=words):
        read_traces(path, drive="V1", response="V2", rate_Hz=1)
