"""Which channel shows what, what drives, and which equation is meant: told, or refused where it is not clear."""

from pathlib import Path

import numpy as np
import pytest
import torch

from labctl.errors import CampaignError, UsageError
from labctl.goku_channels import Wired, Wishes, wire
from labctl.goku_equation import EquationSource, sources_differ
from labctl.goku_series import Channels, Measured, Trace
from twins.errors import EquationInvalid

OWN = """
import torch
from dataclasses import dataclass
from twins.goku.quantity import Quantity
from twins.goku.system import System


@dataclass(frozen=True)
class Swing(System):
    gravity: float = 9.81
    states = (Quantity("angle", "rad", -2.0, 2.0), Quantity("rate", "rad/s", -3.0, 3.0))
    parameters = (Quantity("length", "m", 0.5, 2.0),)

    def drift(self, z, p, u):
        return z.rate, -self.gravity / p.length * torch.sin(z.angle)
"""

TORQUE = {"a": "torque"}


def measured(names: tuple[str, ...] = ("v",), drives: tuple[str, ...] = (), unit: str = "V") -> Measured:
    n = 5
    trace = Trace("a", np.zeros((n, len(names))), np.arange(n) * 0.1, np.zeros((n, len(drives))), {"bias": 0.3}, (0, 0))
    channels = Channels(names, (unit,) * len(names), drives, ("V",) * len(drives))
    return Measured((trace,), channels, ({},), simulated=False)


def test_a_channel_shows_an_output_through_a_known_gain() -> None:
    system = EquationSource.of("pendulum").make()
    wishes = Wishes(observe={"v": "angle"}, gains={"v": 2.0}, offsets={"v": -0.5})
    wired, told = wire(system, measured(), wishes)
    observation = wired.known(system)
    assert observation is not None
    torch.testing.assert_close(observation(torch.tensor([[0.4, 9.0]])), torch.tensor([[0.3]]))
    assert told == []
    assert wired.in_words() == ["v (V) shows 2 · angle - 0.5"]
    assert Wired.from_dict(wired.as_dict()) == wired


def test_other_units_without_a_gain_are_told() -> None:
    _, told = wire(EquationSource.of("pendulum").make(), measured(), Wishes(observe={"v": "angle"}))
    assert "1 V is taken for 1 rad" in told[0]


def test_names_say_what_shows_what_and_drives_map_by_name_by_wish_or_in_order() -> None:
    system = EquationSource.of("driven_pendulum").make()
    wired, _ = wire(system, measured(("angle", "other"), ("torque",), "rad"), Wishes())
    assert wired.channels == ("angle",)
    assert wired.drives == {"torque": "torque"}
    wired, _ = wire(system, measured(("angle",), ("gate",), "rad"), Wishes())
    assert wired.drives == {"torque": "gate"}
    wired, told = wire(system, measured(("angle",), ("gate",), "rad"), Wishes(drive_as={"bias": "torque"}))
    assert wired.drives == {"torque": "bias"}
    assert "gate was driven, but" in told[0]


@pytest.mark.parametrize(
    ("wishes", "told"),
    [
        (Wishes(observe={"w": "angle"}, drive_as=TORQUE), "no channel 'w'"),
        (Wishes(observe={"v": "torque"}, drive_as=TORQUE), "its outputs are angle, rate"),
        (Wishes(observe={"v": "angle"}, gains={"w": 1.0}, drive_as=TORQUE), "observed are v"),
        (Wishes(observe={"v": "angle"}, gains={"v": 0.0}, drive_as=TORQUE), "not zero"),
        (Wishes(observe={"v": "angle"}, drive_as={"v": "force"}), "the drives of driven_pendulum are torque"),
        (Wishes(observe={"v": "angle"}, drive_as={"u": "torque"}), "no drive 'u'; they have a, b, bias"),
        (Wishes(observe={"v": "angle"}), "nothing says what torque was"),
        (Wishes(kind="linear", gains={"v": 1.0}, drive_as=TORQUE), "is learned for all channels"),
    ],
)
def test_what_is_not_clear_is_refused(wishes: Wishes, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        wire(EquationSource.of("driven_pendulum").make(), measured(drives=("a", "b")), wishes)


def test_a_class_of_ones_own_is_an_equation_until_its_file_changes(tmp_path: Path) -> None:
    path = tmp_path / "swing.py"
    path.write_text(OWN, encoding="utf-8")
    source = EquationSource.of(f"{path}:Swing", options={"gravity": 1.62}, ranges={"length": (1.0, 3.0)})
    again = EquationSource.from_dict(source.as_dict())
    assert not sources_differ(source, again)
    system = again.make()
    assert system.options() == {"gravity": 1.62}
    assert system.flat_parameters[0].high == 3.0
    with pytest.raises(CampaignError, match=r"Swing\(mass=1\) fails"):
        EquationSource.of(f"{path}:Swing", options={"mass": 1}).make()
    with pytest.raises(CampaignError, match="it has Swing"):
        EquationSource.of(f"{path}:Swinger").make()
    path.write_text(OWN + "\n", encoding="utf-8")
    with pytest.raises(CampaignError, match="has changed since"):
        again.make()
    path.write_text(OWN.replace("return z.rate,", "return z.speed,"), encoding="utf-8")
    with pytest.raises(EquationInvalid, match="there is no 'speed' here"):
        EquationSource.of(f"{path}:Swing").make()


def test_an_equation_as_text_is_kept_whole_and_needs_its_file_no_more(equation: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.toml"
    copy.write_bytes(equation.read_bytes())
    source = EquationSource.of(str(copy), held={}, ranges={"rate": (0.5, 1.0)})
    copy.unlink()
    assert EquationSource.from_dict(source.as_dict()).make().flat_parameters[0].low == 0.5
    copy.write_text("[states.x]\nrange = [0, 1]\n[drift]\nx = 'open(1)'\n", encoding="utf-8")
    with pytest.raises(EquationInvalid, match=r"copy\.toml"):
        EquationSource.of(str(copy)).make()
    with pytest.raises(CampaignError, match="does not say which equation"):
        EquationSource.from_dict({"named": "pendulum"})
