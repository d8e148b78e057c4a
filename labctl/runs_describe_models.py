"""What labctl's JSON files say of themselves: twins, networks, deployments, models of equations, automata, jobs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from labctl.runs_file import DEPLOYMENT, GOKU, JOB, NCA, NETWORK, OUTCOME, TWIN, Origin, RunFile

ROLES = {"recordings": "trained on", "judged_on": "judged on", "data": "learned from", "twins": "of the twin"}
BESIDE = (".safetensors", ".report.html", ".evaluation.json")


def describe_json(path: Path, file: str, content: Mapping[str, Any]) -> RunFile | None:
    """A JSON file described; None where it is none that stands for itself."""
    form = str(content.get("format", ""))
    for begins, reader in _READERS:
        if form.startswith(begins):
            return reader(path, file, content)
    if form:
        return None  # parts of something else: wirings, states, the queue
    if {"promised", "outputs_safe", "task"} <= content.keys():
        return _deployment(path, file, content)
    if "simulated" in content or "tasks" in content or "provenance" in content:
        return _outcome(path, file, content)
    return None


def gates_mark(gates: object) -> str:
    """What a judged twin is known by: its gates, with all digits of their figures. "" for gates that were not judged."""
    figures = gates.get("gates") if isinstance(gates, Mapping) else None
    if not figures:
        return ""
    return f"gates:{hashlib.sha256(json.dumps(figures, sort_keys=True).encode()).hexdigest()[:24]}"


def promise_mark(content: Mapping[str, Any]) -> str:
    """What a network is known by: its promise and its rivals' errors, with all digits."""
    names = ("promised", "promised_std", "linear_same_taps", "linear_20_taps")
    figures = [content.get(name) for name in names]
    if not all(isinstance(one, float) for one in figures):
        return ""
    return f"promise:{hashlib.sha256(repr(figures).encode()).hexdigest()[:24]}"


def _twin(path: Path, file: str, content: Mapping[str, Any]) -> RunFile:
    about = _mapping(content, "provenance")
    gates = _mapping(about, "gates")
    outcome = (
        "not judged"
        if not gates.get("judged")
        else "passed its gates"
        if gates.get("passed")
        else "did NOT pass its gates"
    )
    calibration = _mapping(_mapping(about, "extra"), "calibration")
    if isinstance(calibration.get("coverage_90"), float):
        outcome += f", coverage of 90 % bands {calibration['coverage_90']:.3f}"
    members = content.get("members")
    if isinstance(members, list):
        outcome = f"ensemble of {len(members)}; {outcome}"
    mark = gates_mark(gates)
    return _described(path, file, TWIN, about, outcome, device=path.stem, marks=(mark,) if mark else ())


def _network(path: Path, file: str, content: Mapping[str, Any]) -> RunFile:
    about = _mapping(content, "provenance")
    task = _mapping(_mapping(content, "plan"), "task").get("name", "")
    gates = _mapping(content, "gates")
    spread = content.get("promised_std")
    around = f" ± {spread:.3f}" if isinstance(spread, float) else ""
    promised = content.get("promised")
    outcome = (
        f"{task}: promised {content.get('metric', '')} {promised:.3f}{around}"
        if isinstance(promised, float)
        else str(task)
    )
    twins = tuple(Origin(f"of the twin of {device}", mark=gates_mark(one)) for device, one in gates.items())
    mark = promise_mark(content)
    named = tuple(_origins(_mapping(about, "extra")))
    return _described(
        path,
        file,
        NETWORK,
        about,
        outcome,
        device=", ".join(gates),
        origins=(*named, *twins),
        marks=(mark,) if mark else (),
    )


def _deployment(path: Path, file: str, content: Mapping[str, Any]) -> RunFile:
    measured = _mapping(content, "optimised").get("measured_mean")
    promised = content.get("promised")
    outcome = f"{content.get('task', '')}: {content.get('metric', '')}"
    outcome += f" promised {promised:.3f}" if isinstance(promised, float) else ""
    outcome += f", MEASURED {measured:.3f}" if isinstance(measured, float) else ""
    clearance = _mapping(content, "clearance")
    outcome += "" if content.get("outputs_safe") else ", OUTPUTS NOT SAFE"
    twins = _mapping(clearance, "twins")
    origins = [Origin(f"of the twin of {device}", mark=gates_mark(one)) for device, one in twins.items()]
    network = content.get("network")
    origins.insert(
        0, Origin("of the network", path=network if isinstance(network, str) else "", mark=promise_mark(content))
    )
    notes = "\n".join(map(str, content.get("notes", ())))
    if clearance.get("override"):
        notes = f"gates overridden: {clearance['override']}\n{notes}".strip()
    return _described(
        path, file, DEPLOYMENT, content, outcome, device=", ".join(twins), origins=tuple(origins), notes=notes
    )


