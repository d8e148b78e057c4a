"""What a fit that is stopped leaves: the best twin so far, saved, and not judged."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

from labctl.campaigns.finish_twin import TwinOrigin, provenance_of
from labctl.campaigns.train_twin import UnderWay

STOPPED = "the fit was stopped: this is the best twin until then, and it was not judged"


def save_stopped(under_way: UnderWay, origin: TwinOrigin, *, folder: Path) -> Path | None:
    """Save the best twin so far as `<device>.safetensors` and `.json`, without gates: it is to be judged by a check
    (`labctl twin check --store`). None, and nothing is written, where no checkpoint was judged yet, or where a twin of this
    name is there already, which is kept."""
    best = under_way.best
    path = folder / origin.device
    if best is None or path.with_suffix(".json").exists():
        return None
    from twins import save_twin

    chosen = replace(best.chosen, reasons=(*best.chosen.reasons, STOPPED))
    training = {
        **asdict(origin.settings),
        "stopped": True,
        "seed": origin.seed,
        "best_phase": best.phase,
        "best_epoch": best.epoch,
        "free_run_score": best.score,
    }
    folder.mkdir(parents=True, exist_ok=True)
    provenance = provenance_of(training, replace(origin, chosen=chosen), figures={}, gates={})
    return save_twin(best.twin, path, provenance=provenance)
