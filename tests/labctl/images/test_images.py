"""Images of every format come in as they were written, and what cannot be read says what to do."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from labctl.errors import UsageError
from labctl.images import ImagesError, ImageTreatments, open_images, read_images, write_frames
from twins.nca import Frames


def film(n_frames: int = 4, rows: int = 6, columns: int = 8, n_channels: int = 2, dtype: str = "float32") -> np.ndarray:
    values = np.random.default_rng(0).uniform(0, 200, (n_frames, rows, columns, n_channels))
    return values.astype(dtype)


def pictures(folder: Path, numbers: list[int], *, mode: str = "L", size: tuple[int, int] = (8, 6)) -> np.ndarray:
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for number in numbers:
        depth = {"L": (), "RGB": (3,), "RGBA": (4,), "I;16": ()}[mode]
        kind = "uint16" if mode == "I;16" else "uint8"
        values = np.random.default_rng(number).integers(0, 60000 if kind == "uint16" else 255, (*size[::-1], *depth))
        made.append(values.astype(kind))
        Image.fromarray(made[-1]).save(folder / f"frame{number}.png")
    return np.stack(made)


def test_arrays_with_named_axes_come_in_any_order(tmp_path: Path) -> None:
    values = film()
    np.savez(tmp_path / "a.npz", film=values.transpose(3, 1, 0, 2))
    frames = read_images(tmp_path / "a.npz", axes="cytx", dt=0.5)
    assert frames.values.shape == (1, 4, 6, 8, 2)
    np.testing.assert_array_equal(frames.values[0], values)
    assert (frames.dt_s, frames.time_unit, frames.names) == (0.5, "s", ("channel0", "channel1"))


def test_axes_are_guessed_where_there_is_one_way_and_that_is_said(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", film())
    images = open_images([tmp_path / "a.npy"])
    assert images.frames.values.shape == (1, 4, 6, 8, 2)
    assert any("taken for tyxc (guessed" in words for words in images.told)
    assert any("1 frame" in words and "--dt" in words for words in images.told)
    np.save(tmp_path / "b.npy", film(6, 6, 6, 6))
    with pytest.raises(ImagesError, match=r"\(6, 6, 6, 6\) does not say what its axes are.*--axes"):
        open_images([tmp_path / "b.npy"])


def test_a_file_of_several_arrays_wants_one_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", first=film(), second=film(), time=np.arange(4))
    with pytest.raises(ImagesError, match=r"first \(4, 6, 8, 2\).*--dataset"):
        read_images(tmp_path / "a.npz")
    assert read_images(tmp_path / "a.npz", dataset="second").n_frames == 4


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", film=np.array([{"run": "me"}], dtype=object))
    np.save(tmp_path / "b.npy", np.array([[[{"run": "me"}]]], dtype=object))
    for name in ("a.npz", "b.npy"):
        with pytest.raises(ImagesError):
            read_images(tmp_path / name)


def test_a_small_file_that_claims_a_huge_array_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("film", (100000, 4000, 4000), dtype="f8", chunks=(1, 4000, 4000))
    with pytest.raises(ImagesError, match=r"1600000000000 values.*--frames"):
        read_images(tmp_path / "a.h5", axes="tyx")
    assert read_images(tmp_path / "a.h5", axes="tyx", frames=(0, 2), crop=(0, 5, 0, 6)).size == (5, 6)
    zarr.create_array(str(tmp_path / "a.zarr"), shape=(10**6, 2000, 2000), chunks=(1, 2000, 2000), dtype="f4")
    with pytest.raises(ImagesError, match="values, and at most"):
        read_images(tmp_path / "a.zarr", axes="tyx")
    header = np.lib.format.magic(1, 0)
    text = str({"descr": "<f8", "fortran_order": False, "shape": (10**6, 1000, 1000)}).ljust(117).encode() + b"\n"
    (tmp_path / "b.npy").write_bytes(header + len(text).to_bytes(2, "little") + text + b"0" * 64)
    with pytest.raises(ImagesError):
        read_images(tmp_path / "b.npy", axes="tyx")


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_tiff_stacks_keep_their_numbers_axes_and_times(tmp_path: Path, dtype: str) -> None:
    values = film(dtype=dtype)
    tifffile.imwrite(
        tmp_path / "a.tif", values.transpose(0, 3, 1, 2), imagej=True, resolution=(4.0, 4.0),
        metadata={"axes": "TCYX", "finterval": 0.25, "unit": "micron"},
    )  # fmt: skip
    frames = read_images(tmp_path / "a.tif")
    np.testing.assert_array_equal(frames.values[0], values.astype(np.float32))
    assert (frames.dt_s, frames.pixel, frames.pixel_unit) == (0.25, 0.25, "µm")


def test_pages_of_a_plain_tiff_are_frames_and_that_is_said(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", film()[..., 0], photometric="minisblack")
    images = open_images([tmp_path / "a.tif"])
    assert images.frames.values.shape == (1, 4, 6, 8, 1)
    assert any("4 pages are taken for frames" in words for words in images.told)


def test_ome_tiff_says_its_time_and_pixel_and_planes_are_chosen(tmp_path: Path) -> None:
    values = film()[..., 0][:, None, None] * np.array([1.0, 2.0, 3.0], dtype=np.float32)[None, :, None, None, None]
    tifffile.imwrite(
        tmp_path / "a.ome.tif", values, ome=True, photometric="minisblack",
        metadata={"axes": "TZCYX", "TimeIncrement": 5.0, "TimeIncrementUnit": "ms", "PhysicalSizeX": 0.5},
    )  # fmt: skip
    with pytest.raises(ImagesError, match=r"3 planes in z.*--z 0 to 2"):
        read_images(tmp_path / "a.ome.tif")
    frames = read_images(tmp_path / "a.ome.tif", z=1)
    np.testing.assert_allclose(frames.values[0], values[:, 1, 0, :, :, None])
    assert (frames.dt_s, frames.pixel) == (0.005, 0.5)


@pytest.mark.parametrize("version", [2, 3])
def test_zarr_arrays_and_groups(tmp_path: Path, version: int) -> None:
    values = film()
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w", zarr_format=version)  # type: ignore[arg-type]
    names = {"dimension_names": ("time", "y", "x", "channel")} if version == 3 else {}
    array = group.create_array("inner/film", shape=values.shape, dtype="f4", **names)
    array[:] = values
    if version == 2:
        array.attrs["_ARRAY_DIMENSIONS"] = ["time", "y", "x", "channel"]
    np.testing.assert_array_equal(read_images(tmp_path / "a.zarr").values[0], values)


def test_netcdf_says_axes_times_pixels_and_channels(tmp_path: Path) -> None:
    xarray = pytest.importorskip("xarray")
    values = film()
    xarray.DataArray(
        values.transpose(3, 0, 1, 2), dims=("channel", "time", "y", "x"), name="film",
        coords={"time": ("time", 0.1 * np.arange(4), {"units": "ms"}), "x": ("x", 2.0 * np.arange(8), {"units": "mm"})},
    ).to_netcdf(tmp_path / "a.nc", engine="h5netcdf")  # fmt: skip
    frames = read_images(tmp_path / "a.nc")
    np.testing.assert_array_equal(frames.values[0], values)
    assert frames.dt_s == pytest.approx(1e-4)
    assert (frames.pixel, frames.pixel_unit, frames.time_unit) == (2.0, "mm", "s")


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "I;16"])
def test_pictures_come_in_the_natural_order_of_their_names(tmp_path: Path, mode: str) -> None:
    made = pictures(tmp_path / "film", [10, 8, 9], mode=mode)
    frames = read_images(tmp_path / "film")
    made = made if made.ndim == 4 else made[..., None]
    np.testing.assert_array_equal(frames.values[0], made[[1, 2, 0]].astype(np.float32))
    names = {1: ("grey",), 3: ("red", "green", "blue"), 4: ("red", "green", "blue", "alpha")}
    assert frames.names == names[made.shape[-1]]


def test_folders_in_a_folder_are_trials(tmp_path: Path) -> None:
    for trial in (1, 2, 10):
        pictures(tmp_path / f"trial{trial}", [1, 2])
    assert read_images(tmp_path).values.shape == (3, 2, 6, 8, 1)


def test_pictures_of_different_sizes_are_refused_by_name(tmp_path: Path) -> None:
    pictures(tmp_path, [1, 2, 3])
    pictures(tmp_path, [4], size=(7, 6))
    with pytest.raises(ImagesError, match=r"frame4\.png \(6, 7, 'L'\)"):
        read_images(tmp_path)


def test_a_gap_in_the_numbering_is_refused_or_filled(tmp_path: Path) -> None:
    made = pictures(tmp_path, [1, 2, 4, 5])
    with pytest.raises(ImagesError, match=r"1 frames are missing in the numbering \(3\).*--missing interpolate"):
        read_images(tmp_path)
    images = open_images([tmp_path], ImageTreatments(missing="interpolate"))
    assert images.frames.n_frames == 5
    np.testing.assert_allclose(images.frames.values[0, 2, ..., 0], (made[1].astype(float) + made[2]) / 2.0)
    assert images.done[0]["frames"] == [2]
    assert read_images(tmp_path, frames=(2, 4)).n_frames == 2


def test_numbers_that_are_not_finite_are_refused_or_filled(tmp_path: Path) -> None:
    values = film()
    values[2, 1, 1, 0] = np.nan
    np.save(tmp_path / "a.npy", values)
    with pytest.raises(ImagesError, match=r"1 values are missing or not finite, in frames 2;"):
        read_images(tmp_path / "a.npy")
    frames = read_images(tmp_path / "a.npy", missing="interpolate")
    assert frames.values[0, 2, 1, 1, 0] == pytest.approx((values[1, 1, 1, 0] + values[3, 1, 1, 0]) / 2.0)
    with pytest.raises(ImagesError, match="last frame"):
        read_images(tmp_path / "a.npy", missing="interpolate", frames=(0, 3))


def test_crop_downsample_every_and_channels_do_what_they_say(tmp_path: Path) -> None:
    values = film(7)
    np.save(tmp_path / "a.npy", values)
    images = open_images(
        [tmp_path / "a.npy"],
        ImageTreatments(
            axes="tyxc",
            frames=(1, 7),
            every=2,
            crop=(2, 6, 0, 4),
            downsample=2,
            channels=("channel1",),
            dt=0.5,
            pixel=3.0,
        ),
    )
    wanted = values[1:7:2, 2:6, 0:4, 1].reshape(3, 2, 2, 2, 2).mean(axis=(2, 4))
    np.testing.assert_allclose(images.frames.values[0, ..., 0], wanted, rtol=1e-6)
    assert (images.frames.dt_s, images.frames.pixel, images.frames.names) == (1.0, 6.0, ("channel1",))
    reading = images.as_dict()["reading"]
    assert json.loads(json.dumps(reading)) == reading
    assert reading["downsample"] == 2
    with pytest.raises(ImagesError, match=r"6 × 8 pixels do not divide by 4; crop first, as in --crop 0:4,0:8"):
        read_images(tmp_path / "a.npy", axes="tyxc", downsample=4)


def test_dark_and_flat_images_give_back_the_even_scene(tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    scene = generator.uniform(1.0, 2.0, (4, 6, 8, 1)).astype(np.float32)
    light = generator.uniform(0.5, 1.5, (6, 8, 1)).astype(np.float32)
    np.save(tmp_path / "film.npy", scene * light + 10.0)
    np.save(tmp_path / "flat.npy", np.stack([light * 7.0 + 10.0] * 2))
    np.save(tmp_path / "dark.npy", np.full((2, 6, 8, 1), 10.0, np.float32))
    images = open_images(
        [tmp_path / "film.npy"], ImageTreatments(dark=tmp_path / "dark.npy", flat=tmp_path / "flat.npy")
    )
    ratio = images.frames.values[0] / scene
    np.testing.assert_allclose(ratio, ratio.flat[0], rtol=1e-4)
    assert [one["treatment"] for one in images.done] == ["dark image subtracted", "divided by the flat image"]


def test_grey_and_alpha(tmp_path: Path) -> None:
    made = pictures(tmp_path, [1, 2], mode="RGBA").astype(np.float64)
    alpha = made[..., 3:] / 255.0
    grey = made[..., :3] @ np.array([0.2126, 0.7152, 0.0722])
    np.testing.assert_allclose(read_images(tmp_path, grey=True, alpha="drop").values[0, ..., 0], grey, rtol=1e-5)
    white = read_images(tmp_path, alpha="white")
    np.testing.assert_allclose(white.values[0], alpha * made[..., :3] + (1 - alpha) * 255.0, rtol=1e-5)
    assert white.names == ("red", "green", "blue")


def test_sequences_of_different_kinds_or_lengths_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", film(4))
    np.save(tmp_path / "b.npy", film(6))
    np.save(tmp_path / "c.npy", film(4, rows=7))
    with pytest.raises(ImagesError, match=r"a\.npy 4, b\.npy 6 frames\): --lengths shortest cuts all to 4"):
        open_images([tmp_path / "a.npy", tmp_path / "b.npy"])
    both = open_images([tmp_path / "a.npy", tmp_path / "b.npy"], ImageTreatments(lengths="shortest"))
    assert both.frames.values.shape == (2, 4, 6, 8, 2)
    with pytest.raises(ImagesError, match="differ in rows, columns and channels"):
        open_images([tmp_path / "a.npy", tmp_path / "c.npy"])


def test_what_is_no_sequence_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(b"\x80\x04whatever")
    (tmp_path / "text.txt").write_text("hello there, this is no film")
    (tmp_path / "bad.tif").write_bytes(b"II*\x00" + b"\xff" * 60)
    (tmp_path / "bad.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + b"\xff" * 600)
    (tmp_path / "empty").mkdir()
    for name, words in (
        ("a.pkl", "pickle"), ("text.txt", "none of the formats"), ("bad.tif", "holds no images"),
        ("bad.h5", "damaged HDF5"), ("empty", "without pictures"), ("no", "no such file"),
    ):  # fmt: skip
        with pytest.raises(ImagesError, match=words):
            read_images(tmp_path / name)
    with pytest.raises(UsageError, match="crop"):
        ImageTreatments(crop=(4, 2, 0, 1))


def frames_of_all() -> Frames:
    return Frames(
        np.stack([film(), film() + 1.0]), 0.5, ("u", "v"), ("V", "mM"), pixel=0.1, pixel_unit="mm", condition_names=("feed",),
        conditions=np.array([[0.1], [0.2]]), environment=np.ones((2, 6, 8, 1)), simulated=True,
    )  # fmt: skip


def test_our_own_npz_is_read_as_it_was_written(tmp_path: Path) -> None:
    frames = frames_of_all()
    assert write_frames(tmp_path / "a.npz", frames, provenance={"seed": 3}) == [tmp_path / "a.npz"]
    back = read_images(tmp_path / "a.npz")
    np.testing.assert_array_equal(back.values, frames.values)
    np.testing.assert_array_equal(back.condition_values, frames.condition_values)
    assert back.environment is not None
    for name in ("dt_s", "names", "units", "pixel", "pixel_unit", "condition_names", "simulated", "time_unit"):
        assert getattr(back, name) == getattr(frames, name), name


def test_tiff_pictures_and_films_are_written_a_trial_each(tmp_path: Path) -> None:
    frames = frames_of_all()
    for name, made in (("a.tif", ["a-1.tif", "a-2.tif"]), ("a.png", ["a-1", "a-2"]), ("a.gif", ["a-1.gif", "a-2.gif"])):
        assert [one.name for one in write_frames(tmp_path / name, frames)] == made
    back = read_images(tmp_path / "a-2.tif")
    np.testing.assert_array_equal(back.values[0], frames.values[1])
    assert (back.dt_s, back.pixel, back.pixel_unit) == (0.5, pytest.approx(0.1), "mm")
    assert read_images(tmp_path / "a-1").n_frames == 4
    with Image.open(tmp_path / "a-1.gif") as film_made:
        assert film_made.n_frames == 4
        assert b"simulated" in film_made.info["comment"]
    with pytest.raises(UsageError, match="not empty"):
        write_frames(tmp_path / "a.png", frames)
