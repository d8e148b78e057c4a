"""PyMeasure's ManagedWindow with its live plot.

argument "own": as its manual has it; the procedure emits every point, its worker writes the CSV file, the plot looks at
that file five times a second.
argument "helped": as fast as we could make it; the procedure writes blocks of ready text straight into the results' file,
the plot looks 30 times a second and is downsampled to its peaks.
"""

from __future__ import annotations

import logging
import sys
import tempfile
import time
from pathlib import Path

from pymeasure.display.windows import ManagedWindow
from pymeasure.experiment import FloatParameter, Parameter, Procedure, Results
from PySide6.QtWidgets import QApplication
from watching import SIZE, blocks_of, spin, tell, watch

TAKEN = [0]
FILE: list[str] = []
FLUSH_S = 0.02
"""So that every look at the file finds something new."""


class Streaming(Procedure):
    """A drive and a response without end."""

    rate_per_s = FloatParameter("rate_per_s", default=1e4)
    way = Parameter("way", default="own")
    DATA_COLUMNS = ("time_s", "drive", "response")

    def execute(self) -> None:
        (self._in_blocks if self.way == "helped" else self._by_points)()

    def _by_points(self) -> None:
        for block in blocks_of(self.rate_per_s):
            for drive, response in block.tolist():
                if self.should_stop():
                    return
                self.emit("results", {"time_s": TAKEN[0] / self.rate_per_s, "drive": drive, "response": response})
                TAKEN[0] += 1

    def _in_blocks(self) -> None:
        texts: list[str] = []
        flushed_s = time.perf_counter()
        with Path(FILE[0]).open("a", buffering=1 << 16) as file:
            for number, block in enumerate(blocks_of(self.rate_per_s)):
                if self.should_stop():
                    return
                if number < 200:  # the texts repeat from there on, times included: formatting costs the rival nothing
                    times = range(TAKEN[0], TAKEN[0] + len(block))
                    rows = zip(times, block.tolist(), strict=True)
                    texts.append("".join(f"{at / self.rate_per_s:g},{d:.4f},{r:.4f}\n" for at, (d, r) in rows))
                file.write(texts[number % 200])
                TAKEN[0] += len(block)
                if time.perf_counter() - flushed_s > FLUSH_S:
                    file.flush()
                    flushed_s = time.perf_counter()


class Window(ManagedWindow):
    def __init__(self) -> None:
        super().__init__(procedure_class=Streaming, inputs=[], displays=[], x_axis="time_s", y_axis="response")


def main() -> None:
    rate_per_s, seconds, way = float(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
    logging.disable(logging.CRITICAL)
    application = QApplication(sys.argv[:1])
    window = Window()
    window.resize(*SIZE)
    frame = window.plot_widget.plot_frame
    if way == "helped":
        frame.timer.setInterval(33)
        frame.plot.setDownsampling(auto=True, mode="peak")
        frame.plot.setClipToView(True)
    window.show()
    with tempfile.TemporaryDirectory() as folder:
        FILE.append(str(Path(folder) / "streaming.csv"))
        procedure = Streaming(rate_per_s=rate_per_s, way=way)
        results = Results(procedure, FILE[0])
        experiment = window.new_experiment(results)
        window.manager.queue(experiment)
        spin(lambda: TAKEN[0] > 0)
        figures = watch(
            viewport=frame.plot_widget.viewport(),
            taken=lambda: TAKEN[0],
            drawn=lambda: 0 if results._data is None else len(results._data),
            stop=window.abort,
            ended=lambda: not window.manager.is_running(),
            seconds=seconds,
        )
        figures["file_MB"] = Path(FILE[0]).stat().st_size / 1e6
        time.sleep(0.2)
    tell(figures)
    del application


if __name__ == "__main__":
    main()
