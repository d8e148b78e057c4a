"""Parameters of a command: numbers with suffixes, booleans, keywords, strings, channel lists and blocks."""

import math
import re
from collections.abc import Mapping, Sequence

from sim_devices.scpi.errors import ScpiError

INFINITY = 9.9e37  # how SCPI writes infinity
_NUMBER = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:\s*[eE]\s*[+-]?\d+)?)\s*([A-Za-z%/]*)")
_PREFIXES = {"": 1.0, "N": 1e-9, "U": 1e-6, "M": 1e-3, "K": 1e3, "MA": 1e6}
_UNITS = ("VPP", "V", "A", "HZ", "S", "OHM", "SA/S", "DEG", "PCT", "%", "")
_LIST = re.compile(r"\(@\s*([\d\s,:]*)\)")


class Parameters:
    """The raw parameters of one command, with converters that raise the standard's errors."""

    def __init__(self, raw: Sequence[bytes]) -> None:
        self._raw = raw

    def __len__(self) -> int:
        return len(self._raw)

    def raw(self, index: int) -> bytes:
        """The bytes as sent; -109 when there is no such parameter."""
        if index >= len(self._raw) or not self._raw[index]:
            raise ScpiError(-109)
        return self._raw[index]

    def text(self, index: int) -> str:
        """As text; -168 for a block, -101 for bytes that are not ASCII."""
        raw = self.raw(index)
        if raw.startswith(b"#"):
            raise ScpiError(-168)
        try:
            return raw.decode("ascii")
        except UnicodeDecodeError:
            raise ScpiError(-101) from None

    def number(self, index: int, names: Mapping[str, float] | None = None) -> float:
        """A decimal number with an optional unit, or one of `names` (MINIMUM, MAXIMUM, DEFAULT, INFINITY, upper case, long form).

        Raises:
            ScpiError: -104 for a string, -121 for what is no number, -131 for an unknown suffix, -141 for an unknown keyword.
        """
        text = self.text(index)
        if text[0].isalpha():
            return keyword_value(text, names or {})
        if text[0] in "\"'(":
            raise ScpiError(-104)
        match = _NUMBER.fullmatch(text)
        if match is None:
            raise ScpiError(-121)
        value = float(match.group(1).replace(" ", "")) * _unit_factor(match.group(2).upper())
        if not math.isfinite(value):
            raise ScpiError(-222)
        return value

    def integer(self, index: int, names: Mapping[str, float] | None = None) -> int:
        """A number rounded to an integer, as IEEE 488.2 says."""
        return round(self.number(index, names))

    def boolean(self, index: int) -> bool:
        """ON, OFF or a number (rounded; not zero is ON)."""
        text = self.text(index).upper()
        if text in ("ON", "OFF"):
            return text == "ON"
        if text[0].isalpha():
            raise ScpiError(-141)
        return self.integer(index) != 0

    def choice(self, index: int, *options: str) -> str:
        """One of the keywords, given in long form with the short form in upper case ("NORMal"); returns the short form.

        Raises:
            ScpiError: -224 for another keyword, -104 for a number or string.
        """
        text = self.text(index).upper()
        if not (text[0].isalpha() or text[0] == "_"):
            raise ScpiError(-104)
        for option in options:
            if text in (short_form(option), option.upper()):
                return short_form(option)
        raise ScpiError(-224)

    def string(self, index: int) -> str:
        """A quoted string or a bare word."""
        text = self.text(index)
        if text[0] in "\"'":
            if len(text) < 2 or text[-1] != text[0]:
                raise ScpiError(-151)
            return text[1:-1]
        return text

    def channels(self, index: int, *, allowed: range) -> list[int]:
        """A list such as (@1), (@1,2) or (@1:2), in the order given.

        Raises:
            ScpiError: -104 for anything else, -222 for a number that is not allowed.
        """
        match = _LIST.fullmatch(self.text(index))
        if match is None:
            raise ScpiError(-104)
        numbers: list[int] = []
        for part in match.group(1).replace(" ", "").split(","):
            first, _, last = part.partition(":")
            if not first.isdigit() or (last and not last.isdigit()):
                raise ScpiError(-104)
            low, high = int(first), int(last or first)
            if low not in allowed or high not in allowed:
                raise ScpiError(-222)
            numbers.extend(range(low, high + 1) if low <= high else range(low, high - 1, -1))
        return numbers

    def is_block(self, index: int) -> bool:
        """Whether the parameter is a binary block."""
        return self.raw(index).startswith(b"#") and self.raw(index)[1:2].isdigit()

    def block(self, index: int) -> bytes:
        """The bytes in a definite or indefinite block; -161 when its length does not fit."""
        raw = self.raw(index)
        if not self.is_block(index):
            raise ScpiError(-104)
        digits = int(raw[1:2])
        if digits == 0:
            return raw[2:]
        length = raw[2 : 2 + digits]
        if not length.isdigit() or len(raw) != 2 + digits + int(length):
            raise ScpiError(-161)
        return raw[2 + digits :]


def short_form(option: str) -> str:
    """Upper-case part of a keyword: NORMal -> NORM; a keyword without lower case is its own short form."""
    return "".join(letter for letter in option if not letter.islower())


def keyword_value(text: str, names: Mapping[str, float]) -> float:
    """Value of MIN, MAX, DEF or INF (short or long form); -141 when the command does not know it."""
    upper = text.upper()
    for name, value in names.items():
        if upper in (name[:3], name):
            return value
    raise ScpiError(-141)


def _unit_factor(suffix: str) -> float:
    for unit in _UNITS:
        if suffix.endswith(unit):
            prefix = suffix[: len(suffix) - len(unit)] if unit else suffix
            if prefix in _PREFIXES:
                # SCPI's exception: MHZ and MOHM mean mega
                return 1e6 if prefix == "M" and unit in ("HZ", "OHM") else _PREFIXES[prefix]
    raise ScpiError(-131)
