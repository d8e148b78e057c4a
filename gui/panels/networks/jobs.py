"""What the panel has done: each button's job, as a call into labctl. No Qt."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from labctl.apart import apart
from labctl.calls import BENCH, FOLDER, Call, call
from labctl.campaign import run
from labctl.job import Job

CAMPAIGNS = "labctl.campaigns"


def performed_apart(wanted: Call) -> Callable[[], Any]:
    """A function that performs the call in a process of its own and waits for its result: for `desk.call`."""

    def work() -> Any:
        return run(apart(wanted))

    return work


def preview_call(task: str, devices: tuple[str, ...]) -> Call:
    """The usual network for a task on these devices, and an example of the task."""
    return call(f"{CAMPAIGNS}.usual_network:usual_and_preview", task, devices)


def optimise_job(
    folder: Path,
    twins: Mapping[str, Path],
    *,
    title: str,
    network: Path | None,
    text: str | None,
    station: Path | Call | None,
    seconds: float | None,
    seed: int,
) -> Job:
    """Optimise the network of a file, or of a text, into the job's folder; goes on there if it was stopped."""
    which: dict[str, Any] = {"text": text} if network is None else {"network": network}
    extra = {} if station is None else {"station": station}
    wanted = call(
        f"{CAMPAIGNS}.optimise_into:optimise_into", FOLDER, dict(twins), **which, **extra, seconds=seconds, seed=seed
    )
    return Job(title, wanted, folder, seed=seed)


def deploy_job(
    folder: Path,
    network: Path,
    *,
    station: Path | None,
    n_repeats: int,
    rivals: bool,
    override: str | None,
    confirmed: str,
) -> Job:
    """Apply the network in a folder, which a person has looked at, and measure it."""
    extra = {} if override is None else {"override": override}
    wanted = call(
        f"{CAMPAIGNS}.deploy_network:deploy_network",
        BENCH,
        network,
        folder=FOLDER,
        n_repeats=n_repeats,
        rivals=rivals,
        confirmed=confirmed,
        **extra,
    )
    return Job(f"Deploy {_plain_name(network)}", wanted, folder, station)


def proposal_call(network: Path) -> Call:
    """What a network's folder proposes to the bench."""
    return call("labctl.proposal:proposal_of", network)


def _plain_name(network: Path) -> str:
    """A run's folder without its date: 2026-11-22_19-37-19_network-narma10 -> narma10."""
    return network.name.rpartition("_network-")[2]
