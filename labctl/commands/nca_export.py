"""`labctl nca export`: hand an automaton to other programs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from labctl.errors import UsageError


def add_action(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the action to `labctl nca`."""
    export = actions.add_parser("export", help="write the automaton for programs without labctl: NumPy alone, or ONNX")
    export.add_argument("model", type=Path, help="the automaton (.json or .safetensors)")
    export.add_argument("--kind", choices=("numpy", "onnx"), default="numpy", help="default numpy")
    export.add_argument("--out", type=Path, required=True, metavar="PATH", help="a folder (numpy), or FILE.onnx")
    export.add_argument(
        "--whole-frames", action="store_true", help="one call of the ONNX model is all steps of a frame"
    )
    export.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write it."""
    from labctl.campaign import run as run_campaign
    from labctl.campaigns.export_nca import export_nca
    from labctl.console import Console
    from labctl.nca_model import load_model

    if (options.kind == "onnx") != (options.out.suffix == ".onnx"):
        raise UsageError(f"--out {options.out}: numpy is a folder, onnx a FILE.onnx")
    campaign = export_nca(load_model(options.model), options.out, kind=options.kind, whole_frames=options.whole_frames)
    sys.stdout.write(f"{run_campaign(campaign, on_event=Console())}\n")
    return 0
