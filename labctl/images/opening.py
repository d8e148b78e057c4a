"""Which format images have, by their first bytes, and what is there."""

from __future__ import annotations

from pathlib import Path

from labctl.images.errors import ImagesError
from labctl.images.source import ImageSource

FORMATS = "TIFF, NPZ, NPY, Zarr, HDF5, netCDF 4, or a folder of PNG, JPEG, BMP or one-page TIFF images (one of them alone: a start)"
_TIFF = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
_PICKLE = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_ONE_PICTURE = (b"\x89PNG", b"\xff\xd8\xff", b"BM")


def open_sources(path: str | Path, *, dataset: str = "") -> list[ImageSource]:
    """The sequences of a file or folder, looked at and not read: one, or one for each of its folders. Raises ImagesError."""
    path = Path(path)
    if not path.exists():
        raise ImagesError(f"{path}: no such file or folder")
    if path.is_dir():
        return _of_folder(path, dataset)
    with path.open("rb") as file:
        start = file.read(16)
    if not start:
        raise ImagesError(f"{path} is empty")
    return [_of_file(path, start, dataset)]


def _of_folder(path: Path, dataset: str) -> list[ImageSource]:
    if any((path / name).exists() for name in ("zarr.json", ".zgroup", ".zarray", ".zmetadata")):
        from labctl.images.zarr_files import open_zarr

        return [open_zarr(path, dataset)]
    from labctl.images.image_folder import open_folder

    return open_folder(path)


def _of_file(path: Path, start: bytes, dataset: str) -> ImageSource:
    from labctl.outside_data.opening import is_hdf5

    if start.startswith(_TIFF):
        from labctl.images.tiff_files import open_tiff

        return open_tiff(path, dataset)
    if start.startswith((b"\x93NUMPY", b"PK\x03\x04", b"PK\x05\x06")):
        from labctl.images.numpy_files import open_npy, open_npz

        return open_npy(path) if start.startswith(b"\x93NUMPY") else open_npz(path, dataset)
    if is_hdf5(path):
        from labctl.images.hdf5_images import open_hdf5

        return open_hdf5(path, dataset)
    if start.startswith(_PICKLE):
        raise ImagesError(f"{path} looks like a pickle, which is never read: it could run any program; save it as NPZ")
    if start.startswith(_ONE_PICTURE):
        from labctl.images.image_folder import open_picture

        return open_picture(path)
    raise ImagesError(f"{path} is none of the formats that are read: {FORMATS}")
