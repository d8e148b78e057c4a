"""What is done to one sequence (trial, time, y, x, channel) on reading: light, gaps, channels, size."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.image_light import Reference, binned, check_dark, check_fits, flat_gain, mean_gain, monitor_gain
from labctl.images.errors import ImagesError
from labctl.images.treatments import ImageTreatments

_LUMINANCE = (0.2126, 0.7152, 0.0722)  # red, green, blue: ITU-R BT.709
_COLOURS = ("red", "green", "blue")
_LISTED = 8

Values = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Sequence:
    """values: (trial, time, y, x, channel). full_scale: of alpha, the value that is opaque. told, done: what was done, in
    words and as plain data."""

    what: str
    values: Values
    names: tuple[str, ...]
    units: tuple[str, ...]
    full_scale: float
    told: tuple[str, ...] = ()
    done: tuple[dict[str, Any], ...] = ()

    def after(self, values: Values, record: dict[str, Any], words: str, **changes: Any) -> Sequence:
        """The sequence after a treatment."""
        told = (*self.told, f"{self.what}: {words}")
        return replace(self, values=values, told=told, done=(*self.done, record), **changes)


def lit(one: Sequence, dark: Reference | None, flat: Reference | None) -> Sequence:
    """Less the dark image, over the flat one relative to its mean. Raises ImagesError."""
    shape = one.values.shape[2:]
    if dark is not None:
        check_dark(dark, error=ImagesError)
        check_fits(dark, shape, one.what, error=ImagesError)
        record = {"treatment": "dark image subtracted", "file": dark.name}
        one = one.after((one.values - dark.mean).astype(np.float32), record, f"less the mean of {dark.name}")
    if flat is not None:
        check_fits(flat, shape, one.what, error=ImagesError)
        gain = flat_gain(flat, dark, error=ImagesError)
        record = {"treatment": "divided by the flat image", "file": flat.name}
        one = one.after((one.values / gain).astype(np.float32), record, f"divided by the light of {flat.name}")
    return one


def steady(one: Sequence, light: NDArray[Any] | None, treatments: ImageTreatments) -> Sequence:
    """Without the light's drift. light: (trial, time). Raises ImagesError."""
    if treatments.drift == "none":
        return one
    there = np.asarray(np.isfinite(one.values).all(axis=(2, 3, 4)))
    if treatments.drift == "monitor":
        gain = monitor_gain(light, there, one.what, error=ImagesError)
        words = "divided by the lamp monitor"
    else:
        gain = mean_gain(one.values, there, one.what, error=ImagesError)
        words = "every frame's mean brought to that of its sequence"
    return one.after((one.values / gain).astype(np.float32), {"treatment": words}, words)


def whole(one: Sequence, treatments: ImageTreatments) -> tuple[Sequence, list[int]]:
    """Without trials that lack frames, where that is asked for; and which trials are left. Raises ImagesError."""
    n_trials = len(one.values)
    absent = np.asarray(np.isnan(one.values).all(axis=(2, 3, 4)))
    lacking = absent.any(axis=1)
    if treatments.trials == "all" or not lacking.any():
        return one, list(range(n_trials))
    kept = np.flatnonzero(~lacking).tolist()
    if not kept:
        raise ImagesError(f"{one.what}: frames are missing in every sequence; --missing interpolate fills them in time")
    left = np.flatnonzero(lacking).tolist()
    record = {"treatment": "sequences with missing frames left out", "trials": left}
    return one.after(
        one.values[kept], record, f"sequences {', '.join(map(str, left))} lack frames and are left out"
    ), kept


def numbered(one: Sequence, numbers: tuple[float, ...], treatments: ImageTreatments) -> Sequence:
    """Frames where the numbering has gaps: NaN, to be filled. Raises ImagesError unless that is asked for."""
    if len(numbers) < 2:
        return one
    steps = np.diff(numbers)
    step = float(np.median(steps))
    if not (steps > 0).all():
        place = int(np.flatnonzero(steps <= 0)[0])
        raise ImagesError(
            f"{one.what}: frames do not follow in time: {numbers[place]:g} comes before {numbers[place + 1]:g}"
        )
    places = np.rint((np.array(numbers) - numbers[0]) / step).astype(np.int64)
    uneven = np.abs((np.array(numbers) - numbers[0]) / step - places).max()
    if uneven > 0.05 or len(set(places.tolist())) != len(places):
        raise ImagesError(
            f"{one.what}: frames are not evenly spaced: steps of {steps.min():g} to {steps.max():g}, most {step:g}; an automaton "
            "takes equal steps: resample them, or take a part (--frames)"
        )
    missing = sorted(set(range(int(places[-1]) + 1)) - set(places.tolist()))
    if not missing:
        return one
    shown = ", ".join(f"{numbers[0] + step * place:g}" for place in missing[:_LISTED])
    if treatments.missing == "refuse":
        raise ImagesError(
            f"{one.what}: {len(missing)} frames are missing in the numbering ({shown}{' …' if len(missing) > _LISTED else ''}); "
            "--missing interpolate fills them in time, --frames START:STOP takes a part without gaps"
        )
    filled = np.full((one.values.shape[0], int(places[-1]) + 1, *one.values.shape[2:]), np.nan, dtype=np.float32)
    filled[:, places] = one.values
    return replace(
        one, values=filled, told=(*one.told, f"{one.what}: {len(missing)} frames missing in the numbering ({shown})")
    )


