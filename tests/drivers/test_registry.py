"""All drivers by name: one sweep over what every one of them must have."""

import importlib
import inspect
import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

import drivers.registry
from drivers import roles
from drivers.errors import UnknownDriver, UnknownTerminal
from drivers.keithley_2400 import SourceMeter, SourceMeterOptions
from drivers.keysight_33500b import GeneratorOptions, Output
from drivers.keysight_dsox1204g import ScopeOptions, ScopeRecorder
from drivers.keysight_l4532a import DigitiserOptions, Recorder
from drivers.options import Options
from drivers.registry import OUR_OWN, driver_names, find_driver, open_driver
from drivers.scpi import Number, Setting
from drivers.transport import open_line

TABLES = [Output, Recorder, ScopeRecorder, SourceMeter]


@pytest.fixture
def quiet_line(tcp_instrument):
    """An instrument that answers every question with "0" and likes every command."""
    return open_line(tcp_instrument(lambda command: "0" if "?" in command and command != "*IDN?" else None).address)


@pytest.mark.parametrize("name", sorted(OUR_OWN))
def test_every_driver_has_documentation_and_conforms_to_the_protocols(name, quiet_line, monkeypatch):
    if name == "keithley_2400":
        monkeypatch.setattr(SourceMeter, "source", "VOLT")
    module = importlib.import_module(OUR_OWN[name].partition(":")[0])
    assert len(module.__doc__) > 200
    assert "[instruments." in module.__doc__
    assert find_driver(name).__doc__
    driver = open_driver(name, quiet_line, {})
    assert isinstance(driver, roles.Driver)
    assert driver.identity().serial == "SN-1"
    for ask, role in (
        (lambda: driver.set_point("1"), roles.SetPoint),
        (lambda: driver.set_point("output"), roles.SetPoint),
        (lambda: driver.meter("1"), roles.Meter),
        (lambda: driver.meter("current"), roles.Meter),
        (driver.player, roles.Player),
        (driver.digitiser, roles.Digitiser),
    ):
        try:
            assert isinstance(ask(), role)
        except UnknownTerminal as error:
            assert quiet_line.address in str(error)


@pytest.mark.parametrize(
    ("table", "setting"),
    [
        pytest.param(table, entry, id=f"{table.__name__}.{name}")
        for table in TABLES
        for name, entry in vars(table).items()
        if isinstance(entry, Setting)
    ],
)
def test_every_setting_has_a_name_with_its_unit_and_a_documentation(table, setting):
    assert setting.__doc__.endswith(".")
    assert setting.get is None or setting.get.endswith("?") or "? " in setting.get
    if isinstance(setting, Number):
        assert setting.unit
        assert f"({setting.unit})" in setting.__doc__


@pytest.mark.parametrize("table", [GeneratorOptions, DigitiserOptions, ScopeOptions, SourceMeterOptions])
def test_every_option_is_in_the_documentation_of_its_driver(table):
    assert issubclass(table, Options)
    documentation = sys.modules[table.__module__].__doc__
    assert [name for name in table.model_fields if f"{name} =" not in documentation] == []


def test_every_public_thing_of_the_package_is_documented():
    undocumented = []
    names = [name for name in sys.modules if name == "drivers" or name.startswith("drivers.")]
    for module in (sys.modules[name] for name in names):
        for name, found in vars(module).items():
            if name.startswith("_") or getattr(found, "__module__", None) != module.__name__:
                continue
            if inspect.isclass(found) or inspect.isfunction(found):
                undocumented += [] if inspect.getdoc(found) else [f"{module.__name__}.{name}"]
                undocumented += [
                    f"{module.__name__}.{name}.{method}"
                    for method, code in vars(found).items()
                    if inspect.isclass(found)
                    and inspect.isfunction(code)
                    and not method.startswith("_")
                    and not inspect.getdoc(getattr(found, method))
                ]
    assert undocumented == []


def test_an_unknown_driver_names_those_that_there_are(quiet_line):
    with pytest.raises(UnknownDriver, match=r"keithley_2400, keysight_33500b, .*'scpi'"):
        open_driver("keithley_2401", quiet_line, {})


def test_other_packages_add_drivers_by_entry_point(quiet_line, monkeypatch):
    entry = EntryPoint(name="theirs", value="types:SimpleNamespace", group="labctl.drivers")

    def found(*, group, name=None):
        return [entry] if group == "labctl.drivers" and name in (None, "theirs") else []

    monkeypatch.setattr(drivers.registry, "entry_points", found)
    assert "theirs" in driver_names()
    assert find_driver("theirs")(line=quiet_line, options={}).line is quiet_line


def test_pymeasure_is_imported_only_when_one_of_its_drivers_is_asked_for():
    check = (
        "import sys, drivers.registry, drivers.transport, drivers.keithley_2400, drivers.scpi_generic; "
        "print(sorted(name for name in ('pymeasure', 'pyvisa', 'torch', 'pandas') if name in sys.modules))"
    )
    output = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "[]"
