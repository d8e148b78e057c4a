"""Looking at sequences frame by frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from labctl.images import ImagesError, read_images, tiff_files, write_frames
from labctl.images.player import open_player
from twins.nca import Frames

VALUES = np.random.default_rng(0).random((1, 7, 6, 5, 2)).astype(np.float32)


@pytest.fixture
def frames() -> Frames:
    return Frames(VALUES, 0.5, ("u", "v"), ("mM", "1"), "min", simulated=True)


@pytest.mark.parametrize("name", ["film.npz", "film.tif"])
def test_every_frame_is_that_of_the_file(frames: Frames, tmp_path: Path, name: str) -> None:
    [path] = write_frames(tmp_path / name, frames)
    film = open_player(path)
    assert film.n_frames == (7,)
    assert film.size == (6, 5)
    assert film.names == ("u", "v")
    for frame in (0, 6, 3):
        np.testing.assert_allclose(film.picture(sequence=0, frame=frame), read_images(path).values[0, frame])
    assert film.simulated
    assert film.lows[0] >= VALUES[..., 0].min()
    with pytest.raises(ImagesError, match="no frame 7"):
        film.picture(sequence=0, frame=7)


def test_folders_of_pictures_are_played_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    grey = Frames(VALUES[..., :1], 1.0, ("u",), ("1",))
    write_frames(tmp_path / "pictures.png", grey)
    [folder] = [one for one in tmp_path.iterdir() if one.is_dir()]
    film = open_player(folder)
    assert film.n_frames == (7,)
    np.testing.assert_array_equal(film.picture(sequence=0, frame=5), read_images(folder).values[0, 5])


def test_of_a_stack_of_pages_only_the_page_that_is_shown_is_read(tmp_path: Path) -> None:
    import tifffile

    path = tmp_path / "stack.tif"
    with tifffile.TiffWriter(path) as file:
        for frame in range(9):
            file.write(
                np.full((8, 8), frame, dtype=np.uint8), contiguous=False, metadata=None
            )  # else every page says that it is a series
    source = tiff_files.open_tiff(path, "")
    assert source.lazy
    film = open_player(path)
    assert film.n_frames == (9,)
    assert film.picture(sequence=0, frame=4).max() == 4.0
