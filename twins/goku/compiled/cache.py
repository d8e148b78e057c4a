"""Compiled kernels that are kept: of equations that were not changed, and of equations that came to the same text."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import RLock
from typing import Generic, Protocol, TypeVar

from twins.goku.compiled.fingerprint import fingerprint
from twins.goku.compiled.library import NoLibrary
from twins.goku.compiled.trace import NotTraceable
from twins.goku.compiled.watch import Unseen
from twins.goku.system import System

_MOST_KERNELS = 64
_MOST_EQUATIONS = 512


class _Written(Protocol):
    @property
    def text(self) -> str:
        """From which equal kernels are made."""


Purpose = TypeVar("Purpose", bound=Hashable)
Written = TypeVar("Written", bound=_Written)
Kernel = TypeVar("Kernel")


class KernelCache(Generic[Purpose, Written, Kernel]):
    """write: traces an equation for a purpose (any hashable) into its text; make: the kernel of that text.

    An equation whose fingerprint is known is not traced again; one that has none is traced at every question. The kernels
    used last are kept, so many that no ordinary work has to load one twice.
    """

    def __init__(
        self, write: Callable[[System, Purpose], Written], make: Callable[[System, Purpose, Written], Kernel]
    ) -> None:
        self._write, self._make = write, make
        self._of_equations: OrderedDict[Hashable, Hashable | str] = OrderedDict()
        self._of_texts: OrderedDict[Hashable, Kernel | str] = OrderedDict()
        self._making = RLock()

    def __len__(self) -> int:
        return len(self._of_texts)

    def find(self, system: System, purpose: Purpose) -> Kernel | str:
        """The kernel, or why there is none."""
        known_as: Hashable = None
        try:
            known_as = (fingerprint(system), purpose)
            hash(known_as)
        except (Unseen, TypeError):  # it may have changed since it was traced
            known_as = None
        with self._making:
            written_as = self._of_equations.get(known_as) if known_as is not None else None
            if written_as is not None and written_as in self._of_texts:
                self._of_equations.move_to_end(known_as)
                self._of_texts.move_to_end(written_as)
                return self._of_texts[written_as]
            written_as, found = self._made(system, purpose)
            if known_as is not None:
                _keep(self._of_equations, known_as, written_as, _MOST_EQUATIONS)
            _keep(self._of_texts, written_as, found, _MOST_KERNELS)
            return found

    def _made(self, system: System, purpose: Purpose) -> tuple[Hashable, Kernel | str]:
        try:
            written = self._write(system, purpose)
        except NotTraceable as error:
            return (type(system), purpose, str(error)), str(error)
        # the class too: a kernel was compared with its equation, which may do more than can be traced
        written_as = type(system), purpose, hashlib.sha256(written.text.encode()).digest()
        if written_as in self._of_texts:
            return written_as, self._of_texts[written_as]
        try:
            return written_as, self._make(system, purpose, written)
        except (NotTraceable, NoLibrary) as error:
            return written_as, str(error)


_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


def _keep(kept: OrderedDict[_Key, _Value], key: _Key, value: _Value, most: int) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > most:
        kept.popitem(last=False)
