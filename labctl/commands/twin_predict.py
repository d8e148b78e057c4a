"""`labctl twin predict`: what a twin foresees of recordings, with bands, residuals, coverage and spectra, as arrays."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.commands.arguments import check_new, positive_integer, seed
from labctl.commands.data_arguments import add_data_arguments, align_as, recordings_of

if TYPE_CHECKING:
    from labctl.twin_prediction import TwinPrediction


def add_action(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the action to `labctl twin`."""
    predict = actions.add_parser(
        "predict",
        help="free runs of a twin beside recordings it has not seen: bands, residuals, coverage, spectra",
        description="The file has every input's measured responses and quantiles of the free runs (5, 25, 50, 75, 95 %), "
        "and over all inputs residuals, coverage by level, autocorrelation and spectra.",
    )
    predict.add_argument("twin", type=Path, help="the twin (.safetensors or .json of it)")
    predict.add_argument("recordings", type=Path, nargs="+", help="recordings that were not used to fit it")
    predict.add_argument("--out", type=Path, metavar="FILE", help="a new file, .npz or .h5, for the arrays")
    predict.add_argument("--draws", type=positive_integer, default=99, help="free runs an input (default 99)")
    predict.add_argument("--seed", type=seed, default=0, help="seed of the free runs (default 0)")
    predict.add_argument("--json", action="store_true", help="print JSON instead of a table")
    add_data_arguments(predict, test_rows=False)
    predict.set_defaults(run=run_predict)


def run_predict(options: argparse.Namespace) -> int:
    """Predict; print coverage by level and by input."""
    from labctl.campaign import run
    from labctl.campaigns.predict_twin import predict_twin
    from labctl.console import Console
    from labctl.errors import UsageError
    from labctl.twin_prediction import FORMATS

    if options.out is not None:
        check_new([options.out])
        if options.out.suffix not in FORMATS:
            raise UsageError(f"--out {options.out}: give a name that ends in {' or '.join(FORMATS)}")
    align_as(options, [options.twin])
    recordings, _ = recordings_of(options, options.recordings)
    campaign = predict_twin(options.twin, recordings, n_draws=options.draws, seed=options.seed, out=options.out)
    prediction = run(campaign, on_event=Console())
    sys.stdout.write(json.dumps(prediction.as_dict(), indent=2) + "\n" if options.json else _table(prediction))
    return 0


def _table(prediction: TwinPrediction) -> str:
    lines = ["SIMULATED recordings"] if prediction.simulated else []
    lines.append(f"{prediction.n_trials} trials of {prediction.n_inputs} inputs, {prediction.n_draws} free runs each")
    lines.append(f"{'interval':>10}  " + "  ".join(f"{name:>20}" for name in prediction.response_names))
    for level, shares in zip(prediction.levels, prediction.covered, strict=True):
        lines.append(f"{100 * level:>9.0f}%  " + "  ".join(f"{100 * share:>19.1f}%" for share in shares))
    lines.append("lag-1 autocorrelation of the residuals (of the twin's own):")
    for name, one, own in zip(prediction.response_names, prediction.acf[1], prediction.own_acf[1], strict=True):
        lines.append(f"  {name}: {one:.3f} ({own:.3f})")
    lines.append("free-run score, and share of measured values in the 90 % interval:")
    lines += [f"  {one.label}: {one.score:.4f}, {100 * one.coverage_90:.1f} %" for one in prediction.inputs]
    return "\n".join(lines) + "\n"
