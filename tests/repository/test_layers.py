"""What keeps the house in order, beside import-linter."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_command_line_loads_neither_torch_nor_qt() -> None:
    program = (
        "import sys; from labctl.cli import parser; parser(); "
        "print([name for name in ('torch', 'PySide6', 'pyqtgraph', 'qtpy', 'sim_devices') if name in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_simulated_devices_need_nothing_but_numpy() -> None:
    program = (
        "import sys; import sim_devices.__main__; "
        "print([name for name in ('torch', 'pyvisa', 'serial', 'pydantic', 'h5py', 'labctl', 'drivers', 'twins') "
        "if name in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_nothing_is_pickled() -> None:
    for package in ("labctl", "drivers", "twins", "gui", "sim_devices"):
        for path in (ROOT / package).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            assert "import pickle" not in text, path
            assert "torch.save(" not in text, path
            assert "torch.load(" not in text, path
