"""What must hold between the tables of a network file, and who listens to whom in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from labctl.file_problems import Problem
from labctl.network_schema import INPUT, MOST_NODES, LayerTable, NetworkFile


@dataclass(frozen=True, slots=True)
class Heard:
    """What a layer listens to: the input or not, and layers by number."""

    hears_input: bool
    sources: tuple[int, ...]


def heard_by(file: NetworkFile) -> dict[str, Heard]:
    """By layer; the input and the layer before where the file says nothing. For a file that passed `cross_check`."""
    names = list(file.layers)
    heard = {}
    for number, (name, layer) in enumerate(file.layers.items()):
        if layer.listens_to is None:
            heard[name] = Heard(True, (number - 1,) if number else ())
        else:
            sources = tuple(names.index(one) for one in layer.listens_to if one != INPUT)
            heard[name] = Heard(INPUT in layer.listens_to, sources)
    return heard


def recurrent_layers(file: NetworkFile) -> tuple[str, ...]:
    """The layers that listen to themselves or to a later one."""
    return tuple(
        name for number, (name, one) in enumerate(heard_by(file).items()) if any(back >= number for back in one.sources)
    )


def cross_check(file: NetworkFile) -> list[Problem]:
    """Every contradiction between the tables."""
    problems = [problem for name, layer in file.layers.items() for problem in _listening(file, name, layer)]
    n_nodes = sum(len(layer.nodes) for layer in file.layers.values())
    if n_nodes > MOST_NODES:
        problems.append(Problem(("layers",), f"{n_nodes} nodes in all; at most {MOST_NODES} are allowed"))
    played = dict.fromkeys(device for layer in file.layers.values() for device in layer.nodes)
    for device in file.devices:
        if device not in played:
            there = ", ".join(played)
            problems.append(Problem(("devices", device), f"no layer has a node on {device}; nodes are on {there}"))
    problems += _steps(("input_taps",), file.input_taps)
    problems += _steps(("coupling_delays",), file.coupling_delays)
    problems += _offsets(file)
    return problems if problems else list(_recurrence(file))


def _listening(file: NetworkFile, name: str, layer: LayerTable) -> Iterator[Problem]:
    here = ("layers", name)
    if name == INPUT:
        yield Problem(here, f"{INPUT!r} means the task's input and can be no layer's name; call it otherwise")
    listens = layer.listens_to
    known = ", ".join((INPUT, *file.layers))
    for one in listens or ():
        if one != INPUT and one not in file.layers:
            yield Problem((*here, "listens_to"), f"there is no layer {one!r}; a layer can listen to {known}")
    if listens is not None and len(set(listens)) != len(listens):
        yield Problem((*here, "listens_to"), f"names something twice: {', '.join(listens)}")
    hears_input = listens is None or INPUT in listens
    first = next(iter(file.layers)) == name
    hears_layers = (listens is None and not first) or any(one != INPUT for one in listens or ())
    if not hears_input and (layer.input_taps is not None or layer.input_density != 1.0):
        key = "input_taps" if layer.input_taps is not None else "input_density"
        yield Problem((*here, key), f'the layer does not listen to the input; put "{INPUT}" into listens_to')
    if not hears_layers and (layer.coupling_delays is not None or layer.coupling_density != 1.0):
        key = "coupling_delays" if layer.coupling_delays is not None else "coupling_density"
        yield Problem((*here, key), "the layer listens to no layer; name some in listens_to")
    for key in ("input_taps", "coupling_delays"):
        yield from _steps((*here, key), getattr(layer, key))


def _steps(where: tuple[str, ...], steps: Sequence[int] | None) -> Iterator[Problem]:
    if steps is not None and (not steps or len(set(steps)) != len(steps)):
        yield Problem(
            where, f"needs whole numbers of steps, each once, not {list(steps)}; leave it out for the default"
        )


def _offsets(file: NetworkFile) -> Iterator[Problem]:
    offsets, samples = file.sample_offsets, file.samples_per_step
    if offsets is None:
        return
    if list(offsets) != sorted(set(offsets)):
        yield Problem(("sample_offsets",), f"must rise, each once, not {list(offsets)}")
    elif samples is not None and offsets[-1] >= samples:
        yield Problem(
            ("sample_offsets",),
            f"a step has samples 0..{samples - 1} (samples_per_step = {samples}), not {offsets[-1]}",
        )


def _recurrence(file: NetworkFile) -> Iterator[Problem]:
    """What a node hears within a step must have been recorded by then: not so where layers hear each other."""
    loops = recurrent_layers(file)
    if not loops:
        return
    why = f"{' and '.join(loops)} listen{'s' if len(loops) == 1 else ''} to itself or to a later layer"
    must = "in a recurrent network every coupling delay must be at least 1 step, for nodes answer at the same time"
    if file.coupling_delays is not None and 0 in file.coupling_delays:
        yield Problem(("coupling_delays",), f"contains 0, but layer {why}; {must}")
    yield from _live_at_once(file, why)
    for name, layer in file.layers.items():
        if layer.coupling_delays is not None and 0 in layer.coupling_delays:
            yield Problem(("layers", name, "coupling_delays"), f"contains 0, but layer {why}; {must}")


def _live_at_once(file: NetworkFile, why: str) -> Iterator[Problem]:
    """All nodes of a recurrent network answer at the same time, so that a device can be one of them only."""
    played: set[str] = set()
    for name, layer in file.layers.items():
        twice = [device for number, device in enumerate(layer.nodes) if device in {*played, *layer.nodes[:number]}]
        played |= set(layer.nodes)
        if twice:
            yield Problem(
                ("layers", name, "nodes"),
                f"{', '.join(dict.fromkeys(twice))} would be several nodes, but layer {why}: in a recurrent network all nodes "
                "are live at once, each on a device of its own",
            )
