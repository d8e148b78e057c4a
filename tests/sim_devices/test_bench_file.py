"""Bench files: every mistake has a message that names table, key and what is allowed."""

import re
from pathlib import Path

import pytest

from sim_devices.bench_file import BenchFileError, load_bench, parse_bench

DEMO = Path(__file__).parents[2] / "sim_devices" / "benches" / "demo.toml"


def test_the_demonstration_bench_is_what_its_users_expect():
    spec = load_bench(DEMO)
    assert list(spec.devices) == ["leaky", "duffing"]
    assert {name: entry.transport for name, entry in spec.instruments.items()} == {
        "awg": "tcp",
        "digitiser": "tcp",
        "smu": "pty",
    }
    assert spec.instruments["awg"].outputs == {"1": "leaky.drive", "2": "duffing.drive"}
    assert spec.instruments["digitiser"].trigger == "awg"
    assert all(entry.serial.startswith("SIM-") for entry in spec.instruments.values())


MISTAKES = [
    ({"seeed": 1}, "the bench has the unknown key 'seeed'"),
    ({"seed": "seven"}, "the bench seed must be int, not 'seven'"),
    ({"devices": {}}, "at least one [devices.NAME]"),
    ({"devices__leaky__kind": "memristor"}, "has the unknown kind 'memristor'; there are leaky_integrator, duffing"),
    ({"devices__leaky__tua_s": 1.0}, "[devices.leaky] has the unknown key 'tua_s'; known are initial, noise_scale, tau_s"),
    ({"devices__leaky__tau_s": "1 ms"}, "[devices.leaky] tau_s must be float, not '1 ms'"),
    ({"devices__leaky__tau_s": -1}, "[devices.leaky]: tau_s must be positive"),
    ({"devices__leaky__tau_s": True}, "tau_s must be float, not True"),
    ({"instruments__awg__model": "tektronix"}, "[instruments.awg] needs model = one of keysight_33522b"),
    ({"instruments__awg__transport": "gpib"}, "[instruments.awg] transport is 'gpib'; there are tcp, pty"),
    ({"instruments__awg__serial": "MY123"}, "must begin with SIM-"),
    ({"instruments__awg__port": 70000}, "port is 70000"),
    ({"instruments__awg__latency_s": -1.0}, "latency_s is -1.0; it cannot be negative"),
    ({"instruments__awg__noise_V": 1.0}, "[instruments.awg] is a keysight_33522b and has no 'noise_V'; it has outputs"),
    ({"instruments__awg__outputs": {"1": "toaster.drive"}}, "wired to 'toaster.drive'; the devices are leaky, duffing"),
    ({"instruments__awg__outputs": {"1": "leaky.bias"}}, "wired to 'leaky.bias'; leaky has the ports drive"),
    ({"instruments__awg__outputs": {"3": "leaky.drive"}}, "no channel '3'"),
    ({"instruments__awg__outputs": {"1": 5}}, "must be a table of strings"),
    ({"instruments__smu__output": "duffing.drive"}, "drives duffing.drive, which [instruments.awg] drives already"),
    ({"instruments__digitiser__inputs": {"1": "leaky.drive"}}, "leaky has the observables response"),
    ({"instruments__digitiser__trigger": "smu"}, "trigger is 'smu', which is no generator on this bench"),
    ({"instruments__awg__faults": {"explode": 1}}, "[instruments.awg.faults] has the unknown key 'explode'"),
    ({"instruments__smu__load_ohm": 0.0}, "load_ohm is 0.0"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "message"), MISTAKES)
def test_a_mistake_is_named(changes, message, tables):
    with pytest.raises(BenchFileError, match=re.escape(message)):
        parse_bench(tables(**changes))


def test_the_file_is_named_in_the_message(tmp_path):
    path = tmp_path / "bench.toml"
    for content, message in (
        (None, "No such file"),
        ("name = ", "not valid TOML"),
        ("name = 'x'", "at least one [devices.NAME]"),
    ):
        if content is not None:
            path.write_text(content)
        with pytest.raises(BenchFileError, match=re.escape(message)) as caught:
            load_bench(path)
        assert str(path) in str(caught.value)


def test_two_digitisers_cannot_share_a_trigger_line(tables):
    changed = tables()
    changed["instruments"]["second"] = {"model": "keysight_l4532a", "trigger": "awg"}
    with pytest.raises(BenchFileError, match=r"to which \[instruments.digitiser\] listens already"):
        parse_bench(changed)
