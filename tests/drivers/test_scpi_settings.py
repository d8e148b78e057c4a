"""Tables of settings: strict, exact, and errors that name what was asked for."""

import pickle

import pytest

from drivers.errors import BadAnswer, InstrumentReported, LineTimeout, OutOfRange
from drivers.identity import Identity
from drivers.scpi import Choice, Number, ScpiDriver, Switch, describe
from drivers.transport import open_line


class Source(ScpiDriver):
    level_V = Number("LEV{ch}?", "LEV{ch} {value:.9g}", "Level", unit="V", within=(-1, 1))
    range_V = Number("RANG?", "RANG {value:g}", "Range", unit="V", one_of=(1.0, 10.0))
    output_on = Switch("OUTP?", "OUTP {value}", "Output")
    shape = Choice("FUNC?", "FUNC {value}", "Shape", one_of=("SIN", "DC"))
    secret = Number(None, "SECR {value:g}", "Cannot be read", unit="V")
    model = Choice("MOD?", None, "Cannot be set", one_of=())

    def __init__(self, line):
        super().__init__(line)
        self.place = {"ch": "2"}


def test_reading_and_assigning_send_exactly_the_commands_of_the_table(script):
    instrument = script(
        ("LEV2 0.5", None),
        ("LEV2?", "+5.0E-1"),
        ("OUTP 1", None),
        ("OUTP?", "ON"),
        ("FUNC DC", None),
        ("FUNC?", '"DC"'),
    )
    source = Source(open_line(instrument.address))
    source.level_V = 0.5
    assert source.level_V == 0.5
    source.output_on = True
    assert source.output_on is True
    source.shape = "DC"
    assert source.shape == "DC"
    instrument.finish(source.line)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("level_V", 1.5, "1.5 V is outside -1 … 1"),
        ("level_V", float("nan"), "finite"),
        ("level_V", float("inf"), "finite"),
        ("range_V", 5.0, "not one of 1, 10"),
        ("output_on", 1, "neither True nor False"),
        ("shape", "dc", "not one of SIN, DC"),
    ],
)
def test_validators_are_strict_and_nothing_is_clipped_or_sent(script, name, value, says):
    instrument = script()
    source = Source(open_line(instrument.address))
    with pytest.raises(OutOfRange, match=says):
        setattr(source, name, value)
    instrument.finish(source.line)


def test_what_cannot_be_read_or_set_says_so(script):
    source = Source(open_line(script().address))
    with pytest.raises(AttributeError, match="not read"):
        _ = source.secret
    with pytest.raises(AttributeError, match="not set"):
        source.model = "X"


def test_an_answer_that_is_no_number_names_address_and_command(script):
    instrument = script(("LEV2?", "hello"))
    source = Source(open_line(instrument.address))
    with pytest.raises(BadAnswer, match=rf"{instrument.port}.*'LEV2\?'.*hello"):
        _ = source.level_V


def test_the_table_describes_itself_for_the_provenance(script):
    instrument = script(("LEV2?", "0.5"), ("RANG?", "1"), ("OUTP?", "0"), ("FUNC?", "DC"), ("MOD?", "M1"))
    source = Source(open_line(instrument.address))
    expected = {"level_V": "0.5 V", "range_V": "1 V", "output_on": "False", "shape": "DC", "model": "M1"}
    assert describe(source) == expected


def test_the_error_queue_is_drained_in_order(script):
    instrument = script(("SYST:ERR?", '-113,"Undefined header"'), ("SYST:ERR?", "-222,Range"), ("SYST:ERR?", "+0,No"))
    with pytest.raises(InstrumentReported, match="after a test: -113, Undefined header; -222, Range"):
        Source(open_line(instrument.address)).check_errors("a test")


def test_an_error_queue_that_never_ends_is_bounded(tcp_instrument):
    instrument = tcp_instrument(lambda command: "-1,again" if command == "SYST:ERR?" else None)
    with pytest.raises(InstrumentReported):
        Source(open_line(instrument.address)).check_errors()
    assert len(instrument.commands()) == 64


@pytest.mark.parametrize(
    ("answer", "fields"),
    [
        ("A,B,C,D", ("A", "B", "C", "D")),
        (" A , B,SIM-1,D,E \n", ("A", "B", "SIM-1", "D,E")),
        ("Model 7", ("Model 7", "", "", "")),
    ],
)
def test_identities_are_split_in_four(answer, fields):
    identity = Identity.parse(answer)
    assert (identity.maker, identity.model, identity.serial, identity.firmware) == fields
    assert identity.simulated == fields[2].startswith("SIM-")


def test_errors_survive_the_way_between_processes():
    for error in (LineTimeout("TCPIP::x", "A?", "no answer"), InstrumentReported("TCPIP::x", [(-1, "oh")], "load")):
        again = pickle.loads(pickle.dumps(error))  # noqa: S301 - made two lines above
        assert (type(again), str(again)) == (type(error), str(error))
