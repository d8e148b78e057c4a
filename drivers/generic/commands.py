"""Commands with placeholders, as they stand in a station file: checked when it is read, filled in when they are sent."""

import string
from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

_EXAMPLES: dict[str, object] = {"terminal": "1", "data": "0", "start": 0, "count": 1, "end": 0}
"""What is filled in to try a template; every other placeholder is a number with a fraction."""


_INTEGER_FORMATS = ("d", "b", "o", "x", "X")


class _Filler(string.Formatter):
    """Python's formatting, but an integer format rounds: instruments that know only integers want {value:d}."""

    def format_field(self, value: Any, format_spec: str) -> str:
        if isinstance(value, float) and format_spec[-1:] in _INTEGER_FORMATS:
            value = round(value)
        return str(super().format_field(value, format_spec))


_FILLER = _Filler()


def fill(template: str, /, **values: Any) -> str:
    """A command with its placeholders filled in."""
    # str.format takes a tenth of the time, and stepped recordings fill in a command for every sample
    return _FILLER.vformat(template, (), values) if _rounds(template) else template.format(**values)


@lru_cache(maxsize=1024)
def _rounds(template: str) -> bool:
    return any(spec and spec[-1] in _INTEGER_FORMATS for _, _, spec, _ in _FILLER.parse(template))


def placeholders(template: str) -> set[str]:
    """The names between braces; raises ValueError for a template that cannot be read."""
    return {
        name.split(".")[0].split("[")[0] for _, name, _, _ in string.Formatter().parse(template) if name is not None
    }


def _only(template: str, allowed: frozenset[str], required: frozenset[str]) -> str:
    found = placeholders(template)
    if unknown := found - allowed:
        listed = ", ".join(f"{{{name}}}" for name in sorted(allowed)) or "none"
        raise ValueError(
            f"unknown placeholder {{{min(unknown)}}}; here there are: {listed} (literal braces are doubled)"
        )
    if missing := required - found:
        raise ValueError(f"the placeholder {{{min(missing)}}} is missing")
    if "\n" in template or "\r" in template:
        raise ValueError("one command at a time, without line ends")
    try:
        fill(template, **{name: _EXAMPLES.get(name, 1.0) for name in allowed})
    except (ValueError, IndexError, KeyError, AttributeError, TypeError) as error:
        raise ValueError(f"cannot be filled in: {error}") from error
    return template


def template(*allowed: str, required: Sequence[str] = ()) -> AfterValidator:
    """A validator: a command whose placeholders are all among `allowed` and hold all of `required`."""
    return AfterValidator(lambda text: _only(text, frozenset(allowed), frozenset(required)))


def templates(*allowed: str, required: Sequence[str] = ()) -> AfterValidator:
    """A validator: like template(), for a tuple of commands; `required` must stand in at least one of them."""
    names = frozenset(allowed)

    def check(texts: tuple[str, ...]) -> tuple[str, ...]:
        for text in texts:
            _only(text, names, frozenset())
        found = set().union(*map(placeholders, texts))
        if texts and (missing := set(required) - found):
            raise ValueError(f"the placeholder {{{min(missing)}}} is missing")
        return texts

    return AfterValidator(check)


def _as_tuple(given: Any) -> Any:
    """One command may be written without brackets; an empty text is no command."""
    if isinstance(given, str):
        return (given,) if given else ()
    return given


ONE_OR_MORE = BeforeValidator(_as_tuple)
Plain = Annotated[tuple[str, ...], ONE_OR_MORE, templates()]
PerTerminal = Annotated[tuple[str, ...], ONE_OR_MORE, templates("terminal")]
