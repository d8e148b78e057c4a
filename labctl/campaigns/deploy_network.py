"""Deploy an optimised network: read its folder, apply it, measure it and its rivals, and put promised beside measured."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors.numpy import save

from labctl.campaign import Campaign, Step
from labctl.campaigns.network_left import made_safe
from labctl.clearance import Clearance, clear
from labctl.deployment import Measurement, deploy
from labctl.errors import DeploymentError
from labctl.events import Reported, Warned
from labctl.json_file import write_json
from labctl.proposal import OPTIMISED, Proposal, proposal_of
from labctl.workers import Job, side_by_side
from twins.files import write_whole

if TYPE_CHECKING:
    from labctl.bench import Bench

OUTCOME = "deployment.json"
TRACES = "traces.safetensors"
SHOWN_TRIALS = 4
"""Held-out examples whose traces are kept for looking at; the recordings have all of them."""


def deploy_network(
    bench: Bench,
    network: Path,
    *,
    folder: Path,
    n_repeats: int = 3,
    rivals: bool = True,
    override: str | None = None,
    confirmed: str | None = None,
) -> Campaign[dict[str, Any]]:
    """Apply the network in the folder `network` to the bench, and measure what it achieves.

    n_repeats: how often the held-out examples are played. rivals: measure the reservoir and the unoptimised network as
    well. override: why it may be applied although a twin's gates were not passed. confirmed: fingerprint of the network that a
    person has looked at (labctl.proposal.fingerprint_of); any other is refused. The outputs are safe afterwards, and the
    outcome says whether they are. Writes recordings, `deployment.json`
    (promised beside measured) and `traces.safetensors` into `folder`, and returns the outcome. Raises GatesNotPassed and
    DeploymentError before anything is played.
    """
    proposal: Proposal = yield from _read(network)
    check_confirmed(proposal, confirmed)
    clearance = clear(proposal.devices, proposal.gates, override=override)
    return (
        yield from deploy_proposal(
            bench, proposal, clearance=clearance, folder=folder, n_repeats=n_repeats, rivals=rivals
        )
    )


def deploy_proposal(
    bench: Bench, proposal: Proposal, *, clearance: Clearance, folder: Path, n_repeats: int, rivals: bool
) -> Campaign[dict[str, Any]]:
    """The same with a network that was read and cleared before. The outputs are made safe before the outcome is written, and
    the outcome before the bench is closed: closing raises if an output is not safe, and what was measured must stay."""
    if (folder / OUTCOME).exists():
        raise DeploymentError(f"{folder / OUTCOME}: a deployment lies there already; choose another folder")
    for note in proposal.notes:
        yield Warned("deploy", note)
    if proposal.simulated and not bench.simulated:
        yield Warned("deploy", "this network was learned on SIMULATED devices, and this bench is a real one")
    measured = yield from measure_proposal(
        bench, proposal, clearance=clearance, folder=folder, n_repeats=n_repeats, rivals=rivals
    )
    safe = yield from made_safe(bench)
    outcome = {**outcome_of(proposal, measured, clearance, bench), "outputs_safe": safe}
    save_traces(folder / TRACES, proposal, measured)
    write_json(folder / OUTCOME, outcome)
    yield Reported(f"deploy/{proposal.task}", told_of(outcome), (str(folder / OUTCOME), str(folder / TRACES)))
    return outcome


def check_confirmed(proposal: Proposal, confirmed: str | None) -> None:
    """Raises DeploymentError if a person has confirmed another network than this one."""
    if confirmed is not None and confirmed != proposal.fingerprint:
        raise DeploymentError(
            f"{proposal.folder} is not the network that was confirmed ({confirmed[:12]}…, now "
            f"{proposal.fingerprint[:12]}…): it was written anew since. Look again at what applying it would change"
        )


def _read(network: Path) -> Campaign[Proposal]:
    """In a process of its own: reading a network needs torch, playing it does not."""
    step = Step("deploy/read", f"Read {network.name}")
    yield step.started()
    read = yield from side_by_side({"read": Job(_reading, {"folder": network})})
    proposal: Proposal = read["read"]
    yield step.finished(f"{proposal.task}, promised {proposal.promised:.4g} ± {proposal.promised_std:.2g}")
    return proposal


def _reading(folder: Path) -> Campaign[Proposal]:
    yield from ()
    return proposal_of(folder)


def measure_proposal(
    bench: Bench, proposal: Proposal, *, clearance: Clearance, folder: Path, n_repeats: int, rivals: bool
) -> Campaign[dict[str, Measurement]]:
    """Play each of the proposal's networks on its examples; the optimised one first, n_repeats times."""
    training, heldout = proposal.examples
    names = [OPTIMISED, *(name for name in proposal.wirings if name != OPTIMISED and rivals)]
    measured: dict[str, Measurement] = {}
    for who in names:
        measured[who] = yield from deploy(
            bench,
            proposal.wirings[who],
            clearance=clearance,
            metric=proposal.metric,
            heldout=heldout,
            training=training,
            conditions=proposal.conditions,
            n_repeats=n_repeats if who == OPTIMISED else 1,
            folder=folder / f"measured-{who}",
            key=f"deploy/{proposal.task}/{who}",
            title=f"Measure {proposal.task}, {who}",
            seed=proposal.examples_seed,
        )
    return measured


def outcome_of(
    proposal: Proposal, measured: Mapping[str, Measurement], clearance: Clearance, bench: Bench
) -> dict[str, Any]:
    """What is kept: promised beside measured, and all that is needed to judge it."""
    return {
        **proposal.figures(),
        "network": str(proposal.folder),
        "simulated": bench.simulated,
        "clearance": clearance.as_dict(),
        "device_seconds": bench.device_seconds,
        **{who: one.figures() for who, one in measured.items()},
    }


def told_of(outcome: Mapping[str, Any]) -> dict[str, Any]:
    """The outcome in one row, as the closed loop reports its tasks."""
    ours = outcome[OPTIMISED]
    told = {
        name: outcome[name] for name in ("metric", "promised", "promised_std", "linear_same_taps", "linear_20_taps")
    }
    told |= {"name": outcome["task"], "measured_mean": ours["measured_mean"], "measured_std": ours["measured_std"]}
    told |= {
        f"{who}_measured": outcome[who]["refitted"] if "refitted" in outcome[who] else outcome[who]["measured_mean"]
        for who in ("reservoir", "unoptimised")
        if who in outcome
    }
    return {**told, "simulated": outcome["simulated"]}


def save_traces(path: Path, proposal: Proposal, measured: Mapping[str, Measurement]) -> None:
    """Target, promised and measured outputs of the first held-out examples: `target`, `promised` (trial, step, output), and
    of every network its measured outputs (repeat, trial, step, output) by its name; `scored` (trial, step) as 0 or 1."""
    heldout = proposal.examples[1].take(slice(0, SHOWN_TRIALS))
    arrays = {"target": heldout.targets, "inputs": heldout.inputs, "scored": heldout.scored.astype(np.float64)}
    if proposal.promised_outputs is not None:
        arrays["promised"] = proposal.promised_outputs[:SHOWN_TRIALS]
    arrays |= {who: one.outputs[:, :SHOWN_TRIALS] for who, one in measured.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = {name: np.ascontiguousarray(array, dtype=np.float64) for name, array in arrays.items()}
    write_whole(path, save(plain))
