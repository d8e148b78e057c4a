"""What training on the bench leaves: its outcome as a file, and the network as a folder, ready to be deployed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.campaign import Campaign
from labctl.campaigns.finish_twin import plain
from labctl.clearance import Clearance, Gates, shortcomings
from labctl.errors import CampaignError
from labctl.events import Reported, Warned
from labctl.json_file import write_json
from labctl.workers import Job, side_by_side

if TYPE_CHECKING:
    from labctl.bench import Bench
    from labctl.campaigns.cascade_options import CascadedNetwork
    from labctl.campaigns.network_to_play import NetworkToPlay
    from labctl.campaigns.wanted_network import WantedNetwork
    from twins.network.wiring import Wiring

Files = Mapping[str, Path]
NETWORK = "network"
"""The folder of the network, in that of the campaign."""
N_DRAWS = 24
"""Noise draws that a promise is the mean of."""


def made_safe(bench: Bench) -> Campaign[bool]:
    """Bring the outputs to their safe values once nothing is played any more: what follows takes time, and needs no bench.

    Returns whether all of them are known to be safe; closing the bench tries again, and fails where they are not.
    """
    report = bench.make_safe()
    if not report.ok:
        yield Warned("bench", str(report))
    return report.ok


def keep_outcome(path: Path, outcome: Mapping[str, Any]) -> dict[str, Any]:
    """Write the outcome as plain data; what was measured stays, whatever happens to the bench afterwards."""
    kept: dict[str, Any] = plain(outcome)
    write_json(path, kept)
    return kept


def leave_network(
    played: NetworkToPlay,
    folder: Path,
    *,
    wiring: Wiring,
    twins: Files,
    gates: Mapping[str, Gates],
    provenance: Mapping[str, Any],
    seed: int,
) -> Campaign[None]:
    """The best wiring as a network folder, with what these twins promise on the network's own examples, and their gates, by
    which `labctl deploy` judges. A warning if it will refuse them."""
    from labctl.campaigns.fine_tune import promise_of
    from labctl.campaigns.retold_network import retell_network

    arguments = {
        "wiring": wiring, "twins": dict(twins), "plan": played.network.plan, "examples": played.network.examples[1],
        "n_draws": N_DRAWS, "seed": seed, "key": "promise",
    }  # fmt: skip
    promised = (yield from side_by_side({"promise": Job(promise_of, arguments)}))["promise"]
    left = retell_network(
        played.folder, folder / NETWORK, wiring=wiring, promise=promised, gates=gates, provenance=provenance
    )
    for fault in (fault for device, one in gates.items() for fault in shortcomings(device, one)):
        yield Warned("network", f"{fault}; `labctl deploy` will refuse this network")
    yield Reported("network", {"promised": promised.mean, "promised_std": promised.std}, (str(left),))


def check_no_network(folder: Path) -> None:
    """Raises CampaignError if a network lies in the campaign's folder already."""
    if (folder / NETWORK).exists():
        raise CampaignError(f"{folder / NETWORK}: a network lies there already; choose another folder")


def leave_cascade(
    folder: Path,
    result: CascadedNetwork,
    twins: Files,
    clearance: Clearance,
    wanted: WantedNetwork,
    provenance: Mapping[str, Any],
) -> Campaign[None]:
    """The network with its rivals and the twins' promise for it."""
    from labctl.campaigns.cascade_layer import rivals_of_cascade
    from labctl.campaigns.network_files import save_network

    key = f"cascade/{result.plan.task.name}"
    arguments = {
        "twins": dict(twins), "plan": result.plan, "wiring": result.wiring, "initial": result.initial,
        "learning_curve": result.learning_curve, "seed": result.seed, "examples_seed": result.examples_seed, "key": key,
    }  # fmt: skip
    optimised = (yield from side_by_side({key: Job(rivals_of_cascade, arguments)}))[key]
    save_network(
        folder / NETWORK, optimised, conditions=wanted.conditions, gates=clearance.gates, provenance=provenance,
        network_file=wanted.text,
    )  # fmt: skip
    told = {"promised": optimised.promise.mean, "promised_std": optimised.promise.std}
    yield Reported(key, told, (str(folder / NETWORK),))
