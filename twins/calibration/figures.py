"""What calibrate finds: plain frozen data."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class InputFigures:
    """One held-out input.

    std_ratio: twin's spread over the device's, None where it was not repeated and on data that do not vary.
    mean_error: root mean square difference of twin's and device's mean, over the device's spread about it as the twin
    foresees it; chance alone gives 1 / sqrt(n_trials). energy_relative: as in Calibration, None without repeats.
    """

    input_id: int
    n_trials: int
    coverage_90: float
    std_ratio: float | None
    mean_error: float | None
    energy_relative: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelFigures:
    """One channel of the response, each figure with what chance alone does to it, as in Calibration.

    varies: False where the device's channel is constant; such a channel has no figures and counts for nothing. The
    figures of the noise are None where it varies, but without noise.
    """

    channel: str
    varies: bool = True
    coverage_90: float | None = None
    coverage_90_floor: float | None = None
    std_ratio: float | None = None
    std_ratio_floor: float | None = None
    lag1_difference: float | None = None
    lag1_floor: float | None = None
    mean_bias: float | None = None
    mean_bias_floor: float | None = None
    mean_error: float | None = None
    mean_error_floor: float | None = None


@dataclass(frozen=True, slots=True)
class Calibration:
    """Figures of free-running responses from measured starts, over all inputs. Twin's samples include its noise of
    measurement and drift over trials.

    coverage_90: share of measured values inside the twin's central 90 % interval; _worst_input: of the worst input.
    std_ratio: twin's spread over the device's (root mean variance over repeats; without repeats, over the measured
    deviation from the twin's mean). lag1_autocorrelation: of deviations from the mean at each
    time. energy_distance: of whole responses, in response units a value, unbiased (may be negative); energy_relative:
    over the mean distance; energy_permutation_z: its deviation from what exchanging twin and device at random gives,
    in standard deviations. All three need repeats, else None; so does a figure whose data do not vary.

    Of several channels, coverage, std_ratio and lag 1 are those of the channel that is furthest off, with its floor
    (`channels` has all); constant channels are left out, and each counts for the energy in units of its spread.

    mean_bias: how far the device's mean over time and inputs lies from the twin's, in units of the device's spread;
    its floor is its standard error, the inputs being independent. mean_error: root mean square of the difference at
    each time, less what the finite numbers of repeats and draws give; in the same units, None without repeats.

    Each *_floor is the spread that chance alone gives. With at least 4 repeats it is the root mean square deviation
    of the figure from its ideal where one random half of the repeats stands in for the twin and judges the other;
    with fewer, and for the coverage, half the difference between random halves of the inputs, or of the trials; for
    the energy, what exchanging twin and device gives. For the worst input, _expected and _floor are mean and
    standard deviation where the twin's own draws stand in for the device; so is the floor of mean_error.

    finite_share: of the free runs. largest_excursion: of any free run from the middle of the measured range, over half
    that range: near 1 for a good twin; a run that is not finite counts as 1e6.

    std_ratios: of each channel. autocorrelation_twin, _device: at lags 1 to 5. inputs: each held-out input.
    """

    coverage_90: float
    coverage_90_floor: float | None
    coverage_90_worst_input: float
    std_ratio: float | None
    std_ratio_floor: float | None
    lag1_autocorrelation_twin: float | None
    lag1_autocorrelation_device: float | None
    lag1_autocorrelation_floor: float | None
    energy_distance: float | None
    energy_distance_floor: float | None
    energy_relative: float | None
    energy_relative_floor: float | None
    n_inputs: int
    n_trials: int
    n_draws: int
    energy_permutation_z: float | None = None
    coverage_90_worst_input_expected: float | None = None
    coverage_90_worst_input_floor: float | None = None
    finite_share: float = 1.0
    largest_excursion: float | None = None
    std_ratios: tuple[float | None, ...] = ()
    autocorrelation_twin: tuple[float | None, ...] = ()
    autocorrelation_device: tuple[float | None, ...] = ()
    inputs: tuple[InputFigures, ...] = ()
    mean_bias: float | None = None
    mean_bias_floor: float | None = None
    mean_error: float | None = None
    mean_error_floor: float | None = None
    channels: tuple[ChannelFigures, ...] = ()

    def as_dict(self) -> dict[str, float | int | None]:
        """The single figures by name, for JSON and tables; see `details` for the rest."""
        every = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: value for name, value in every.items() if not isinstance(value, tuple)}

    def details(self) -> dict[str, Any]:
        """Figures by channel, lag and input, as plain data for JSON."""
        return {
            "std_ratios": list(self.std_ratios),
            "autocorrelation_twin": list(self.autocorrelation_twin),
            "autocorrelation_device": list(self.autocorrelation_device),
            "inputs": [asdict(one) for one in self.inputs],
            "channels": [asdict(one) for one in self.channels],
        }
