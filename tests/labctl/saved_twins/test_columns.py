"""What a form is told of a file of another program."""

from pathlib import Path

import pytest

from labctl.outside_data import OutsideDataError
from labctl.outside_data.columns import columns_of


def test_the_columns_of_numbers_and_which_is_likely_what(tmp_path: Path) -> None:
    path = tmp_path / "lab.csv"
    path.write_text("time,V1,V2,remark\n0,1.5,2,good\n1,2.5,3,bad\n")
    found = columns_of(path)
    assert (found.likely_time, found.likely_drive, found.likely_response) == ("time", "V1", "V2")
    with pytest.raises(OutsideDataError, match="no such file"):
        columns_of(tmp_path / "gone.csv")
