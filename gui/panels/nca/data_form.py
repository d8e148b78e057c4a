"""What an automaton is to learn from: an equation, a sequence of images, or a device under a camera."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import (
    QComboBox,
    QFormLayout,
    QLabel,
    QLineEdit,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from gui.desk import Desk
from gui.panels.widgets import button, named, words
from gui.widgets.file_dialogs import ask_for_folder
from gui.widgets.number_field import NumberField
from gui.widgets.path_choice import PathChoice
from gui.widgets.settings_form import SettingsForm
from labctl.calls import BENCH, FOLDER, Call, call, perform
from labctl.errors import UsageError
from labctl.images.treatments import ImageTreatments
from labctl.nca_equations import EQUATIONS, Equation, equation_named

EQUATION, IMAGES, CAMERA = range(3)
KINDS = "Image sequences (*.npz *.npy *.tif *.tiff *.h5 *.hdf5 *.nc *.zarr *.png);;All files (*)"
_READING = ("downsample", "every", "grey", "axes", "dataset", "dt", "time_unit", "missing", "lengths")
_LABELS = {
    "downsample": "Shrink by", "every": "Every n-th frame", "grey": "Grey", "axes": "Axes", "dataset": "Data set",
    "dt": "Time a frame", "time_unit": "Unit of time", "missing": "What is missing", "lengths": "Different lengths",
}  # fmt: skip
_TOLD = {
    "downsample": "Means over squares of so many pixels",
    "every": "Use only every so many frames",
    "grey": "One channel of red, green and blue",
    "axes": "Where the file does not say: a letter for each axis, as in tyxc (t time, c channels, n trials, z)",
    "dataset": "Which array of a file that holds several",
    "dt": "From frame to frame, where the file does not say; empty: as the file has it",
    "time_unit": "Of that time",
    "missing": "Missing frames and values that are not finite: refuse, or interpolate in time",
    "lengths": "Sequences of different lengths: refuse, or cut all to the shortest",
}


class DataForm(QWidget):
    """`changed`: another source. `opened(path)`: images to look at."""

    changed = Signal()
    opened = Signal(object)

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self.kind = QComboBox()
        self.kind.addItems(["An equation (simulated)", "Image sequences", "A device under a camera"])
        named(self.kind, "Source", "What the automaton is to learn from, and begins at")
        self.pages = QStackedWidget()
        for page in (self._equation_page(), self._images_page(), self._camera_page()):
            self.pages.addWidget(page)
        self.kind.currentIndexChanged.connect(self._choose)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.kind)
        column.addWidget(self.pages, 1)
        desk.controller.state_changed.connect(lambda _: self._show_devices())
        self._show_devices()

    @property
    def equation(self) -> Equation | None:
        """The equation that is chosen, where it is one of the list."""
        chosen = self.kind.currentIndex() == EQUATION
        return equation_named(str(self.pde.currentData())) if chosen else None

    def data(self) -> Call:
        """What there is to learn from; raises UsageError, which says which field is wrong."""
        if self.kind.currentIndex() == EQUATION:
            made = call("labctl.nca_data:NcaData", pde=self._pde())
        else:
            if self.path.path is None:
                what = (
                    "film the device first (Film)" if self.kind.currentIndex() == CAMERA else "choose a file or folder"
                )
                raise UsageError(f"there are no images yet: {what}")
            options = {"treatments": self.treatments.call("labctl.images:ImageTreatments")} if self._treated() else {}
            made = call("labctl.nca_data:NcaData", images=[self.path.path], **options)
        perform(made)  # its own checks
        return made

    def film(self) -> Call:
        """Filming the chosen device; raises UsageError."""
        if self.device.currentIndex() < 0:
            raise UsageError(
                "no device of the open station is seen by a camera; open such a station in the Station panel"
            )
        numbers = {"n_trials": self.film_trials, "n_frames": self.film_frames}
        values = {name: int(_value(field)) for name, field in numbers.items()}
        design = call(
            "labctl.campaigns.characterise_nca:FilmDesign",
            **values,
            n_validation=0,
            conditions=_conditions(self.conditions.text()),
        )
        perform(design)
        return call(
            "labctl.campaigns.film_nca:film_nca", BENCH, self.device.currentText(), folder=FOLDER, seed=0, design=design
        )

    def simulation(self) -> Call:
        """Writing the equation's sequences as a film."""
        return call("labctl.campaigns.nca_files:simulate_film", self.data(), folder=FOLDER)

    def take(self, path: Path) -> None:
        """Use these images from now on."""
        self.kind.setCurrentIndex(IMAGES)
        self.path.set_path(path)

    def _pde(self) -> Call:
        name = str(self.pde.currentData())
        if not name:
            if self.written.path is None:
                raise UsageError("choose the file of the equation (.toml), or one of the list")
            name = str(self.written.path)
        size = int(_value(self.cells))
        return call(
            "labctl.nca_pde:PdeSource", pde=name, size=(size, size), n_trials=int(_value(self.n_trials)),
            n_frames=int(_value(self.n_frames)), steps_per_frame=int(_value(self.pde_steps)), seed=int(_value(self.seed)),
        )  # fmt: skip

    def _treated(self) -> bool:
        return bool(self.treatments.values())

    def _equation_page(self) -> QWidget:
        self.pde = QComboBox()
        for one in EQUATIONS:
            self.pde.addItem(one.title, one.name)
        self.pde.addItem("Written in a file (.toml)", "")
        named(self.pde, "Equation", "Which equation is simulated")
        self.written = PathChoice("File of the equation", "An equation as text (TOML)", kinds="Equations (*.toml)")
        self.cells = NumberField("Size", "Rows and columns of the field", unit="cells", low=3, high=1024, whole=True)
        self.n_trials = NumberField(
            "Sequences", "Initial conditions to learn from", low=1, high=256, value=4, whole=True
        )
        self.n_frames = NumberField("Frames", "Of every sequence, the first included", low=2, high=10_000, whole=True)
        self.pde_steps = NumberField(
            "Time steps a frame", "Of the equation, from frame to frame", low=1, high=100_000, whole=True
        )
        self.seed = NumberField("Seed", "Of the initial conditions", low=0, high=2**31 - 1, value=0, whole=True)
        page = QWidget()
        form = QFormLayout(page)
        form.setContentsMargins(0, 4, 0, 0)
        form.addRow("Equation", self.pde)
        form.addRow("File", self.written)
        form.addRow("Size", self.cells)
        form.addRow("Sequences", self.n_trials)
        form.addRow("Frames", self.n_frames)
        form.addRow("Time steps", self.pde_steps)
        form.addRow("Seed", self.seed)
        self._form = form
        self.pde.currentIndexChanged.connect(self._take_equation)
        for field in (self.cells, self.n_trials, self.n_frames, self.pde_steps, self.seed, self.written):
            field.changed.connect(self.changed)
        self._take_equation()
        return page

    def _images_page(self) -> QWidget:
        self.path = PathChoice(
            "Images", "A film: TIFF, NPZ, HDF5, Zarr, a labctl recording; or one picture", kinds=KINDS
        )
        self.path.changed.connect(self._opened)
        folder = button("Folder …", "Choose a folder of pictures, or a Zarr folder", self._browse_folder)
        self.treatments = SettingsForm(
            ImageTreatments, only=_READING, labels=_LABELS, told=_TOLD,
            choices={"missing": ("refuse", "interpolate"), "lengths": ("refuse", "shortest")},
            limits={"downsample": (1, 64), "every": (1, 100_000), "dt": (1e-30, 1e30)},
        )  # fmt: skip
        self.treatments.changed.connect(self.changed)
        page = QWidget()
        column = QVBoxLayout(page)
        column.setContentsMargins(0, 4, 0, 0)
        column.addWidget(self.path)
        column.addWidget(folder)
        column.addWidget(QLabel("How they are read for the training"))
        column.addWidget(self.treatments)
        column.addStretch(1)
        return page

    def _camera_page(self) -> QWidget:
        self.device = QComboBox()
        named(self.device, "Device", "A device of the open station that a camera sees")
        self.film_trials = NumberField("Trials", "Sequences to learn from", low=1, high=1000, value=4, whole=True)
        self.film_frames = NumberField("Frames a trial", "Of every sequence", low=2, high=10_000, value=33, whole=True)
        self.conditions = QLineEdit()
        self.conditions.setPlaceholderText("feed=0.0367, kill=0.0649")
        named(
            self.conditions, "Conditions", "Set-points held in each trial: name=value; several values with | go round"
        )
        told = words("hint")
        told.setText("Filming ends with all outputs safe. Some of the trials are held out of the training, and judge.")
        page = QWidget()
        form = QFormLayout(page)
        form.setContentsMargins(0, 4, 0, 0)
        form.addRow("Device", self.device)
        form.addRow("Trials", self.film_trials)
        form.addRow("Frames", self.film_frames)
        form.addRow("Conditions", self.conditions)
        form.addRow(told)
        return page

    def _choose(self, number: int) -> None:
        self.pages.setCurrentIndex(number)
        self.changed.emit()

    def _take_equation(self) -> None:
        chosen = equation_named(str(self.pde.currentData()))
        self._form.setRowVisible(self.written, chosen is None)
        usual = chosen or EQUATIONS[0]
        for field, value in (
            (self.cells, usual.size),
            (self.n_frames, usual.n_frames),
            (self.pde_steps, usual.pde_steps),
        ):
            field.set_value(value)
        self.changed.emit()

    def _show_devices(self) -> None:
        bench = self._desk.controller.bench
        station = None if bench is None else bench.station
        seen = [
            name for name, device in (station.devices.items() if station else ())
            if any(station is not None and station.channels[one].kind == "image" for one in device.response)
        ]  # fmt: skip
        if [self.device.itemText(place) for place in range(self.device.count())] != seen:
            self.device.clear()
            self.device.addItems(seen)
        self.device.setEnabled(bool(seen))
        why = "Open a station with a camera in the Station panel first" if not seen else ""
        self.device.setToolTip(why or "A device of the open station that a camera sees")
        self.changed.emit()

    def _browse_folder(self) -> None:
        ask_for_folder(self, "Folder of pictures", self._desk.runs_folder, self.path.set_path)

    def _opened(self) -> None:
        self.changed.emit()
        if self.path.path is not None and self.path.path.exists():
            self.opened.emit(self.path.path)


def _value(field: NumberField) -> float:
    if field.trouble or field.value is None:
        raise UsageError(f"{field.edit.accessibleName()}: {field.trouble or 'a number is missing'}")
    return field.value


def _conditions(text: str) -> dict[str, tuple[float, ...]]:
    found: dict[str, tuple[float, ...]] = {}
    for part in filter(None, (one.strip() for one in text.split(","))):
        name, sign, values = part.partition("=")
        try:
            found[name.strip()] = tuple(float(one) for one in values.split("|"))
        except ValueError:
            sign = ""
        if not sign or not name.strip():
            raise UsageError(f"Conditions: {part!r} is not name=value, or name=value|value")
    return found
