"""Folders of pictures: one a frame, in the natural order of their names; folders in the folder are trials."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.images.errors import ImagesError
from labctl.images.source import ImageSource, Selection

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
_NAMES = {
    1: ("grey",), 2: ("grey", "alpha"), 3: ("red", "green", "blue"), 4: ("red", "green", "blue", "alpha"),
}  # fmt: skip
_CHANNELS = {"1": 1, "L": 1, "I": 1, "F": 1, "LA": 2, "RGB": 3, "RGBA": 4}
_LISTED = 6
_FORMATS = ("PNG", "JPEG", "BMP", "TIFF")
"""Whatever the name ends in, the reader is to try nothing else on a file."""
OWN_TEXT = "labctl"
"""The text of a PNG in which labctl tells of what it wrote, as JSON."""


def natural(name: str) -> list[tuple[int, int, str]]:
    """A key that sorts frame2 before frame10."""
    parts = re.split(r"(\d+)", name)
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part.lower()) for part in parts]


def open_folder(path: Path) -> list[ImageSource]:
    """The sequence of a folder, or those of the folders in it. Raises ImagesError."""
    pictures = _pictures(path)
    inside = sorted(
        (one for one in path.iterdir() if one.is_dir() and _pictures(one)), key=lambda one: natural(one.name)
    )
    if pictures and inside:
        raise ImagesError(
            f"{path} holds {len(pictures)} pictures and {len(inside)} folders of pictures ({inside[0].name} …); give one folder "
            "with pictures, or one with a folder for each trial"
        )
    if not pictures and not inside:
        raise ImagesError(f"{path} is a folder without pictures ({', '.join(ENDINGS)}), and no Zarr array")
    return [_sequence(path, pictures)] if pictures else [_sequence(one, _pictures(one)) for one in inside]


def open_picture(path: Path) -> ImageSource:
    """One picture: a sequence of one frame, from which an automaton can start. Raises ImagesError."""
    return _sequence(path, [path])


def _pictures(path: Path) -> list[Path]:
    found = [one for one in path.iterdir() if one.suffix.lower() in ENDINGS and one.is_file() and one.name[0] != "."]
    return sorted(found, key=lambda one: natural(one.name))


def _sequence(path: Path, pictures: list[Path]) -> ImageSource:
    looked = [_looked_at(picture) for picture in pictures]
    kinds = sorted(set(looked), key=looked.count, reverse=True)
    if len(kinds) > 1:
        odd = [f"{one.name} {kind}" for one, kind in zip(pictures, looked, strict=True) if kind != kinds[0]]
        raise ImagesError(
            f"{path}: pictures of one sequence have one size and one kind; most are {kinds[0]} (rows, columns, mode), but "
            f"{', '.join(odd[:_LISTED])}{f' and {len(odd) - _LISTED} more' if len(odd) > _LISTED else ''} are not"
        )
    rows, columns, mode = kinds[0]
    n_channels = _CHANNELS["RGBA" if mode == "PA" else "RGB" if mode == "P" else _plain(mode)]
    told = (
        [f"{path.name}: pictures with a palette are read as {'RGBA' if mode == 'PA' else 'RGB'}"]
        if mode[0] == "P"
        else []
    )

    def read(selection: Selection) -> NDArray[Any]:
        chosen = pictures[selection[0]]
        rest = selection[1:]
        first = _read(chosen[0], mode)[rest]
        values = np.empty((len(chosen), *first.shape), dtype=first.dtype)
        for place, picture in enumerate(chosen):
            values[place] = _read(picture, mode)[rest]
        return values

    return ImageSource(
        path=path, format="pictures", shape=(len(pictures), rows, columns, n_channels), axes=("time", "y", "x", "channel"),
        read=read, names=_NAMES[n_channels], units=("",) * n_channels, numbers=_numbers(pictures), told=tuple(told),
        about={"first": pictures[0].name, "last": pictures[-1].name, "mode": mode}, **_own(pictures[0]),
    )  # fmt: skip


def _own(picture: Path) -> dict[str, Any]:
    """What labctl wrote into pictures of its own: above all, whether they were simulated."""
    from PIL import Image

    try:
        with Image.open(picture, formats=_FORMATS) as image:
            text = image.info.get(OWN_TEXT)
        about = json.loads(text) if isinstance(text, str) else {}
        if not isinstance(about, dict) or "simulated" not in about:
            return {}
        found: dict[str, Any] = {"simulated": bool(about["simulated"])}
        if "dt" in about:
            found |= {"dt": float(about["dt"]), "time_unit": str(about["time_unit"])}
            found |= {"pixel": float(about["pixel"]), "pixel_unit": str(about["pixel_unit"])}
    except (OSError, ValueError, SyntaxError, KeyError, TypeError):
        return {}
    return found


def _plain(mode: str) -> str:
    return "I" if mode.startswith("I;16") else mode


def _looked_at(picture: Path) -> tuple[int, int, str]:
    """Rows, columns, mode; the pixels are not read."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit is on all pictures together
            with Image.open(picture, formats=_FORMATS) as image:
                columns, rows = image.size
                mode = str(image.mode)
                n_pages = getattr(image, "n_frames", 1)
                transparent = mode == "P" and "transparency" in image.info
    except (OSError, ValueError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise ImagesError(f"{picture}: cannot be read as a picture: {error}") from error
    if n_pages != 1:
        raise ImagesError(f"{picture} holds {n_pages} pages; give such a file by itself, not in a folder of pictures")
    if mode not in ("P", "PA") and _plain(mode) not in _CHANNELS:
        raise ImagesError(f"{picture}: pictures in {mode} are not read; save them as grey, RGB or RGBA")
    with picture.open("rb") as file:
        start = file.read(26)
    if start.startswith(b"\x89PNG") and start[24] == 16 and start[25] != 0:
        raise ImagesError(
            f"{picture} has 16 bits a colour, of which the reader keeps 8: save it as TIFF (all 16 bits are read), or as grey"
        )
    return rows, columns, "PA" if transparent else mode


def _read(picture: Path, mode: str) -> NDArray[Any]:
    """(y, x, channel)."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(picture, formats=_FORMATS) as image:
                ready = image.convert("RGBA" if mode == "PA" else "RGB") if mode[0] == "P" else image
                values = np.asarray(ready)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ImagesError(f"{picture}: cannot be read as a picture: {error}") from error
    return values if values.ndim == 3 else values[:, :, None]


def _numbers(pictures: Sequence[Path]) -> tuple[float, ...]:
    """The numbers in the names, where one place in them counts upwards and nothing else changes; else none."""
    split = [re.split(r"(\d+)", one.stem) for one in pictures]
    if len(pictures) < 2 or len({len(parts) for parts in split}) != 1:
        return ()
    changing = [place for place in range(len(split[0])) if len({parts[place] for parts in split}) > 1]
    if len(changing) != 1 or changing[0] % 2 == 0:
        return ()
    return tuple(float(int(parts[changing[0]])) for parts in split)