def _nca(path: Path, file: str, content: Mapping[str, Any]) -> RunFile:
    return _described(path, file, NCA, _mapping(content, "provenance"), _nca_outcome(content))


def _goku(path: Path, file: str, content: Mapping[str, Any]) -> RunFile:
    return _described(path, file, GOKU, _mapping(content, "provenance"), _goku_outcome(content))


def _job(_path: Path, file: str, content: Mapping[str, Any]) -> RunFile:
    origins = tuple(_job_origins(content))
    return RunFile(file, JOB, seed=content.get("seed"), outcome=str(content["title"]), origins=origins)


def _nca_outcome(content: Mapping[str, Any]) -> str:
    names = content.get("names")
    told = (
        f"of {', '.join(map(str, names))}"
        if isinstance(names, list)
        else f"ensemble of {len(content.get('members', ()))}"
    )
    evaluation = _mapping(_mapping(_mapping(content, "provenance"), "nca"), "evaluation")
    error = evaluation.get("free_run_error")
    told += f", free run error {error:.3g}" if isinstance(error, float) else ""
    return told + (", NOT stable" if evaluation.get("stable") is False else "")


def _goku_outcome(content: Mapping[str, Any]) -> str:
    system = _mapping(content, "system")
    told = str(system.get("name", system.get("kind", "")))
    names = [one.get("name", "") for one in system.get("parameters", ()) if isinstance(one, Mapping)]
    return f"{told}: {', '.join(map(str, names))}" if names else told


def _outcome(path: Path, file: str, content: Mapping[str, Any]) -> RunFile:
    """Figures of a campaign: what they are about, in the words of the first texts and numbers."""
    tasks = content.get("tasks")
    told = []
    for task in tasks if isinstance(tasks, list) else ():
        if isinstance(task, Mapping) and isinstance(task.get("measured_mean"), float):
            told.append(f"{task.get('name')}: {task.get('metric')} MEASURED {task['measured_mean']:.3f}")
    if not told:
        told = [f"{name} {value:.4g}" for name, value in content.items() if isinstance(value, float)][:4]
    devices = content.get("twins")
    origins = []
    if isinstance(content.get("model"), str):
        origins.append(Origin("of", path=content["model"]))
    return _described(
        path,
        file,
        OUTCOME,
        {**_mapping(content, "provenance"), **content},
        "; ".join(told),
        device=", ".join(devices) if isinstance(devices, Mapping) else "",
        origins=tuple(origins),
    )


def _described(
    path: Path,
    file: str,
    kind: str,
    about: Mapping[str, Any],
    outcome: str,
    *,
    device: str = "",
    notes: str = "",
    origins: tuple[Origin, ...] | None = None,
    marks: tuple[str, ...] = (),
) -> RunFile:
    seed, simulated = about.get("seed"), about.get("simulated")
    if origins is None:
        origins = tuple(_origins(_mapping(about, "extra")))
    return RunFile(
        file,
        kind,
        when_utc=str(about.get("started_utc", "")),
        device=device,
        seed=seed if isinstance(seed, int) else None,
        simulated=simulated if isinstance(simulated, bool) else None,
        outcome=outcome,
        notes=notes,
        files=tuple(f"{path.stem}{end}" for end in BESIDE if path.with_name(f"{path.stem}{end}").exists()),
        origins=tuple(one for one in origins if one.path or one.mark),
        marks=marks,
    )


def _origins(extra: Mapping[str, Any], role: str = "made from") -> Iterator[Origin]:
    """Whatever the provenance names with a path, wherever it stands in it; the outermost known name says its role."""
    for name, value in extra.items():
        told = ROLES.get(name, role) if role == "made from" else role
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, Mapping) and isinstance(one.get("path"), str):
                started = one.get("started_utc")
                yield Origin(told, one["path"], f"started:{started}" if isinstance(started, str) else "")
            elif isinstance(one, Mapping):
                yield from _origins(one, told)


def _job_origins(content: Mapping[str, Any]) -> Iterator[Origin]:
    """The paths that a job's call names."""
    stack: list[Any] = [content.get("call")]
    while stack:
        value = stack.pop()
        if isinstance(value, Mapping):
            if value.keys() == {"path"}:
                yield Origin("reads", str(value["path"]))
            stack.extend(value.values())
        elif isinstance(value, list):
            stack.extend(value)


def _mapping(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = content.get(name)
    return value if isinstance(value, Mapping) else {}


_READERS = (
    ("labctl.device_twin", _twin),
    ("labctl.twin_ensemble", _twin),
    ("labctl.exported_twin", _twin),
    ("labctl.nca", _nca),
    ("labctl.goku", _goku),
    ("labctl-network", _network),
    ("labctl job", _job),
)
"""How the format of a file begins, and who reads it."""
