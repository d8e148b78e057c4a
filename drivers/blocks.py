"""IEEE 488.2 arbitrary blocks: #<n><length><bytes> (definite, section 7.7.6) and #0<bytes> (indefinite, 7.7.7)."""

from drivers.errors import BadAnswer

MAX_BLOCK_BYTES = 1 << 28
"""More than this in one block is taken for garbage, not for data."""

LONGEST_HEADER_BYTES = 2 + 9


def definite_header(n_bytes: int) -> bytes:
    """The header that announces n_bytes."""
    digits = str(n_bytes)
    if len(digits) > 9:
        raise ValueError(f"{n_bytes} bytes do not fit into one block; at most 999999999 do")
    return f"#{len(digits)}{digits}".encode()


def parse_header(start: bytes | bytearray) -> tuple[int, int] | None:
    """(header length, payload length) once `start` holds the whole header, None while it does not.

    payload length -1 means indefinite. Raises BadAnswer if this is no block.
    """
    if not start:
        return None
    if start[:1] != b"#":
        raise BadAnswer(f"expected a binary block that starts with '#', got {bytes(start[:40])!r}")
    if len(start) < 2:
        return None
    n_digits = start[1] - ord("0")
    if not 0 <= n_digits <= 9:
        raise BadAnswer(f"expected a binary block header '#<n><length>', got {bytes(start[:40])!r}")
    if n_digits == 0:
        return 2, -1
    if len(start) < 2 + n_digits:
        return None
    digits = start[2 : 2 + n_digits]
    if not digits.isdigit():
        raise BadAnswer(f"expected {n_digits} digits of block length, got {bytes(start[:40])!r}")
    length = int(digits)
    if length > MAX_BLOCK_BYTES:
        raise BadAnswer(f"a block of {length} bytes is announced; at most {MAX_BLOCK_BYTES} are accepted")
    return 2 + n_digits, length
