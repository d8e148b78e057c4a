"""What is raised for data of other programs."""

from __future__ import annotations

from labctl.errors import RecordingError


class OutsideDataError(RecordingError):
    """A file of another program, or the mapping of its columns, cannot be used as it stands; the text says what to do."""
