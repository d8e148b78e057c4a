"""The parser: messages in a stream, headers, paths, parameters and blocks."""

import asyncio

import pytest

from sim_devices.scpi import (
    INFINITY,
    MessageSplitter,
    MessageTooLongError,
    Parameters,
    ScpiError,
    ScpiInstrument,
    command,
)
from sim_devices.scpi.message import split_units
from sim_devices.scpi.settings import boolean, choice, number


def messages(splitter, *chunks):
    found = []
    for chunk in chunks:
        splitter.feed(chunk)
        while (message := splitter.next_message()) is not None:
            found.append(message)
    return found


def test_a_terminator_inside_a_block_or_a_string_does_not_end_the_message():
    block = b'DATA x,#15a\nb"c;*RST\n'
    assert messages(MessageSplitter(), block, b'TEXT "two;', b'"\n') == [block[:-1], b'TEXT "two;"']


def test_a_message_may_arrive_byte_by_byte_and_several_at_once():
    stream = b"A 1\n\r\nB #3004\n\n\n\n\nC?\n"
    whole = messages(MessageSplitter(), stream)
    assert whole == messages(MessageSplitter(), *[stream[i : i + 1] for i in range(len(stream))])
    assert whole == [b"A 1", b"B #3004\n\n\n\n", b"C?"]


def test_an_indefinite_block_ends_with_the_terminator():
    assert messages(MessageSplitter(), b"DATA x,#0abc;def", b"\nNEXT\n") == [b"DATA x,#0abc;def", b"NEXT"]


def test_carriage_return_ends_a_message_on_serial_lines_only():
    assert messages(MessageSplitter(carriage_return_ends=True), b"A\rB\r\nC\n") == [b"A", b"B", b"C"]
    assert messages(MessageSplitter(), b"A\r\n") == [b"A\r"]


def test_a_non_decimal_number_is_no_block():
    assert messages(MessageSplitter(), b"*SRE #H1F\n") == [b"*SRE #H1F"]


def test_a_message_beyond_the_input_buffer_is_dropped_and_the_next_one_is_heard():
    splitter = MessageSplitter(capacity_bytes=100)
    with pytest.raises(MessageTooLongError):
        messages(splitter, b"x" * 101)
    assert messages(splitter, b"*IDN?\n") == [b"*IDN?"]


def test_units_are_split_at_semicolons_outside_blocks_strings_and_lists():
    units = split_units(b'A:B 1, 2;C? (@1,2),"x;y";;*D;E f,#14;;\n;;G #3004    ')
    assert [unit.header for unit in units] == ["A:B", "C?", "*D", "E", "G"]
    assert units[0].parameters == (b"1", b"2")
    assert units[1].parameters == (b"(@1,2)", b'"x;y"')
    assert units[3].parameters == (b"f", b"#14;;\n;")
    assert units[4].parameters == (b"#3004    ",)


@pytest.mark.parametrize(
    ("message", "code"),
    [(b"A #19abc", -161), (b"A #2x1", -161), (b'A "open', -151), (b"A (@1", -102), (b"!", -102), (b"\xff\xfe", -102)],
)
def test_broken_messages_have_the_standards_errors(message, code):
    with pytest.raises(ScpiError) as caught:
        split_units(message)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", 1.0), ("-1.5e-3", -1.5e-3), (".5", 0.5), ("2 mV", 2e-3), ("3KHZ", 3e3), ("4 MHz", 4e6), ("5MS", 5e-3), ("6E+1 V", 60.0),
     ("MIN", -1.0), ("MINimum", -1.0), ("inf", INFINITY)],
)  # fmt: skip
def test_numbers_with_units_and_names(text, value):
    assert Parameters([text.encode()]).number(0, {"MINIMUM": -1.0, "INFINITY": INFINITY}) == pytest.approx(value)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("1.2.3", -121),
        ("MIDDLE", -141),
        ('"1"', -104),
        ("1 furlong", -131),
        ("", -109),
        ("#14abcd", -168),
        ("1e999", -222),
    ],
)
def test_what_is_no_number_is_refused_by_its_kind(text, code):
    with pytest.raises(ScpiError) as caught:
        Parameters([text.encode()]).number(0, {"MINIMUM": 0.0})
    assert caught.value.code == code


def test_channel_lists():
    lists = {"(@1)": [1], "(@1,2)": [1, 2], "(@1:3)": [1, 2, 3], "( @ 1)": None, "(@9)": None, "1": None}
    for text, numbers in lists.items():
        parameters = Parameters([text.encode()])
        if numbers is None:
            with pytest.raises(ScpiError):
                parameters.channels(0, allowed=range(1, 5))
        else:
            assert parameters.channels(0, allowed=range(1, 5)) == numbers


class Toy(ScpiInstrument):
    suffix_limits = {"ch": 2}  # noqa: RUF012

    def __init__(self):
        self.waiting = None
        super().__init__(identity="ACME,TOY,SIM-1,0", error_capacity=4)

    def settings(self):
        return [
            number("[SOURce<ch>:]LEVel[:IMMediate]", 0.5, -1.0, 1.0), boolean("OUTPut<ch>[:STATe]", default=False),
            choice("SOURce<ch>:SHAPe", "SINusoid", "SQUare"), number("DEEP:ER:ONE", 1, 0, 9, integer=True),
            number("DEEP:ER:TWO", 2, 0, 9, integer=True),
        ]  # fmt: skip

    def operation_complete(self):
        return self.waiting.wait() if self.waiting is not None and not self.waiting.is_set() else None

    @command("BUSY", parameters=0)
    def busy(self, _):
        self.waiting = asyncio.Event()
        asyncio.get_running_loop().call_later(0.01, self.waiting.set)


