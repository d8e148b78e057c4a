"""Frames to files: labctl's own NPZ, TIFF stacks, folders of PNG, GIF. Whole or not at all."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from labctl.errors import UsageError
from labctl.images.image_folder import OWN_TEXT
from labctl.images.numpy_files import OWN

if TYPE_CHECKING:
    from twins.nca import Frames

ENDINGS = (".npz", ".tif", ".tiff", ".gif", ".png")
_GIF_S, _LARGEST_GIF_PIXELS = 0.1, 256
_TIFF_LABEL = "SIMULATED"
_NO_TIFF = "TIFF needs tifffile: pip install 'labctl[images]'"


def check_ending(path: Path) -> None:
    """Raise UsageError unless the ending of the name says which kind of file it is to be."""
    if path.suffix.lower() not in ENDINGS:
        raise UsageError(
            f"{path}: give a name that ends in {', '.join(ENDINGS)} (.png: a folder of pictures of that name)"
        )


def targets(path: Path, n_trials: int) -> list[Path]:
    """The files and folders that ``write_frames`` makes of so many sequences."""
    if path.suffix.lower() == ".npz":
        return [path]
    own = [path] if n_trials == 1 else [path.with_stem(f"{path.stem}-{trial + 1}") for trial in range(n_trials)]
    return [one.with_suffix("") for one in own] if path.suffix.lower() == ".png" else own


def check_can_write(path: Path, n_trials: int) -> None:
    """Before any work: raise UsageError where ``write_frames`` could not, for want of a package or of an empty folder."""
    check_ending(path)
    if path.suffix.lower() in (".tif", ".tiff") and find_spec("tifffile") is None:
        raise UsageError(_NO_TIFF)
    for one in targets(path, n_trials) if path.suffix.lower() == ".png" else ():
        _check_empty(one)


def write_frames(
    path: Path,
    frames: Frames,
    *,
    provenance: Mapping[str, Any] | None = None,
    extra: Mapping[str, NDArray[Any]] | None = None,
) -> list[Path]:
    """Write the sequences by the name's ending; returns what was written.

    .npz holds everything (and `extra` arrays, if given) and is read again as it was. .tif: float32, axes TCYX; one file a
    trial. .gif, .png: pictures to look at, 8 bits from the lowest to the highest value; one file or folder a trial.
    Raises UsageError, OSError.
    """
    check_ending(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() == ".npz":
        _whole(path, _npz_bytes(frames, provenance or {}, extra or {}))
        return [path]
    written = []
    for trial, own in enumerate(targets(path, frames.n_trials)):
        if path.suffix.lower() == ".gif":
            _whole(own, _gif_bytes(frames, trial, provenance or {}))
        elif path.suffix.lower() == ".png":
            _write_pictures(own, frames, trial, provenance or {})
        else:
            _whole(own, _tiff_bytes(frames, trial, provenance or {}))
        written.append(own)
    return written


def _whole(path: Path, content: bytes) -> None:
    from twins.files import write_whole

    write_whole(path, content)


def _about(frames: Frames, provenance: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "dt": frames.dt_s, "time_unit": frames.time_unit, "pixel": frames.pixel, "pixel_unit": frames.pixel_unit,
        "names": frames.names, "units": frames.units, "simulated": frames.simulated,
        "condition_names": frames.condition_names, "axes": "trial, time, y, x, channel", "provenance": dict(provenance),
    }  # fmt: skip


def _npz_bytes(frames: Frames, provenance: Mapping[str, Any], extra: Mapping[str, NDArray[Any]]) -> bytes:
    arrays: dict[str, NDArray[Any]] = {"values": frames.values, "conditions": frames.condition_values}
    if frames.environment is not None:
        arrays["environment"] = frames.environment
    arrays |= dict(extra)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{OWN: np.array(json.dumps(_about(frames, provenance)))}, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def _tiff_bytes(frames: Frames, trial: int, provenance: Mapping[str, Any]) -> bytes:
    try:
        import tifffile
    except ImportError as error:
        raise UsageError(_NO_TIFF) from error
    buffer = io.BytesIO()
    values = frames.values[trial].transpose(0, 3, 1, 2)
    about: dict[str, Any] = {"axes": "TCYX", "unit": frames.pixel_unit, OWN: json.dumps(_about(frames, provenance))}
    if frames.time_unit == "s":
        about["finterval"] = frames.dt_s
    if frames.simulated:
        about["Info"] = _TIFF_LABEL
    tifffile.imwrite(buffer, values, imagej=True, metadata=about, resolution=(1.0 / frames.pixel, 1.0 / frames.pixel))
    return buffer.getvalue()


def pictures(frames: Frames, trial: int) -> NDArray[np.uint8]:
    """(time, y, x, 3 or 4 colours, or none for grey): 8 bits, each channel from its lowest to its highest value.

    Three channels and more are shown as red, green, blue (and alpha, where the fourth is called so); of fewer the last one.
    """
    values = frames.values[trial]
    colours = values.shape[-1] >= 3
    n = 4 if colours and frames.names[3:4] == ("alpha",) else 3
    shown = values[..., :n] if colours else values[..., -1:]
    together = (0, 1, 2, 3) if colours else (0, 1, 2)
    low, high = shown.min(axis=together, keepdims=True), shown.max(axis=together, keepdims=True)
    unit = (shown - low) / np.where(high > low, high - low, 1.0)
    eight: NDArray[np.uint8] = np.rint(255.0 * unit).astype(np.uint8)
    return eight if colours else eight[..., 0]


def _images(frames: Frames, trial: int, *, enlarge: bool) -> list[Any]:
    from PIL import Image

    made = [Image.fromarray(one) for one in pictures(frames, trial)]
    factor = max(1, _LARGEST_GIF_PIXELS // max(frames.size)) if enlarge else 1
    return [one.resize((one.width * factor, one.height * factor), Image.Resampling.NEAREST) for one in made]


def _comment(frames: Frames, provenance: Mapping[str, Any]) -> str:
    told = {"dt": frames.dt_s, "time_unit": frames.time_unit, "pixel": frames.pixel, "pixel_unit": frames.pixel_unit}
    return json.dumps({"simulated": frames.simulated, **told, "provenance": dict(provenance)})


def _gif_bytes(frames: Frames, trial: int, provenance: Mapping[str, Any]) -> bytes:
    first, *others = _images(frames, trial, enlarge=True)
    buffer = io.BytesIO()
    first.save(
        buffer, format="GIF", save_all=True, append_images=others, duration=round(1000 * _GIF_S), loop=0,
        comment=_comment(frames, provenance).encode()[:60_000],
    )  # fmt: skip
    return buffer.getvalue()


def _check_empty(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} exists already and is not empty; give another name")


def _write_pictures(folder: Path, frames: Frames, trial: int, provenance: Mapping[str, Any]) -> None:
    from PIL.PngImagePlugin import PngInfo

    _check_empty(folder)
    folder.mkdir(parents=True, exist_ok=True)
    told = PngInfo()
    told.add_text(OWN_TEXT, _comment(frames, provenance))
    for number, image in enumerate(_images(frames, trial, enlarge=False)):
        buffer = io.BytesIO()
        image.save(buffer, format="PNG", pnginfo=told)
        _whole(folder / f"frame{number:05d}.png", buffer.getvalue())
