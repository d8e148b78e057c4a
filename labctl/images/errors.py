"""What is raised for image sequences."""

from __future__ import annotations

from labctl.errors import RecordingError


class ImagesError(RecordingError):
    """Images cannot be used as they stand; the text says what is there and what to do."""
