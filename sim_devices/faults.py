"""Faults of a line, on purpose: late, half, wrong or missing answers, closed connections, a foreign identity.

They stand in the bench file under [instruments.NAME.faults]. With `runtime = true` there the line also takes three
commands that no real instrument has, so that a test can pull the plug in the middle:

    SIMulation:FAULt <name>,<value>     set one fault, by its name in the bench file; counting starts again
    SIMulation:FAULt:CLEar              none any more
    SIMulation:FAULt:COUNt?             queries answered or swallowed since the counting started

"After n" means: the n-th query from then on is the one that suffers.
"""

import dataclasses
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """What is to go wrong; 0 or "" is never.

    Args:
        runtime: take the SIMulation:FAULt commands.
        reply_delay_s: every reply comes that much later.
        late_reply_after: this query is answered late_by_s late, and everything after it waits.
        late_by_s: how late.
        hang_after: from this query on nothing is answered (commands are still obeyed).
        half_reply_after: of this reply only the first half is sent, without terminator.
        wrong_answer_after: this query is answered with `wrong_answer`.
        wrong_answer: the text then.
        close_after: instead of answering this query the connection is closed.
        cut_after: of this reply the first half is sent, then the connection is closed.
        flip_after: in the middle of this reply one byte is wrong.
        unplugged_s: so long no connection is taken after close_after or cut_after.
        lost_frame: a camera loses this frame of every acquisition (1 is the first).
        late_frame: a camera takes this frame of every acquisition half an interval late.
        identity: another answer to *IDN?.
    """

    runtime: bool = False
    reply_delay_s: float = 0.0
    late_reply_after: int = 0
    late_by_s: float = 3.0
    hang_after: int = 0
    half_reply_after: int = 0
    wrong_answer_after: int = 0
    wrong_answer: str = "?"
    close_after: int = 0
    cut_after: int = 0
    flip_after: int = 0
    unplugged_s: float = 0.0
    identity: str = ""
    lost_frame: int = 0
    late_frame: int = 0


@dataclass(slots=True)
class Fate:
    """What becomes of one reply."""

    delay_s: float = 0.0
    send: bytes = b""
    close: bool = False


class FaultyLine:
    """Counts queries and decides the fate of every reply."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.queries = 0

    def fate(self, message: bytes, reply: bytes, terminator: bytes) -> Fate:
        """What is sent for a reply, and when."""
        self.queries += 1
        faults = self.faults
        if faults.identity and message.strip().upper() == b"*IDN?":
            reply = faults.identity.encode("ascii")
        fate = Fate(delay_s=faults.reply_delay_s, send=reply + terminator)
        if self.queries == faults.late_reply_after:
            fate.delay_s += faults.late_by_s
        if self.queries == faults.wrong_answer_after:
            fate.send = faults.wrong_answer.encode("ascii") + terminator
        if self.queries == faults.half_reply_after:
            fate.send = reply[: (len(reply) + 1) // 2]
        if self.queries == faults.flip_after:
            middle = len(reply) // 2
            fate.send = reply[:middle] + bytes([reply[middle] ^ 0xFF]) + reply[middle + 1 :] + terminator
        if faults.hang_after and self.queries >= faults.hang_after:
            fate.send = b""
        if self.queries == faults.close_after:
            fate.send, fate.close = b"", True
        if self.queries == faults.cut_after:
            fate.send, fate.close = reply[: (len(reply) + 1) // 2], True
        return fate

    def control(self, message: bytes) -> bytes | None:
        """Obey a SIMulation:FAULt command; the reply ("" for none), or None when it is no such command.

        Raises:
            ValueError: unknown fault or a value it cannot have.
        """
        if not self.faults.runtime or not message.lstrip(b" :").upper().startswith((b"SIM:", b"SIMULATION:")):
            return None
        header, _, rest = message.decode("ascii", "replace").strip().partition(" ")
        nodes = header.upper().lstrip(":").split(":")[1:]
        if nodes in (["FAUL"], ["FAULT"]):
            self._set(rest)
        elif nodes in (["FAUL", "CLE"], ["FAULT", "CLEAR"]):
            self.faults = Faults(runtime=True)
        elif nodes in (["FAUL", "COUN?"], ["FAULT", "COUNT?"]):
            return str(self.queries).encode("ascii")
        else:
            raise ValueError(f"{header} is no SIMulation command; there are FAULt, FAULt:CLEar, FAULt:COUNt?")
        self.queries = 0
        return b""

    def _set(self, text: str) -> None:
        name, _, value = (part.strip() for part in text.partition(","))
        kinds = {name: type(value) for name, value in dataclasses.asdict(Faults()).items() if name != "runtime"}
        if name not in kinds:
            raise ValueError(f"no fault {name!r}; there are {', '.join(kinds)}")
        self.faults = dataclasses.replace(self.faults, **{name: kinds[name](value.strip("\"'"))})
