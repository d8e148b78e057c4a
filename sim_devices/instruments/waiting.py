"""Waiting for work on the physics thread from the event loop."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future


async def all_done(futures: Sequence[Future[None]]) -> None:
    """Return when all futures are over; an error in the physics is raised here."""
    for future in futures:
        await asyncio.shield(asyncio.wrap_future(future))
