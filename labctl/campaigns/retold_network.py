"""A network folder with another optimised wiring in it: what closing the gap, or training on the bench, leaves for `deploy`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.clearance import Gates
from labctl.json_file import write_json
from labctl.promised_outputs import save_promised

if TYPE_CHECKING:
    from twins.network.judging import Promise
    from twins.network.wiring import Wiring


def retell_network(
    source: Path,
    folder: Path,
    *,
    wiring: Wiring,
    promise: Promise,
    gates: Mapping[str, Gates],
    provenance: Mapping[str, Any],
) -> Path:
    """Copy the network in `source` (see labctl.campaigns.network_files) to `folder`, with this wiring as the optimised one.

    promise: of this wiring, on the held-out examples of the network. gates: of the twins that it promises by. Rivals, plan
    and examples stay. provenance: of the new wiring; that of the network before is kept in it as `network_before`.
    """
    from twins.network.wiring_file import save_wiring

    shutil.copytree(source, folder)
    path = folder / "network.json"
    network = json.loads(path.read_text(encoding="utf-8"))
    whole = {**provenance, "network_before": network["provenance"]}
    network |= {
        "promised": promise.mean,
        "promised_std": promise.std,
        "gates": {**network.get("gates", {}), **{name: dict(one) for name, one in gates.items()}},
        "provenance": whole,
    }
    save_wiring(wiring, folder / "optimised", provenance=provenance)
    save_promised(folder, promise)
    write_json(path, network)
    return folder