def filled(one: Sequence, treatments: ImageTreatments) -> Sequence:
    """Without values that are not finite. Raises ImagesError unless filling is asked for, and possible."""
    bad = ~np.isfinite(one.values)
    if not bad.any():
        return one
    frames = sorted({int(frame) for frame in np.flatnonzero(bad.any(axis=(0, 2, 3, 4)))})
    shown = f"{', '.join(map(str, frames[:_LISTED]))}{' …' if len(frames) > _LISTED else ''}"
    if treatments.missing == "refuse":
        raise ImagesError(
            f"{one.what}: {int(bad.sum())} values are missing or not finite, in frames {shown}; --missing interpolate fills them "
            "in time; --trials whole, --frames and --crop leave them away"
        )
    values = one.values.copy()
    columns = values.transpose(0, 2, 3, 4, 1).reshape(-1, values.shape[1])
    holes = ~np.isfinite(columns)
    time = np.arange(values.shape[1])
    for row in np.flatnonzero(holes.any(axis=1)):
        hole = holes[row]
        if hole[0] or hole[-1]:
            raise ImagesError(
                f"{one.what}: values are missing in the {'first' if hole[0] else 'last'} frame, where there is nothing to "
                "interpolate between; leave such frames away with --frames START:STOP"
            )
        columns[row, hole] = np.interp(time[hole], time[~hole], columns[row, ~hole])
    whole = columns.reshape(*(values.shape[place] for place in (0, 2, 3, 4, 1))).transpose(0, 4, 1, 2, 3)
    record = {"treatment": "missing values interpolated in time", "values": int(bad.sum()), "frames": frames}
    return one.after(np.ascontiguousarray(whole), record, f"{int(bad.sum())} missing values filled in frames {shown}")


def without_alpha(one: Sequence, treatments: ImageTreatments) -> Sequence:
    """Alpha kept, dropped, or the images laid upon black or white."""
    if "alpha" not in one.names:
        return one
    place = one.names.index("alpha")
    alpha = one.values[..., place : place + 1] / one.full_scale
    if treatments.alpha == "keep":
        constant = bool((alpha == alpha.flat[0]).all())
        told = f"{one.what}: alpha is {alpha.flat[0]:g} everywhere; --alpha drop leaves it away"
        return replace(one, told=(*one.told, told)) if constant else one
    rest = [number for number in range(len(one.names)) if number != place]
    values = one.values[..., rest]
    if treatments.alpha != "drop":
        ground = one.full_scale if treatments.alpha == "white" else 0.0
        values = alpha * values + (1.0 - alpha) * np.float32(ground)
    words = "alpha dropped" if treatments.alpha == "drop" else f"laid upon {treatments.alpha} by alpha"
    return one.after(
        values,
        {"treatment": words},
        words,
        names=tuple(one.names[n] for n in rest),
        units=tuple(one.units[n] for n in rest),
    )


def greyed(one: Sequence, treatments: ImageTreatments) -> Sequence:
    """One channel of three colours; alpha stays. Raises ImagesError where there are no three colours."""
    if not treatments.grey or one.names == ("grey",):
        return one
    if not set(_COLOURS) <= set(one.names):
        raise ImagesError(f"{one.what}: grey is made of red, green and blue; the channels are {', '.join(one.names)}")
    places = [one.names.index(name) for name in _COLOURS]
    grey = (one.values[..., places] @ np.array(_LUMINANCE, dtype=np.float32))[..., None]
    rest = [number for number in range(len(one.names)) if number not in places]
    record = {"treatment": "grey of red, green and blue", "weights": list(_LUMINANCE)}
    return one.after(
        np.concatenate((grey, one.values[..., rest]), axis=-1), record, "grey of red, green and blue (Rec. 709)",
        names=("grey", *(one.names[n] for n in rest)), units=(one.units[places[0]], *(one.units[n] for n in rest)),
    )  # fmt: skip


def chosen(one: Sequence, treatments: ImageTreatments) -> Sequence:
    """Some of the channels, by name or number. Raises ImagesError."""
    if not treatments.channels:
        return one
    places = []
    for asked in treatments.channels:
        if asked not in one.names and not (asked.isdecimal() and int(asked) < len(one.names)):
            raise ImagesError(
                f"{one.what} has no channel {asked!r}; it has {', '.join(one.names)} (or 0 to {len(one.names) - 1})"
            )
        places.append(one.names.index(asked) if asked in one.names else int(asked))
    names, units = (tuple(given[place] for place in places) for given in (one.names, one.units))
    if len(set(places)) != len(places):
        raise ImagesError(f"{one.what}: a channel is asked for twice: {', '.join(treatments.channels)}")
    record = {"treatment": "channels chosen", "channels": list(names)}
    return one.after(one.values[..., places], record, f"channels {', '.join(names)}", names=names, units=units)


def smaller(values: Values, factor: int, what: str) -> Values:
    """(…, y, x, channel) with means over squares of factor × factor pixels. Raises ImagesError."""
    if factor == 1:
        return values
    rows, columns = (size // factor * factor for size in values.shape[-3:-1])
    try:
        return binned(values, factor, what, error=ImagesError).astype(np.float32)
    except ImagesError as error:
        raise ImagesError(f"{error}; crop first, as in --crop 0:{rows},0:{columns}") from None
