"""Plots of a `TwinPrediction`: measured and predicted, residuals, coverage, spectra. They draw what they are handed."""

from __future__ import annotations

import math

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QSplitter, QVBoxLayout, QWidget

from gui.plots.band_plot import Band, BandPlot
from gui.theme import Theme
from labctl.twin_prediction import PredictedInput, TwinPrediction

MEASURED, TWIN, OTHER, FOURTH = 0, 1, 2, 3
MEAN = -1
"""In place of the number of a repeat: the mean of all, with the band between their 5 and 95 %."""
WIDE = 1.6449  # 90 % of a standard normal lie within


class View(QWidget):
    """A page of plots."""

    def __init__(self, *plots: BandPlot) -> None:
        super().__init__()
        self.plots = plots

    def use_theme(self, theme: Theme) -> None:
        """Draw in these colours."""
        for plot in self.plots:
            plot.use_theme(theme)

    def clear(self) -> None:
        """Draw nothing."""
        for plot in self.plots:
            plot.clear()


class PredictedView(View):
    """One input: the drive above, measured and predicted below; wheel and drag zoom both in time."""

    def __init__(self, theme: Theme) -> None:
        tip = "Wheel: zoom; drag: move; right drag: stretch an axis; double-click: show all"
        self.drive = BandPlot(theme, name="Drive", tip=f"What was driven. {tip}")
        self.response = BandPlot(
            theme,
            name="Measured and predicted",
            tip=f"What was measured, and the bands that 50 % and 90 % of the twin's free runs lie in. {tip}",
        )
        super().__init__(self.drive, self.response)
        self.drive.plot.setXLink(self.response.plot)
        self.drive.plot.getAxis("bottom").setStyle(showValues=False)  # they stand below, under the response
        splitter = QSplitter(Qt.Orientation.Vertical)
        splitter.addWidget(self.drive)
        splitter.addWidget(self.response)
        splitter.setStretchFactor(0, 1)
        splitter.setStretchFactor(1, 3)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(splitter)

    def show_input(self, prediction: TwinPrediction, one: PredictedInput, channel: int, repeat: int) -> None:
        """Draw this input's channel beside one repeat, or the mean of all."""
        time_s, bands = one.time_s, one.bands[:, :, channel]
        drives = zip(prediction.drive_names, range(one.drive.shape[1]), strict=True)
        self.drive.show_bands([Band(name, time_s, one.drive[:, number], OTHER + number) for name, number in drives])
        self.drive.set_labels(bottom="", left="Drive", left_unit=prediction.drive_units[0])
        drawn = [
            Band("twin: median, 5–95 %", time_s, bands[2], TWIN, bands[0], bands[4], dashed=True),
            Band("25–75 %", time_s, bands[2], TWIN, bands[1], bands[3], dashed=True),
        ]
        measured = one.measured[:, :, channel]
        if repeat == MEAN and len(measured) > 1:
            low, high = np.quantile(measured, (0.05, 0.95), axis=0)
            title = f"measured: mean, 5–95 % of {len(measured)}"
            drawn.insert(0, Band(title, time_s, measured.mean(0), MEASURED, low, high))
        else:
            drawn.insert(0, Band("measured", time_s, measured[max(repeat, 0)], MEASURED))  # the dashed twin lies on it
        self.response.set_labels(
            bottom="Time",
            bottom_unit="s",
            left=prediction.response_names[channel],
            left_unit=prediction.response_units[channel],
        )
        self.response.show_bands(drawn)


class ResidualsView(View):
    """Measured less the twin's mean, in the twin's spreads: along time, as a histogram, and what they remember."""

    def __init__(self, theme: Theme) -> None:
        self.trace = BandPlot(
            theme,
            name="Residuals",
            tip="Measured less the twin's mean, in spreads of the twin; 90 % belong in the band",
        )
        self.histogram = BandPlot(
            theme,
            name="Histogram of residuals",
            tip="All held-out inputs; the twin's own residuals are what it expects",
        )
        self.memory = BandPlot(
            theme,
            name="Autocorrelation of residuals",
            tip="How long deviations last; the twin's own is what it expects",
        )
        super().__init__(self.trace, self.histogram, self.memory)
        self.trace.set_labels(bottom="Time", bottom_unit="s", left="Residual (spreads)")
        self.histogram.set_labels(bottom="Residual (spreads)", left="Density")
        self.memory.set_labels(bottom="Lag", bottom_unit="s", left="Autocorrelation")
        below = QWidget()
        row = QHBoxLayout(below)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.histogram)
        row.addWidget(self.memory)
        splitter = QSplitter(Qt.Orientation.Vertical)
        splitter.addWidget(self.trace)
        splitter.addWidget(below)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(splitter)

    def show_input(self, prediction: TwinPrediction, one: PredictedInput, channel: int, repeat: int) -> None:
        """Draw the residuals of one repeat (the first for the mean), and over all inputs their law and memory."""
        number = max(repeat, 0)
        band = np.full(len(one.time_s), WIDE)
        self.trace.show_bands(
            [
                Band("90 % belong here", one.time_s, 0.0 * band, TWIN, -band, band),
                Band(f"repeat {number + 1}", one.time_s, one.residuals[number, :, channel], MEASURED),
            ]
        )
        centres = 0.5 * (prediction.edges[1:] + prediction.edges[:-1])
        normal = np.exp(-0.5 * centres**2) / math.sqrt(2.0 * math.pi)
        self.histogram.show_bands(
            [
                Band("measured", centres, prediction.density[:, channel], MEASURED),
                Band("twin's own", centres, prediction.own_density[:, channel], TWIN),
                Band("normal", centres, normal, OTHER, dashed=True),
            ]
        )
        lags_s = prediction.lags * prediction.dt_s
        self.memory.show_bands(
            [
                Band("measured", lags_s, prediction.acf[:, channel], MEASURED),
                Band("twin's own", lags_s, prediction.own_acf[:, channel], TWIN),
                Band("none", lags_s, 0.0 * lags_s, OTHER, dashed=True),
            ]
        )


