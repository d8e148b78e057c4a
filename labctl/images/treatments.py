"""What is to be done to images on reading, each of it declared, as plain data."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from labctl.errors import UsageError

Alpha = Literal["keep", "drop", "black", "white"]
Missing = Literal["refuse", "interpolate"]
Lengths = Literal["refuse", "shortest"]
Drift = Literal["none", "monitor", "mean"]
Trials = Literal["all", "whole"]
ALPHAS: tuple[Alpha, ...] = ("keep", "drop", "black", "white")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageTreatments:
    """How images are read.

    dataset: which array of a file that holds several. axes: a letter for each of its axes (t y x c n z). z: the plane, where
    there are several, or "mean" or "max" over them. frames: (start, stop) of the frames; every: of them, each n-th.
    crop: (top, bottom, left, right) in pixels. downsample: mean over squares of so many pixels. channels: which, by name or
    number, in this order. grey: one channel of red, green and blue (Rec. 709). alpha: kept as a channel, dropped, or the
    images laid upon black or white. dark: images without light, whose mean is subtracted; flat: images of even light, which
    (less dark) divide, relative to their mean. drift: of the light; "monitor" divides by the lamp monitor of labctl's own
    recordings, "mean" brings every frame's mean to that of its sequence, which takes away what really changes of it too.
    trials: "whole" leaves out sequences with missing frames. missing: frames that are
    missing in the numbering, and values that are not finite; "interpolate" in time. lengths: of several sequences;
    "shortest" cuts all to it.
    dt, time_unit, pixel, pixel_unit: where the file does not say, or says it wrongly. simulated: data of another program's
    simulation, which the file does not say.

    Raises UsageError.
    """

    dataset: str = ""
    axes: str = ""
    z: int | Literal["mean", "max"] | None = None
    frames: tuple[int, int | None] = (0, None)
    every: int = 1
    crop: tuple[int, int, int, int] | None = None
    downsample: int = 1
    channels: tuple[str, ...] = ()
    grey: bool = False
    alpha: Alpha = "keep"
    dark: Path | None = None
    flat: Path | None = None
    drift: Drift = "none"
    missing: Missing = "refuse"
    trials: Trials = "all"
    lengths: Lengths = "refuse"
    dt: float | None = None
    time_unit: str | None = None
    pixel: float | None = None
    pixel_unit: str | None = None
    simulated: bool = False

    def __post_init__(self) -> None:
        for name, allowed in (
            ("alpha", ALPHAS), ("missing", ("refuse", "interpolate")), ("drift", ("none", "monitor", "mean")),
            ("trials", ("all", "whole")), ("lengths", ("refuse", "shortest")),
        ):  # fmt: skip
            if getattr(self, name) not in allowed:
                raise UsageError(f"{name} is one of {', '.join(allowed)}, not {getattr(self, name)!r}")
        for name in ("every", "downsample"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("dt", "pixel"):
            value = getattr(self, name)
            if value is not None and not 0.0 < value < float("inf"):
                raise UsageError(f"{name} must be a positive number, not {value!r}")
        start, stop = self.frames
        if start < 0 or (stop is not None and stop <= start):
            raise UsageError(
                f"frames {start}:{'' if stop is None else stop} are none; give START:STOP with 0 <= START < STOP"
            )
        if self.crop is not None:
            top, bottom, left, right = self.crop
            if not (0 <= top < bottom and 0 <= left < right):
                raise UsageError(
                    f"crop {self.crop} is empty: give TOP:BOTTOM,LEFT:RIGHT in pixels, TOP < BOTTOM, LEFT < RIGHT"
                )

    def as_dict(self) -> dict[str, Any]:
        """What differs from reading images as they are, as plain data."""
        plain = ImageTreatments()
        differing = {name: value for name, value in asdict(self).items() if value != getattr(plain, name)}
        return {
            name: str(value) if isinstance(value, Path) else list(value) if isinstance(value, tuple) else value
            for name, value in differing.items()
        }
