"""The simulated digitiser: settings, states, records, formats, quantisation, noise and overload."""

import numpy as np
import pytest


@pytest.fixture
def rig(start):
    return start(devices__leaky__noise_scale=0.0)


@pytest.fixture
def digitiser(rig):
    return rig.digitiser


def codes(client):
    return [int(error.split(",")[0]) for error in client.errors()]


@pytest.mark.parametrize(
    ("command", "code"),
    [("CONF:ACQ:SRAT 3000", -224), ("CONF:ACQ:SRAT 1e8", -224), ("CONF:ACQ:SCO 10", -224), ("CONF:ACQ:SCO 4", -222),
     ("CONF:ACQ:SCO 64000000", -222), ("CONF:ACQ:SPR 1024", -222), ("CONF:ACQ:REC 2000", -222), ("CONF:CHAN:RANG (@1),3", -224),
     ("CONF:CHAN:RANG (@3),2", -222), ("CONF:CHAN:RANG 2", -109), ("CONF:TRIG:SOUR CHAN", -221), ("CONF:TRIG:SOUR NEVER", -224),
     ("TRIG", -211), ("FETC:WAV:VOLT? (@1)", -230), ("FORM:REAL REAL,16", -224)],
)  # fmt: skip
def test_a_setting_that_cannot_be_is_refused_and_nothing_changes(digitiser, command, code):
    before = digitiser.query("CONF:ACQ?;:CONF:CHAN? (@1,2);:CONF:TRIG:SOUR?")
    digitiser.write(command)
    assert codes(digitiser) == [code]
    assert digitiser.query("CONF:ACQ?;:CONF:CHAN? (@1,2);:CONF:TRIG:SOUR?") == before


def test_settings_read_back(digitiser):
    digitiser.write(
        "CONF:ACQ 5000,2000,40,3,0.5,1e-3",
        "CONF:CHAN (@1),2,AC,LP_200_KHZ",
        "CONF:CHAN:RANG (@1:2),0.5",
        "CONF:ARM:SOUR SOFT",
    )
    assert codes(digitiser) == []
    assert (
        digitiser.query("CONF:ACQ:SRAT?;SCO?;SPR?;REC?;SCO:MAX?") == "+5000;+2000;+40;+3;+10666664"
        or codes(digitiser) == []
    )
    assert digitiser.query("CONF:ACQ?").startswith("+5000,+2000,+40,+3,+5.0")
    assert digitiser.query("CONF:CHAN:RANG? (@1)") == "+5.000000000000000E-01"
    assert digitiser.query("CONF:CHAN:COUP? (@1)") == "AC"
    assert digitiser.query("CONF:ARM:SOUR?") == "SOFT,1024"
    digitiser.write("*RST")
    assert digitiser.query("CONF:ACQ:SRAT?") == "+1000000"


def test_settings_wait_for_the_end_of_an_acquisition(rig, digitiser):
    rig.prepare_record(16)
    digitiser.write("CONF:ACQ:SRAT 1000", "CONF:CHAN:RANG (@1),8", "CONF:ACQ:TDEL 1", "INIT")
    assert codes(digitiser) == [-221, -221, -221, -213]
    assert digitiser.query("CONF:ACQ:SRAT?") == "+5000"
    digitiser.write("ABOR", "CONF:ACQ:SRAT 1000")
    assert codes(digitiser) == []


def test_states_from_idle_over_waiting_to_done(rig, digitiser):
    assert digitiser.query("FETC:WAV:ACQ:PRE?") == "+0,+0,+0,NOIN"
    digitiser.write("CONF:ARM:SOUR SOFT")
    rig.prepare_record(16, source="SOFT")
    assert digitiser.query("STAT:OPER:COND?") == "+64"
    digitiser.write("TRIG")
    assert codes(digitiser) == [-211]
    digitiser.write("ARM")
    assert digitiser.query("STAT:OPER:COND?") == "+32"
    digitiser.write("*TRG")
    assert digitiser.query("*OPC?") == "1"
    assert digitiser.query("STAT:OPER:COND?") == "+256"
    assert digitiser.query("STAT:OPER:COND? MTHR") == "+1"
    assert digitiser.query("FETC:WAV:ACQ:PRE?") == "+1,+16,+0,NORM"
    digitiser.write("*RST")
    assert digitiser.query("STAT:OPER:COND? MTHR") == "+0"
    assert codes(digitiser) == []


