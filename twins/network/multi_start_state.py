"""What a multi-start has decided so far, on disk as JSON; every start has a file of its own beside it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from twins.files import write_whole
from twins.network.halving import Rung
from twins.network.optimise_settings import OptimiserSettings
from twins.network.optimise_state import OptimiseStateError, RunIdentity, differences
from twins.network.tasks import Task

FORMAT: Final = "labctl-multi-start-state"
LARGEST_FILE_BYTES = 2**24

_Natural = Annotated[int, Field(ge=0)]
_Seconds = Annotated[float, Field(ge=0)]
_Score = Annotated[float, Field(gt=-math.inf, allow_inf_nan=True)]
"""Infinite of a draw that was not finite; never NaN."""


@dataclass(frozen=True, slots=True)
class ChoiceSoFar:
    """scores: of all draws (empty: not judged yet). kept: numbers of the draws still trained, best first. n_rungs_done:
    halvings behind us. dropped_iterations: of the starts that were dropped. judging_seconds: of judging the draws;
    seconds: those and the ones of the starts that were dropped."""

    scores: tuple[float, ...] = ()
    kept: tuple[int, ...] = ()
    n_rungs_done: int = 0
    dropped_iterations: int = 0
    judging_seconds: float = 0.0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class MultiStartFile:
    """Where the choice is kept, and what must be the same for a run to go on from there."""

    path: Path
    identity: Mapping[str, Any]
    ladder: tuple[Rung, ...]

    @classmethod
    def of(
        cls,
        path: Path,
        task: Task,
        *,
        seed: int,
        settings: OptimiserSettings,
        n_drawn: int,
        ladder: tuple[Rung, ...],
    ) -> MultiStartFile:
        """Of a run."""
        one = RunIdentity.of(task, seed=seed, settings=settings)
        starts = {"n_drawn": n_drawn, "rungs": [[rung.n_alive, rung.until] for rung in ladder]}
        return cls(path, {**one.settings, **one.task, "seed": seed, **starts}, ladder)

    def of_start(self, start: int) -> Path:
        """The state file of one start."""
        return self.path.with_name(f"{self.path.stem}.start{start}.safetensors")

    def save(self, choice: ChoiceSoFar) -> None:
        """Write the choice, whole or not at all."""
        content = _Content(format=FORMAT, version=1, identity=dict(self.identity), **_lists(asdict(choice)))
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self.path, (content.model_dump_json(indent=2) + "\n").encode())

    def load(self) -> ChoiceSoFar:
        """The choice of this run; a new one if there is no file. Raises OptimiseStateError for any other content."""
        if not self.path.exists():
            return ChoiceSoFar()
        try:
            if self.path.stat().st_size > LARGEST_FILE_BYTES:
                raise OptimiseStateError(f"{self.path}: more than {LARGEST_FILE_BYTES} bytes, which no choice has")
            found = _Content.model_validate_json(self.path.read_bytes())
        except OSError as error:
            raise OptimiseStateError(f"{self.path}: cannot be read: {error}") from error
        except ValidationError as error:
            raise OptimiseStateError(f"{self.path}: not a multi-start ({FORMAT}, version 1): {error}") from error
        different = differences(found.identity, json.loads(json.dumps(dict(self.identity))))
        if different:
            raise OptimiseStateError(
                f"{self.path}: is of another run ({'; '.join(different)}); give what that run had, or remove the file and "
                "those of its starts to begin anew"
            )
        _check_choice(self.path, found, self.ladder)
        return ChoiceSoFar(
            scores=tuple(found.scores),
            kept=tuple(found.kept),
            n_rungs_done=found.n_rungs_done,
            dropped_iterations=found.dropped_iterations,
            judging_seconds=found.judging_seconds,
            seconds=found.seconds,
        )


def forget_choice(path: Path) -> None:
    """Remove the file of a multi-start and those of its starts, once nobody wants to go on from there."""
    for one in (path, *path.parent.glob(f"{path.stem}.start*.safetensors")):
        one.unlink(missing_ok=True)


class _Content(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, ser_json_inf_nan="constants")

    format: Literal["labctl-multi-start-state"]
    version: Literal[1]
    identity: dict[str, Any]
    scores: Annotated[list[_Score], Field(min_length=1)]
    kept: Annotated[list[_Natural], Field(min_length=1)]
    n_rungs_done: _Natural
    dropped_iterations: _Natural
    judging_seconds: _Seconds
    seconds: _Seconds


def _lists(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, Sequence) else value for name, value in values.items()}


def _check_choice(path: Path, found: _Content, ladder: Sequence[Rung]) -> None:
    n_drawn = found.identity["n_drawn"]
    wrong = len(found.scores) != n_drawn or len(set(found.kept)) != len(found.kept) or max(found.kept) >= n_drawn
    if wrong or found.n_rungs_done >= len(ladder) or len(found.kept) != ladder[found.n_rungs_done].n_alive:
        raise OptimiseStateError(f"{path}: is damaged: what was kept does not fit what was drawn")
