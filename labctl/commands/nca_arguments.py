"""What the actions of `labctl nca` ask of images and equations."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.commands.arguments import positive_integer, seed
from labctl.commands.goku_arguments import number, pairs
from labctl.errors import UsageError

if TYPE_CHECKING:
    from labctl.images import Images, ImageTreatments
    from labctl.nca_model import SavedNca
    from labctl.nca_pde import PdeSource

_READING = (
    "dataset", "axes", "z", "frames", "every", "crop", "downsample", "channels", "grey", "alpha", "dark", "flat",
    "drift", "missing", "trials",
    "lengths", "dt", "time_unit", "pixel", "pixel_unit", "simulated",
)  # fmt: skip
"""The options of reading images, as labctl.images.ImageTreatments names them."""


def add_image_arguments(parser: argparse.ArgumentParser, *, nargs: str = "+") -> None:
    """The files, and how they are read."""
    parser.add_argument(
        "source", type=Path, nargs=nargs, metavar="SOURCE",
        help="image sequences: TIFF, NPZ, NPY, Zarr, HDF5, netCDF, or a folder of pictures; each is a sequence or several",
    )  # fmt: skip
    add_reading_arguments(parser)


def add_reading_arguments(parser: argparse.ArgumentParser) -> None:
    """How images are read."""
    group = parser.add_argument_group("reading images", "Nothing is done to images that is not asked for here.")
    add = group.add_argument
    add("--dataset", default="", metavar="NAME", help="which array of a file that holds several")
    add(
        "--axes",
        default="",
        metavar="LETTERS",
        help="axes of an array, in order: t y x, c channels, n trials, z; as in tyxc",
    )
    add("--z", type=_plane, metavar="N", help="plane, where there are several; or mean, or max")
    add("--frames", type=_span, default=(0, None), metavar="START:STOP", help="only these frames of every sequence")
    add("--every", type=positive_integer, default=1, metavar="N", help="of them every n-th")
    add("--crop", type=_crop, metavar="TOP:BOTTOM,LEFT:RIGHT", help="only these pixels")
    add("--downsample", type=positive_integer, default=1, metavar="N", help="means over squares of N × N pixels")
    add("--channels", type=_words, default=(), metavar="A,B", help="only these channels, by name or number")
    add("--grey", action="store_true", help="one channel of red, green and blue")
    add("--alpha", choices=("keep", "drop", "black", "white"), default="keep",
        help="alpha: a channel like others (default), dropped, or the images laid upon black or white")  # fmt: skip
    add("--dark", type=Path, metavar="SOURCE", help="images without light, whose mean is subtracted")
    add("--flat", type=Path, metavar="SOURCE", help="images of even light, by which is divided")
    add("--missing", choices=("refuse", "interpolate"), default="refuse",
        help="frames missing in the numbering, and values that are not finite (default refuse)")  # fmt: skip
    add("--drift", choices=("none", "monitor", "mean"), default="none",
        help="of the light: divide by the lamp monitor of labctl's own recordings, or bring every frame to one mean")  # fmt: skip
    add("--trials", choices=("all", "whole"), default="all", help="whole: leave out sequences that lack frames")
    add(
        "--lengths",
        choices=("refuse", "shortest"),
        default="refuse",
        help="sequences of different lengths (default refuse)",
    )
    add(
        "--dt",
        type=_positive,
        metavar="TIME",
        help="time from frame to frame, before --every, where the file does not say",
    )
    add("--time-unit", metavar="UNIT", help="of --dt (default s)")
    add("--pixel", type=_positive, metavar="SIZE", help="size of a pixel, before --downsample")
    add("--pixel-unit", metavar="UNIT", help="of --pixel (default px)")
    add(
        "--simulated",
        action="store_true",
        help="the images were simulated by another program; all that comes of them says so",
    )


def treatments_of(options: argparse.Namespace) -> ImageTreatments:
    """How images are to be read."""
    from labctl.images import ImageTreatments

    return ImageTreatments(**{name: getattr(options, name) for name in _READING})


def images_of(
    options: argparse.Namespace,
    paths: Sequence[Path],
    saved: SavedNca | None = None,
    *,
    conditions: Sequence[str] | None = None,
) -> Images:
    """The images of these files. saved: read as its images were, where no option says otherwise, and with its conditions.
    conditions: see ``open_images``."""
    from labctl.images import ImageTreatments, open_images

    asked = treatments_of(options)
    known = saved.model.condition_names if saved is not None else conditions
    if saved is None or asked != ImageTreatments():
        return open_images(paths, asked, conditions=known)
    return _read_as_its_own(saved, paths, known)


def _read_as_its_own(saved: SavedNca, paths: Sequence[Path], conditions: Sequence[str] | None) -> Images:
    """Read as the automaton's own images were, as far as that holds for these; said. Raises ImagesError."""
    import sys

    from labctl.images import ImagesError, open_images
    from labctl.images.inheriting import taken_over

    reading, left_out = taken_over(saved.reading(), paths)
    told = ", ".join(f"{name} {value}" for name, value in reading.as_dict().items())
    if told:
        sys.stderr.write(f"read as the images of {saved.name} were: {told}\n")
    if left_out:
        sys.stderr.write(f"not read as the images of {saved.name} were, with {'; '.join(left_out)}\n")
    try:
        return open_images(paths, reading, conditions=conditions)
    except ImagesError as error:
        if not told:
            raise
        raise ImagesError(
            f"{error}\n({told}: so were the images read that {saved.name} was fitted to; any option of reading images "
            "takes the place of all of these)"
        ) from error