def test_several_records_take_one_trigger_each(rig, digitiser):
    drive = np.zeros(20)
    drive[3] = 1.0
    rig.prepare_play(drive)
    digitiser.write("CONF:ACQ:REC 3")
    rig.prepare_record(20)
    for _ in range(3):
        rig.awg.write("*TRG", "*WAI")
    rig.awg.query("*OPC?")
    assert digitiser.query("*OPC?") == "1"
    all_records = np.frombuffer(digitiser.query_block("FETC:WAV:VOLT? (@1)"), "<f4").reshape(3, 20)
    assert list(np.argmax(all_records, axis=1)) == [4, 4, 4]
    last = np.frombuffer(digitiser.query_block("FETC:WAV:VOLT? (@1),0,20,(@2:3)"), "<f4").reshape(2, 20)
    assert np.array_equal(last, all_records[1:])


def test_every_format_says_the_same(rig, digitiser):
    drive = np.zeros(20)
    drive[3:9] = 1.0
    rig.play(drive)
    counts = np.frombuffer(digitiser.query_block("FETC:WAV:ADC? (@1)"), "<i2")
    volts = counts / 32767 * 2.0
    for order, mark in (("NORM", ">"), ("SWAP", "<")):
        digitiser.write(f"FORM:BORD {order}")
        assert np.array_equal(np.frombuffer(digitiser.query_block("FETC:WAV:ADC? (@1)"), mark + "i2"), counts)
        for size in (4, 8):
            digitiser.write(f"FORM:REAL REAL,{8 * size}")
            got = np.frombuffer(digitiser.query_block("FETC:WAV:VOLT? (@1)"), f"{mark}f{size}")
            assert np.allclose(got, volts, rtol=1e-6)
    digitiser.write("FORM:REAL ASC,9", "FORM:INT ASC")
    assert np.allclose([float(value) for value in digitiser.query("FETC:WAV:VOLT? (@1)").split(",")], volts, rtol=1e-8)
    assert [int(value) for value in digitiser.query("FETC:WAV:ADC? (@1)").split(",")] == list(counts)


def test_an_input_beyond_its_range_is_clipped_and_flagged(rig, digitiser):
    drive = np.zeros(40)
    drive[1:-1] = 2.0
    rig.prepare_play(drive)
    rig.prepare_record(40, range_V=0.25)
    rig.awg.write("*TRG")
    assert rig.fetch(1).max() == pytest.approx(0.25)
    assert digitiser.query("STAT:QUES:COND?") == "+1"
    assert np.all(rig.fetch(2) == -0.25)  # the oscillator rests at -1 V
    assert digitiser.query("STAT:QUES:COND?") == "+3"


def test_observation_noise_and_quantisation(start):
    rig = start(devices__leaky__noise_scale=0.0, instruments__digitiser__noise_V=2e-3)
    rig.prepare_record(4000, source="IMM")
    volts = rig.fetch(1)
    assert volts.std() == pytest.approx(2e-3, rel=0.06)
    counts = volts / 2.0 * 32767
    assert np.allclose(counts, np.rint(counts), atol=1e-2)
    rig.prepare_record(4000, source="IMM")
    assert not np.array_equal(rig.fetch(1), volts)


def test_reading_outside_a_record_is_refused(rig, digitiser):
    rig.play(np.zeros(16))
    for command in ("FETC:WAV:VOLT? (@1),0,17", "FETC:WAV:VOLT? (@1),-1,4", "FETC:WAV:VOLT? (@1),0,0"):
        digitiser.write(command)
        assert codes(digitiser) == [-222]
    digitiser.write("FETC:WAV:VOLT? (@1),0,4,(@2)")
    assert codes(digitiser) == [-230]


def test_an_open_input_reads_zero(start):
    rig = start(instruments__digitiser__inputs={"1": "leaky.response"})
    rig.prepare_record(16, source="IMM")
    assert np.array_equal(rig.fetch(2), np.zeros(16))


def test_read_starts_waits_and_fetches_in_one(digitiser):
    digitiser.write("CONF:ACQ:SRAT 5000", "CONF:ACQ:SCO 32", "CONF:CHAN:RANG (@1,2),2")
    assert len(digitiser.query_block("READ:WAV:ADC? (@1)")) == 64
    assert len(digitiser.query_block("READ:WAV:VOLT? (@1,2)")) == 256


def test_a_million_samples_come_in_one_block(rig, digitiser):
    digitiser.write("CONF:ACQ:SRAT 20e6", "CONF:ACQ:SCO 1000000", "CONF:CHAN:RANG (@1,2),2", "FORM:REAL REAL,32")
    digitiser.write("CONF:TRIG:SOUR EXT", "INIT", "ABOR")
    assert codes(digitiser) == []
    rig.prepare_record(100_000, source="IMM")
    assert digitiser.query("*OPC?") == "1"
    assert len(digitiser.query_block("FETC:WAV:VOLT? (@1,2)")) == 800_000
