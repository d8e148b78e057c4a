"""Samples on the line: text or binary block, and the linear law between what is sent and volts."""

import numpy as np
from numpy.typing import NDArray

from drivers.errors import BadAnswer, OutOfRange
from drivers.generic.parts import Encoding
from drivers.scpi import OVERFLOW


def encode(volts: NDArray[np.float64], encoding: Encoding, *, scale: float, offset: float) -> NDArray[np.generic]:
    """The numbers to send, offset + scale · volts, in the encoding's type; integers are rounded.

    Raises OutOfRange when a number does not fit into the type.
    """
    numbers = volts * scale + offset
    dtype = encoding.numpy_dtype
    if dtype.kind == "f":
        return numbers.astype(dtype)
    rounded = np.rint(numbers)
    limits = np.iinfo(encoding.dtype)
    if rounded.size and (rounded.min() < limits.min or rounded.max() > limits.max):
        raise OutOfRange(
            f"{volts.min():g} … {volts.max():g} V become {rounded.min():g} … {rounded.max():g}, "
            f"which {encoding.dtype} cannot hold ({limits.min} … {limits.max})"
        )
    return rounded.astype(dtype)


def to_text(numbers: NDArray[np.generic], encoding: Encoding) -> str:
    """The numbers as text, with the encoding's separator and number format."""
    return encoding.separator.join(map(encoding.number.format, numbers.tolist()))


def from_text(answer: str, encoding: Encoding, *, where: str) -> NDArray[np.float64]:
    """The numbers of an answer in text; raises BadAnswer that names the first that is none."""
    separator = encoding.separator.strip()
    fields = answer.split(separator) if separator else answer.split()
    if fields and not fields[-1].strip():
        fields.pop()  # some instruments end a list with its separator
    try:
        numbers = np.array(fields[encoding.skip :], dtype=np.float64)
    except ValueError as error:
        raise BadAnswer(
            f"{where}: {error}; the answer begins {answer[:60]!r} (can the instrument leave headers and units out?)"
        ) from error
    _refuse_overflow(numbers, where)
    return numbers


def from_block(payload: bytes, encoding: Encoding, *, where: str) -> NDArray[np.float64]:
    """The numbers of a binary block; raises BadAnswer when its length is not a multiple of the type's."""
    dtype = encoding.numpy_dtype
    if len(payload) % dtype.itemsize:
        raise BadAnswer(
            f"{where}: a block of {len(payload)} bytes does not hold whole {encoding.dtype} numbers "
            f"of {dtype.itemsize} bytes: is dtype right?"
        )
    numbers = np.frombuffer(payload, dtype=dtype).astype(np.float64)[encoding.skip :]
    if dtype.kind == "f":
        _refuse_overflow(numbers, where)
    return numbers


def _refuse_overflow(numbers: NDArray[np.float64], where: str) -> None:
    """IEEE 488.2 instruments write 9.9E37 for infinity and 9.91E37 for what is not a number."""
    wrong = ~(np.abs(numbers) < OVERFLOW)
    if wrong.any():
        first = int(np.argmax(wrong))
        raise BadAnswer(
            f"{where}: {int(wrong.sum())} of {numbers.size} samples are overflows or not numbers, the first is sample "
            f"{first}: {numbers[first]:g} (are dtype and byte_order right?)"
        )
