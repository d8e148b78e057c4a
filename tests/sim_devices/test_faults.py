"""Faults on purpose, from the bench file and at run time."""

import socket
import time

import pytest


def with_faults(start, **faults):
    return start(instruments__awg__faults=faults)


def silent(client, *, for_s=0.3):
    """Whether nothing at all comes for a while."""
    client.socket.settimeout(for_s)
    try:
        client.socket.recv(1)
        return False
    except TimeoutError:
        return True
    finally:
        client.socket.settimeout(10)


def test_a_late_reply_comes_before_the_next_one(start):
    awg = with_faults(start, late_reply_after=2, late_by_s=0.5).awg
    awg.write("VOLT 1")
    assert awg.query("FUNC?") == "SIN"
    awg.write("VOLT?")
    assert silent(awg)
    awg.write("FUNC?")
    assert float(awg.read()) == 1.0
    assert awg.read() == "SIN"


def test_a_line_that_hangs_obeys_but_does_not_answer(start):
    rig = with_faults(start, runtime=True, hang_after=2)
    assert rig.awg.query("FUNC?") == "SIN"
    rig.awg.write("FUNC DC", "FUNC?")
    assert silent(rig.awg)
    rig.awg.write("SIM:FAUL:CLE")
    assert rig.awg.query("FUNC?") == "DC"


def test_half_a_reply_has_no_terminator(start):
    awg = with_faults(start, half_reply_after=1).awg
    awg.write("*IDN?")
    expected = b"Keysight Technologies,33522B,SIM-33522B-001,5.03-3.15-2.00-58-00"
    got = b""
    while len(got) < len(expected) // 2:
        got += awg.socket.recv(100)
    assert got == expected[: len(expected) // 2]
    assert silent(awg)


def test_a_wrong_answer_and_a_foreign_identity(start):
    awg = with_faults(start, wrong_answer_after=2, wrong_answer="nonsense", identity="ACME,X,1,0").awg
    assert awg.query("*IDN?") == "ACME,X,1,0"
    assert awg.query("FUNC?") == "nonsense"
    assert awg.query("FUNC?") == "SIN"


def test_a_connection_is_closed_in_the_middle_and_taken_again(start):
    rig = with_faults(start, close_after=2)
    rig.awg.query("*IDN?")
    rig.awg.write("*IDN?")
    with pytest.raises((ConnectionResetError, AssertionError)):
        rig.awg.read()
    assert rig.connect("awg").query("FUNC?") == "SIN"


def test_an_unplugged_instrument_refuses_until_it_is_plugged_in_again(start):
    rig = with_faults(start, runtime=True)
    other = rig.connect("awg")
    rig.awg.write("SIM:FAUL unplugged_s,1.5", "SIM:FAUL close_after,1", "*IDN?")
    with pytest.raises((ConnectionResetError, AssertionError)):
        rig.awg.read()
    with pytest.raises((ConnectionError, AssertionError)):  # everybody's connection is gone
        other.query("*IDN?")
    address = ("127.0.0.1", int(rig.addresses["awg"].split("::")[2]))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, timeout=5)
    again = wait_for_connection(rig)
    assert again.query("FUNC?") == "SIN"


def wait_for_connection(rig):
    deadline = time.monotonic() + 10
    while True:
        try:
            return rig.connect("awg")
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def test_every_reply_can_be_delayed(start):
    rig = with_faults(start, reply_delay_s=0.4)
    rig.awg.write("FUNC?")
    assert silent(rig.awg, for_s=0.1)
    assert rig.awg.read() == "SIN"


def test_faults_are_switched_at_run_time_only_where_the_bench_file_says_so(start):
    rig = start(instruments__awg__faults={})
    rig.awg.write("SIM:FAUL hang_after,1")
    assert rig.awg.errors() == ['-113,"Undefined header; SIM:FAUL"']


def test_an_unknown_fault_is_reported(start):
    rig = start()
    rig.awg.write("SIM:FAUL nonsense,1", "SIMulation:NOTHING")
    errors = rig.awg.errors()
    assert [error.split(",")[0] for error in errors] == ["-224", "-224"]
    assert "late_reply_after" in errors[0]
    rig.awg.query("FUNC?")
    assert int(rig.awg.query("SIM:FAUL:COUN?")) > 0


def test_unplugging_a_serial_line_is_seen_and_its_link_leads_to_the_new_one(start, tmp_path):
    link = tmp_path / "smu"
    rig = start(instruments__smu__link=str(link), instruments__smu__faults={"close_after": 2})
    assert rig.addresses["smu"] == f"ASRL{link}::INSTR"
    assert rig.smu.query("*IDN?").startswith("KEITHLEY")
    with pytest.raises((OSError, AssertionError)):
        rig.smu.query("*IDN?")
    deadline = time.monotonic() + 10
    while not link.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert rig.connect("smu").query("*IDN?").startswith("KEITHLEY")
    rig.close()
    rig.close = lambda: None
    assert not link.is_symlink()
