"""Generators of frames: without their waits, and why one is closed."""

from __future__ import annotations

from collections.abc import Generator

from labctl.frame_recording import FrameBlock, FrameRecording


def without_waiting(
    frames: Generator[FrameBlock | None, None, FrameRecording],
) -> Generator[FrameBlock, None, FrameRecording]:
    """The frames alone."""
    try:
        while True:
            try:
                block = next(frames)
            except StopIteration as finished:
                recording: FrameRecording = finished.value
                return recording
            if block is not None:
                yield block
    finally:
        frames.close()


def on_the_way_out(closing: GeneratorExit) -> bool:
    """Whether it is closed because of an exception, and not just by whoever has seen enough."""
    error: BaseException | None = closing
    while isinstance(error, GeneratorExit):
        error = error.__context__
    return error is not None and not isinstance(error, StopIteration)
