"""What the training of automata says, and what it leaves: plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from twins.nca.free_run import FreeRun
from twins.nca.model import NcaModel

ValidatedOn = Literal["validation frames", "held-out trials", "end of the sequence", "training frames"]


@dataclass(frozen=True, slots=True)
class NcaEpoch:
    """An epoch is done; counted from 1.

    horizon: frames that gradients went back through. parts: above 1, only such parts of frames were learned. train_loss:
    mean over the epoch, without regularisers (infinite if nothing was finite). overshoot: mean of what lay beyond [0, 1],
    over steps, summed over cells. validation: mean error of free runs in standard deviations of the data, and stable:
    whether they all were, and kept: whether their patterns also last beyond the data; None where this epoch was not judged.
    best: this automaton is kept as the best so far.
    propagated: outputs became inputs. n_skipped: updates that were not finite. n_replaced: states that ran away and became
    true frames again. seconds: since the beginning. progress: 0..1.
    """

    epoch: int
    horizon: int
    parts: int
    train_loss: float
    overshoot: float
    validation: float | None
    stable: bool | None
    learning_rate: float
    best: bool
    propagated: bool
    n_skipped: int
    n_replaced: int
    seconds: float
    progress: float
    kept: bool | None = None


NcaEvent = NcaEpoch


@dataclass(frozen=True, slots=True, eq=False)
class FittedNca:
    """model: with the automaton that was handed over, holding the weights with the best free runs.

    validation, stable, kept, validation_run: of the kept weights; stable: within the data, and in range beyond it. kept: the
    pattern also lasts beyond the data (see FreeRun). whole_run: where the end of the sequence was held out, the run from its
    first frame on, which both also rest on; else the same as validation_run. train_loss: of the epoch they come from.
    stopped: "epochs", "max_seconds" or "diverged", with `advice` what to do then. validated_on: which frames the choice
    rests on; "training frames" where there was nothing to hold out, "end of the sequence" where there was one trial.
    held_out: trials held out.
    n_skipped, n_replaced: over the whole fit.
    """

    model: NcaModel
    seed: int
    validation: float
    stable: bool
    validation_run: FreeRun
    train_loss: float
    best_epoch: int
    n_epochs: int
    seconds: float
    stopped: str
    advice: str
    validated_on: ValidatedOn
    held_out: tuple[int, ...]
    n_skipped: int
    n_replaced: int
    kept: bool
    whole_run: FreeRun