def add_pde_arguments(parser: argparse.ArgumentParser, *, positional: bool = False) -> None:
    """Which equation, from where, for how long."""
    group = parser.add_argument_group("an equation instead of images" if not positional else "equation")
    add = group.add_argument
    if positional:
        parser.add_argument(
            "pde", metavar="PDE", help="a name (labctl nca pdes), or an equation written as text (FILE.toml)"
        )
    else:
        add("--pde", metavar="PDE", help="a name (labctl nca pdes), or an equation written as text (FILE.toml)")
    add("--set", action="append", metavar="NAME=VALUE", help="a parameter of the equation")
    add("--vary", action="append", metavar="NAME=A,B,C",
        help="a parameter at several values, which the rule is told: one automaton for a family")  # fmt: skip
    add("--initial", default="", metavar="NAME",
        help="where it begins (labctl nca pdes lists them; default: as the equation has it)")  # fmt: skip
    add(
        "--size",
        type=_size,
        default=(64, 64),
        metavar="ROWSxCOLUMNS",
        help="cells; one number for a square (default 64)",
    )
    add("--n-trials", type=positive_integer, default=4, help="initial conditions (default 4)")
    add("--n-frames", type=positive_integer, default=33, help="frames of each, the first included (default 33)")
    add("--pde-steps", type=positive_integer, default=32, help="time steps from frame to frame (default 32)")
    add("--pde-dt", type=_positive, help="time step (default: the equation's own)")
    add("--discard", type=_from_zero, default=0, help="time steps before the first frame (default 0)")
    add(
        "--pde-noise-sd",
        type=_not_negative,
        default=0.0,
        help="noise on every cell, per square root of time (default 0)",
    )


def pde_of(options: argparse.Namespace) -> PdeSource:
    """The simulation that is asked for. Raises UsageError."""
    from labctl.nca_pde import PdeSource

    return PdeSource(
        pde=options.pde, parameters=pairs(options.set, "--set", number), vary=pairs(options.vary, "--vary", numbers),
        initial=options.initial, size=options.size, n_trials=options.n_trials, n_frames=options.n_frames,
        steps_per_frame=options.pde_steps, discard=options.discard, dt=options.pde_dt, noise_sd=options.pde_noise_sd,
        seed=options.seed,
    )  # fmt: skip


def add_force_argument(parser: argparse.ArgumentParser) -> None:
    """Whether results may take the place of others."""
    parser.add_argument("--force", action="store_true", help="replace files of the same names (default: refuse)")


def check_free(options: argparse.Namespace, paths: Iterable[Path]) -> None:
    """Before any work: raise UsageError where a result would take the place of a file, unless that is wanted."""
    for path in paths:
        if path.exists() and not options.force:
            raise UsageError(f"{path} exists already; give another name, move it away, or --force to replace it")


def add_seed_argument(parser: argparse.ArgumentParser) -> None:
    """The seed of everything random."""
    parser.add_argument("--seed", type=seed, default=0, help="seed (default 0)")


def numbers(text: str) -> tuple[float, ...]:
    """A,B,C as finite numbers. Raises ValueError."""
    return tuple(number(part.strip()) for part in text.split(","))


def checked(convert: Callable[[str], Any], allowed: Callable[[Any], bool], words: str) -> Callable[[str], Any]:
    """An argparse type: `convert`, refused with `words` unless `allowed`."""

    def kind(text: str) -> Any:
        try:
            value = convert(text)
        except (ValueError, TypeError, UsageError):
            raise argparse.ArgumentTypeError(f"{text!r}: give {words}") from None
        if not allowed(value):
            raise argparse.ArgumentTypeError(f"{text!r}: give {words}")
        return value

    return kind


def _parts(text: str) -> tuple[int, int]:
    start, colon, stop = text.partition(":")
    if not colon:
        raise ValueError(text)
    return int(start), int(stop)


_positive = checked(number, lambda value: value > 0, "a number above 0")
_not_negative = checked(number, lambda value: value >= 0, "a number of at least 0")
_from_zero = checked(int, lambda value: value >= 0, "a whole number of at least 0")
_words = checked(lambda text: tuple(part.strip() for part in text.split(",")), all, "NAME,NAME")
_plane = checked(lambda text: text if text in ("mean", "max") else int(text), lambda value: isinstance(value, str) or value >= 0,
                 "a plane from 0 on, mean or max")  # fmt: skip
_span = checked(
    lambda text: (int(text.split(":")[0] or 0), int(text.split(":")[1]) if text.split(":")[1] else None) if ":" in text else None,
    lambda value: value is not None and value[0] >= 0, "START:STOP, where either may be left out",
)  # fmt: skip
_crop = checked(
    lambda text: tuple(edge for part in text.split(",") for edge in _parts(part)), lambda value: len(value) == 4,
    "TOP:BOTTOM,LEFT:RIGHT",
)  # fmt: skip
_size = checked(
    lambda text: (int(text), int(text)) if text.isdecimal() else tuple(int(part) for part in text.split("x")),
    lambda value: len(value) == 2 and min(value) >= 3, "ROWSxCOLUMNS or one number, of at least 3",
)  # fmt: skip