@pytest.fixture
def ask():
    toy = Toy()
    loop = asyncio.new_event_loop()

    def send(message):
        reply = loop.run_until_complete(toy.execute(message.encode()))
        return None if reply is None else reply.decode()

    yield send
    loop.close()


def test_short_and_long_forms_and_optional_nodes_are_the_same_header(ask):
    ask("SOUR1:LEV 0.25")
    for header in ("LEV?", "level?", ":SOURCE:LEVEL:IMMEDIATE?", "SOUR1:LEV:IMM?", "SOURce:LEV?"):
        assert float(ask(header)) == 0.25
    assert float(ask("SOUR2:LEV?")) == 0.5
    for header in ("LEVE?", "SOU:LEV?", "SOUR:IMM?", "LEV:IMM:IMM?"):
        assert ask(header) is None
        assert ask("SYST:ERR?").startswith("-113,")


def test_a_numeric_suffix_out_of_range_is_named(ask):
    assert ask("SOUR3:LEV?") is None
    assert ask("SYST:ERR?") == '-114,"Header suffix out of range"'


def test_the_path_of_a_compound_message_is_kept_and_a_colon_returns_to_the_root(ask):
    assert ask("DEEP:ER:ONE 5;TWO 6;*WAI;ONE?;TWO?") == "+5;+6"
    assert ask("DEEP:ER:ONE 1;DEEP:ER:TWO 2") is None
    assert ask("SYST:ERR?").startswith("-113,")
    assert ask("DEEP:ER:ONE 3;:DEEP:ER:TWO 4;:DEEP:ER:ONE?;TWO?") == "+3;+4"


def test_settings_read_back_and_return_to_their_defaults(ask):
    ask("SOUR:SHAP SQUARE;:OUTP2 ON;:LEV MAX")
    assert ask("SOUR:SHAP?;:OUTP2?;:OUTP1?;:LEV?") == "SQU;1;0;+1.000000000000000E+00"
    ask("*RST")
    assert ask("SOUR:SHAP?;:OUTP2?;:LEV?") == "SIN;0;+5.000000000000000E-01"


@pytest.mark.parametrize(
    ("message", "error"),
    [("LEV 1.01", -222), ("LEV", -109), ("LEV 1,2", -108), ("LEV one", -141), ("SOUR:SHAP ROUND", -224), ("SOUR:SHAP 3", -104),
     ("OUTP MAYBE", -141), ("LEV? 1,2", -108), ("LEV #14abcd", -168)],
)  # fmt: skip
def test_a_refused_command_changes_nothing_and_says_why(ask, message, error):
    assert ask(message) is None
    assert ask("SYST:ERR?").startswith(f"{error},")
    assert ask("SYST:ERR?") == '+0,"No error"'
    assert ask("LEV?;:SOUR:SHAP?;:OUTP?") == "+5.000000000000000E-01;SIN;0"


def test_a_command_error_ends_the_message_and_an_execution_error_only_the_unit(ask):
    assert ask("LEV 9;LEV?") == "+5.000000000000000E-01"
    assert ask("LEV 0.1;NONSENSE;LEV 0.2") is None
    assert float(ask("LEV?")) == 0.1


def test_every_class_of_error_sets_its_bit_of_the_event_status_register(ask):
    assert ask("*ESR?") == "+128"  # power on
    for message, bit in (("NONSENSE", 32), ("LEV 9", 16), ("*IDN?;LEV?", 4), ("*OPC", 1)):
        ask(message)
        assert ask("*ESR?") == f"{bit:+d}"
        assert ask("*ESR?") == "+0"


def test_a_query_after_the_identity_is_unterminated(ask):
    assert ask("LEV?;*IDN?") == "+5.000000000000000E-01;ACME,TOY,SIM-1,0"
    assert ask("*IDN?;LEV?") == "ACME,TOY,SIM-1,0"
    assert ask("SYST:ERR?") == '-440,"Query UNTERMINATED after indefinite response"'


def test_a_full_error_queue_ends_with_overflow_and_keeps_the_oldest(ask):
    for index in range(9):
        ask(f"WRONG{'ABCDEFGHI'[index]}")
    errors = [ask("SYST:ERR?") for _ in range(5)]
    assert [error.split(",")[0] for error in errors] == ["-113", "-113", "-113", "-350", "+0"]
    assert "WRONGA" in errors[0]


def test_the_status_byte_summarises_errors_events_and_the_service_request(ask):
    ask("*CLS;*ESE 32;*SRE 32")
    assert ask("*STB?") == "+0"
    ask("NONSENSE")
    assert ask("*STB?") == f"{4 + 32 + 64:+d}"
    assert ask("*ESE?;*SRE?;*STB?") == f"+32;+32;{4 + 16 + 32 + 64:+d}"  # a message is available by then
    ask("*CLS")
    assert ask("*STB?;*ESE?") == "+0;+32"
    ask("*ESE 256")
    assert ask("SYST:ERR?").startswith("-222,")


def test_opc_and_wai_wait_for_overlapped_operations(ask):
    ask("*CLS;BUSY;*OPC")
    assert ask("*ESR?") == "+0"
    assert ask("*OPC?") == "1"
    assert ask("*ESR?") == "+1"
    assert ask("BUSY;*WAI;LEV?") == "+5.000000000000000E-01"
