"""Measured data of other programs: CSV, HDF5, netCDF and .mat, with a mapping of their columns.

    read_traces(path, drive="V1", response="V2", rate_Hz=610.35) -> OutsideData      traces, and where they come from
    as_recordings(data)                                            -> list[Recording]  for the campaigns

What a twin cannot learn from as it stands (NaN, gaps, uneven sampling, channels that are constant or clipped) is an
error, or a treatment that was asked for; whatever was done stands in OutsideData.provenance. Files are not trusted: sizes
are limited, nothing in them is run, and no file that they point at is opened.
"""

from __future__ import annotations

from labctl.outside_data.column_map import ColumnMap
from labctl.outside_data.errors import OutsideDataError
from labctl.outside_data.reading import OutsideData, read_mapped, read_traces
from labctl.outside_data.recordings import as_recordings, is_recording, own_recording
from labctl.outside_data.treatments import Treatments

__all__ = [
    "ColumnMap",
    "OutsideData",
    "OutsideDataError",
    "Treatments",
    "as_recordings",
    "is_recording",
    "own_recording",
    "read_mapped",
    "read_traces",
]