class CoverageView(View):
    """The calibration curve beside the ideal line, and the 90 % coverage of each input."""

    def __init__(self, theme: Theme) -> None:
        self.curve = BandPlot(
            theme,
            name="Calibration curve",
            tip="Share of measured values inside the twin's interval, by the interval's level, with two standard errors; "
            "ideal is the dashed line",
        )
        self.by_input = BandPlot(
            theme, name="Coverage by input", tip="Share of measured values in the 90 % interval, of each held-out input"
        )
        super().__init__(self.curve, self.by_input)
        self.curve.set_labels(bottom="Interval of the twin (%)", left="Measured values inside (%)")
        self.by_input.set_labels(bottom="Held-out input", left="In the 90 % interval (%)")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.curve)
        row.addWidget(self.by_input)

    def show_channel(self, prediction: TwinPrediction, channel: int) -> None:
        """Draw the coverage of one channel."""
        levels, covered = 100 * prediction.levels, 100 * prediction.covered[:, channel]
        error = 200 * np.nan_to_num(prediction.covered_error[:, channel])
        ends = np.array([0.0, 100.0])
        self.curve.show_bands(
            [
                Band("ideal", ends, ends, OTHER, dashed=True),
                Band("twin ± 2 s.e.", levels, covered, MEASURED, covered - error, covered + error),
                Band("", levels, covered, MEASURED, points=True),
            ]
        )
        numbers = np.arange(len(prediction.inputs), dtype=np.float64) + 1
        shares = np.array([100 * one.coverage_90 for one in prediction.inputs])
        ends = np.array([0.5, len(prediction.inputs) + 0.5])
        self.by_input.show_bands(
            [
                Band("ideal", ends, np.full(2, 90.0), OTHER, dashed=True),
                Band("each input", numbers, shares, MEASURED, points=True),
            ]
        )


class SpectraView(View):
    """Power over frequency of what was measured, of the twin's free runs, and of what is left over."""

    def __init__(self, theme: Theme) -> None:
        self.power = BandPlot(
            theme,
            name="Power spectra",
            tip="Residual: measured less the twin's mean; twin's own: free runs less their mean, which it should equal",
        )
        super().__init__(self.power)
        self.power.plot.setLogMode(x=True, y=True)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.power)

    def show_channel(self, prediction: TwinPrediction, channel: int) -> None:
        """Draw the spectra of one channel, from the lowest frequency above zero on."""
        unit = prediction.response_units[channel]
        self.power.set_labels(bottom="Frequency (Hz)", left=f"Power density ({unit}²/Hz)")
        frequency = prediction.frequency_Hz[1:]
        spectra = (
            ("measured", prediction.power_measured, MEASURED, False),
            ("twin", prediction.power_predicted, TWIN, False),
            ("residual", prediction.power_residual, MEASURED, True),
            ("twin's own noise", prediction.power_own, TWIN, True),
        )
        shown = np.concatenate([power[1:, channel] for _, power, _, _ in spectra])
        self.power.plot.getAxis("bottom").setTicks([log_ticks(frequency, (1, 2, 5))])
        self.power.plot.getAxis("left").setTicks([log_ticks(shown, (1,))])
        self.power.show_bands(
            [
                Band(name, frequency, np.maximum(power[1:, channel], 1e-300), colour, dashed=dashed)
                for name, power, colour, dashed in spectra
            ]
        )


def log_ticks(values: np.ndarray, steps: tuple[int, ...]) -> list[tuple[float, str]]:
    """(logarithm to base 10, text) of the numbers 1, 10, 100 ... times each of `steps` that lie among the values."""
    positive = values[values > 0]
    if not len(positive):
        return []
    low, high = float(positive.min()), float(positive.max())
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    numbers = [step * 10.0**decade for decade in decades for step in steps]
    return [(math.log10(one), f"{one:g}") for one in numbers if low <= one * 1.001 and one <= high * 1.001]
