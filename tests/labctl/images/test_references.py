"""References for light and sensor: the same ones are taken and refused by labctl's recordings and by images of others."""

from pathlib import Path

import numpy as np
import pytest

from labctl.errors import RecordingError
from labctl.frame_recording import FrameBlock, FrameHeader, FrameRecording
from labctl.frame_store import FrameWriter, read_frames
from labctl.images import ImagesError, read_images

RNG = np.random.default_rng(4)


def filmed(path: Path, counts: np.ndarray, *, light: bool = True, lost: tuple[int, ...] = ()) -> FrameRecording:
    """counts: (time, y, x, channel)."""
    n_frames, rows, columns, _ = counts.shape
    header = FrameHeader(
        (1, n_frames, rows, columns), 2.0, ("u", "v"), 4095, 95.0, (), (), np.zeros((1, 0)), "", np.zeros(1, np.int64),
        light, True,
    )  # fmt: skip
    with FrameWriter(path, header) as writer:
        writer.begin_trial(0, np.zeros(0))
        for index, frame in enumerate(counts.astype(np.uint16)):
            here = None if index in lost else frame
            saturated = 0 if here is None else int((frame >= 4095).sum())
            writer.append(FrameBlock(0, index, here, 2.0 * index, saturated, 1.0 + 0.1 * index))
    return read_frames(path)


def a_film(folder: Path) -> FrameRecording:
    return filmed(folder / "film.h5", RNG.integers(500, 3000, (3, 4, 6, 2)))


@pytest.mark.parametrize("drift", ["none", "monitor", "mean"])
def test_both_ways_of_reading_a_recording_correct_it_alike(tmp_path: Path, drift: str) -> None:
    film = a_film(tmp_path)
    dark = filmed(tmp_path / "dark.h5", RNG.integers(90, 100, (3, 4, 6, 2)), light=False, lost=(1,))
    flat = filmed(tmp_path / "flat.h5", RNG.integers(2000, 2500, (2, 4, 6, 2)))
    ours = film.frames(dark=dark, flat=flat, drift=drift, binning=2)  # type: ignore[arg-type]
    theirs = read_images(
        tmp_path / "film.h5", dark=tmp_path / "dark.h5", flat=tmp_path / "flat.h5", drift=drift, downsample=2
    )
    np.testing.assert_allclose(ours.values, theirs.values, rtol=1e-5)
    raw = film.frames(binning=2).values
    assert np.abs(ours.values - raw).max() > 1e-3


def test_what_is_no_reference_is_refused_both_ways(tmp_path: Path) -> None:
    film = a_film(tmp_path)
    counts = {
        "lit": (np.full((1, 4, 6, 2), 900), True),
        "unlit": (np.full((1, 4, 6, 2), 96), False),
        "bright": (np.full((1, 4, 6, 2), 4095), True),
        "nothing": (np.full((1, 4, 6, 2), 95), True),
        "narrow": (np.full((1, 4, 4, 2), 900), True),
        "gone": (np.full((1, 4, 6, 2), 900), True),
    }
    made = {
        name: filmed(tmp_path / f"{name}.h5", one, light=light, lost=(0,) if name == "gone" else ())
        for name, (one, light) in counts.items()
    }
    for role, name, said in (
        ("dark", "lit", "recorded with light: it is no dark reference"),
        ("flat", "unlit", "recorded without light: it is no flat field"),
        ("flat", "bright", "48 saturated values"),
        ("flat", "nothing", "saw no light"),
        ("flat", "narrow", "a reference is of the same pixels"),
        ("flat", "gone", "holds no frame"),
    ):
        with pytest.raises(RecordingError, match=said):
            film.frames(**{role: made[name]})  # type: ignore[arg-type]
        with pytest.raises(ImagesError, match=said):
            read_images(tmp_path / "film.h5", **{role: tmp_path / f"{name}.h5"})


def test_a_flat_image_whose_integers_are_all_used_up_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "film.npy", RNG.uniform(1, 200, (3, 5, 7, 1)))
    np.save(tmp_path / "flat.npy", np.full((2, 5, 7, 1), 255, np.uint8))
    with pytest.raises(ImagesError, match="70 saturated values"):
        read_images(tmp_path / "film.npy", axes="tyxc", flat=tmp_path / "flat.npy")


def test_a_part_of_a_recording_that_is_too_large_as_a_whole_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = a_film(tmp_path)
    monkeypatch.setattr("labctl.images.source.LARGEST_VALUES", film.counts.size - 1)
    with pytest.raises(ImagesError, match="take a part of it"):
        read_images(tmp_path / "film.h5")
    part = read_images(tmp_path / "film.h5", frames=(1, 3), crop=(0, 2, 1, 6))
    np.testing.assert_array_equal(part.values, film.signal()[:, 1:3, :2, 1:6])
