"""A recording that was interrupted is read as far as it goes, and that is said."""

from pathlib import Path

import numpy as np
import pytest

from labctl.frame_recording import FrameBlock, FrameHeader
from labctl.frame_store import FrameWriter
from labctl.images import ImagesError, ImageTreatments, open_images


def filmed(path: Path, *taken: int) -> Path:
    """Six frames planned of every trial, so many taken; each trial at a feed of its own, frame k at 100 + k counts."""
    fixed = np.arange(len(taken), dtype=float)[:, None]
    header = FrameHeader(
        shape=(len(taken), 6, 3, 4), interval_s=1.0, names=("u",), full_scale=4095, black_level=95.0,
        condition_names=("feed",), condition_units=("",), conditions=fixed, start="", seeds=np.zeros(len(taken), dtype=np.int64),
        light=True, simulated=True,
    )  # fmt: skip
    with FrameWriter(path, header) as writer:
        for trial, count in enumerate(taken):
            if count:
                writer.begin_trial(trial, fixed[trial])
            for index in range(count):
                writer.append(
                    FrameBlock(trial, index, np.full((3, 4, 1), 100 + index, np.uint16), float(index), 0, 1.0)
                )
    return path


def read(path: Path, **treatments: object) -> tuple[np.ndarray, str]:
    images = open_images([path], ImageTreatments(**treatments), conditions=["feed"])  # type: ignore[arg-type]
    assert np.isfinite(images.frames.values).all()
    return images.frames.condition_values[:, 0], f"{images.frames.values.shape[:2]} {' '.join(images.told)}"


def test_what_was_taken_is_read_and_said(tmp_path: Path) -> None:
    one = filmed(tmp_path / "one.h5", 4)
    _, told = read(one)
    assert told.startswith("(1, 4)") and "interrupted: 4 of 6 frames were taken, of which 4 are read" in told
    assert "interrupted" not in read(filmed(tmp_path / "whole.h5", 6, 6))[1]
    with pytest.raises(ImagesError, match=r"interrupted: 4 of 6.*--frames 0:4"):
        read(one, frames=(0, 5))
    with pytest.raises(ImagesError, match="nothing to read"):
        read(filmed(tmp_path / "none.h5", 0))


def test_of_several_sequences_as_many_frames_as_there_are(tmp_path: Path) -> None:
    path = filmed(tmp_path / "film.h5", 6, 2, 5, 0)
    feeds, told = read(path)
    assert feeds.tolist() == [0.0, 2.0] and told.startswith("(2, 5)")
    assert "2 of 4 sequences are left out" in told
    feeds, told = read(path, frames=(1, 2))
    assert feeds.tolist() == [0.0, 1.0, 2.0] and told.startswith("(3, 1)")
    feeds, told = read(path, trials="whole")
    assert feeds.tolist() == [0.0] and told.startswith("(1, 6)")
