"""The network of network_case.py in torch: ours, a plain loop under autograd, and the matrix products alone.

Every formulation draws its own starts and noise in every pass, as in training, solves the read-out and returns (loss,
gradients of W_in, W, gain and bias of every layer, in this order). With given=True it uses the case's own starts and
noise, by which the formulations are compared. The rivals are made as strong as we could: all nodes of a layer are one
batch of rows (they are one device, so their weights are the same), drift and diffusion one batched product, what the
drive adds to the first layer is one product for all steps, tanh is 2 sigmoid(2 x) - 1 with the factors inside the
weights, which a CPU computes several times faster.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import network_case
import numpy as np
import torch
from network_case import Case
from torch import Tensor
from torch.nn.functional import pad, softplus

from twins.network import PhysicalNetwork
from twins.network.optimise import frozen_readout_loss
from twins.network.readout import fit_readout

Pass = Callable[[], tuple[Tensor, tuple[Tensor, ...]]]
SolveLayer = Callable[["Driven", Tensor, Tensor], Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class Driven:
    """What the drive adds, for all steps at once, and the frozen nets; a row is a node in a trial.

    hidden: (step, net, row, hidden), linear: (step, row, 1).
    """

    hidden: Tensor
    linear: Tensor
    nets: Mapping[str, Tensor]


def ours(case: Case, *, given: bool = False, **options: Any) -> Pass:
    """PhysicalNetwork of this repository; options go to its forward pass."""
    stack = _playing_back(case) if given else None
    network = PhysicalNetwork(case.wiring, {"leaky": case.twin}, stack=stack)
    inputs = network.as_inputs(case.arrays["inputs"])
    used = [parameter for parameter in network.parameters() if parameter.numel()]
    generator = torch.Generator().manual_seed(1)
    return lambda: _finish(network(inputs, generator, **options), case, used)


def _playing_back(case: Case) -> Any:
    """A maker of stacks that answer with the case's starts and noise."""
    from twins import StackedHistories, StackedTwins

    numbers = iter(range(network_case.N_LAYERS))

    def make(twins: Any) -> Any:
        inner, index = StackedTwins(twins), next(numbers)
        layer, bank = network_case.of_layer(case.arrays, index), case.twin.bank
        entries = torch.as_tensor(case.arrays[f"layer{index}_entries"])
        history = StackedHistories(bank.response[entries][..., 0], bank.drive[entries][..., 0])
        noise = torch.as_tensor(layer["noise"])
        return _PlayedBack(lambda drive: inner.respond(drive, history=history, noise=noise))

    return make


@dataclass(frozen=True, slots=True, eq=False)
class _PlayedBack:
    answer: Callable[[Tensor], Tensor]

    def respond(self, drive: Tensor, *, generator: torch.Generator) -> Tensor:  # noqa: ARG002
        """The same noise in every pass."""
        return self.answer(drive)


def by_layers(case: Case, solve_layer: SolveLayer, *, given: bool = False) -> Pass:
    """The network by another solver: solve_layer(what drives it, start (row, delay), noise (step, row)) -> (step + 1, row)."""
    arrays = case.arrays
    nets = _for_sigmoid({name: torch.as_tensor(arrays[name]) for name in _NETS})
    inputs = torch.as_tensor(arrays["inputs"], dtype=torch.float32)
    layers = [network_case.of_layer(arrays, index) for index in range(network_case.N_LAYERS)]
    parameters = [
        {name: torch.tensor(layer[name], dtype=torch.float32).requires_grad_() for name in network_case.PARAMETERS}
        for layer in layers
    ]
    used = [tensor for layer in parameters for tensor in layer.values() if tensor.numel()]
    generator = torch.Generator().manual_seed(1)
    bank = torch.as_tensor(arrays["bank_start"]), torch.as_tensor(arrays["bank_before"])
    fixed = [tuple(torch.as_tensor(layer[name]) for name in ("start", "before", "noise")) for layer in layers]

    def run() -> tuple[Tensor, tuple[Tensor, ...]]:
        features: list[Tensor] = []
        for index, trained in enumerate(parameters):
            start, before, noise = fixed[index] if given else _drawn(case, bank, generator)
            levels = _levels(trained, inputs, features[-1] if features else None, arrays)
            driven = _driven(levels, before, nets)
            path = solve_layer(driven, start.flatten(0, 1), noise.flatten(1))
            features.append(_features(path, case))
        together = torch.cat([part.permute(1, 2, 0, 3).flatten(2) for part in features], dim=-1)
        return _finish(together, case, used)

    return run


def plain_loop(driven: Driven, start: Tensor, noise: Tensor) -> Tensor:
    """A Python loop, gradients by autograd."""
    nets, window = driven.nets, start
    n_rows = len(start)
    path = [start[:, :1]]
    kicks = noise.unsqueeze(-1).unbind(0)
    for hidden, linear, kick in zip(driven.hidden.unbind(0), driven.linear.unbind(0), kicks, strict=False):
        mean, raw = net_outputs(hidden, window.expand(2, n_rows, -1), nets)
        following = torch.addmm(linear, window, nets["linear_x"]) + mean + spread(raw, nets) * kick
        window = torch.cat((following, window[:, :-1]), dim=1)
        path.append(following)
    return torch.stack(path).squeeze(-1)


def net_outputs(hidden: Tensor, window: Tensor, nets: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """(net, row, hidden) that the drive adds, window (net, row, delay) -> mean increment and raw spread, (row, 1) each."""
    h = torch.baddbmm(hidden, window, nets["hidden_x"]).sigmoid()
    h = torch.baddbmm(nets["inner_bias"], h, nets["inner"]).sigmoid()
    mean, raw = torch.baddbmm(nets["out_bias"], h, nets["out"]).unbind(0)
    return mean, raw


def spread(raw: Tensor, nets: Mapping[str, Tensor]) -> Tensor:
    """Standard deviation of a step."""
    return softplus(raw) * nets["loudness"] + nets["floor"]


_NETS = (
    "hidden_x", "hidden_u", "hidden_bias", "inner", "inner_bias", "out", "out_bias",
    "linear_x", "linear_u", "linear_bias", "loudness", "floor",
)  # fmt: skip


def _for_sigmoid(nets: dict[str, Tensor]) -> dict[str, Tensor]:
    """tanh x = 2 sigmoid(2 x) - 1: sums doubled, what follows takes 2 h - 1."""
    changed = dict(nets)
    for name in ("hidden_x", "hidden_u", "hidden_bias"):
        changed[name] = 2 * nets[name]
    changed["inner"] = 4 * nets["inner"]
    changed["inner_bias"] = 2 * (nets["inner_bias"] - nets["inner"].sum(1, keepdim=True))
    changed["out"] = 2 * nets["out"]
    changed["out_bias"] = nets["out_bias"] - nets["out"].sum(1, keepdim=True)
    return changed


def _drawn(case: Case, bank: tuple[Tensor, Tensor], generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    size, (starts, befores) = case.size, bank
    entries = torch.randint(len(starts), (size.layer, size.batch), generator=generator)
    noise = torch.randn(size.steps - 1, size.layer, size.batch, generator=generator)
    return starts[entries], befores[entries], noise


def _levels(trained: dict[str, Tensor], inputs: Tensor, before: Tensor | None, arrays: Any) -> Tensor:
    """Normalised drive (node, trial, held input) of one layer; features before: (node, trial, held input, sample)."""
    taps = [int(tap) for tap in arrays["taps"]]
    tapped = torch.stack([_later(inputs.permute(2, 0, 1), tap) for tap in taps])
    total = torch.einsum("dibt,ndi->nbt", tapped, trained["W_in"])
    if before is not None:
        delayed = torch.stack([_later(before.transpose(2, 3), tap) for tap in taps])
        total = total + torch.einsum("djbkt,ndjk->nbt", delayed, trained["W"])
    z = trained["gain"][:, None, None] * total + trained["bias"][:, None, None]
    return float(arrays["drive_mid"]) + float(arrays["drive_half"]) * torch.tanh(z)


def _later(series: Tensor, delay: int) -> Tensor:
    return pad(series[..., : series.shape[-1] - delay], (delay, 0))


def _driven(levels: Tensor, before: Tensor, nets: dict[str, Tensor]) -> Driven:
    """levels (node, trial, held input), before (node, trial, delay) newest first."""
    drive = torch.cat((before.flip(-1), levels.repeat_interleave(network_case.HOLD, dim=-1)), dim=-1).flatten(0, 1)
    windows = drive.unfold(-1, nets["hidden_u"].shape[1], 1).transpose(0, 1)  # (step, row, delay), oldest first
    both = torch.cat((*nets["hidden_u"].flip(1).unbind(0), nets["linear_u"].flip(0)), dim=1)
    bias = torch.cat((*nets["hidden_bias"].flatten(1).unbind(0), nets["linear_bias"]))
    width = nets["hidden_u"].shape[2]
    drift, diffusion, linear = (torch.matmul(windows, both) + bias).split((width, width, 1), dim=-1)
    return Driven(torch.stack((drift, diffusion), dim=1), linear, nets)


def _features(path: Tensor, case: Case) -> Tensor:
    """(step, row) -> (node, trial, held input, sample)."""
    arrays, size = case.arrays, case.size
    physical = path * float(arrays["response_scale"]) + float(arrays["response_centre"])
    return physical.T.reshape(size.layer, size.batch, size.held, network_case.HOLD)


def _finish(features: Tensor, case: Case, used: list[Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The read-out, the loss and its gradients; features (trial, held input, feature)."""
    washout = int(case.arrays["washout"])
    rows = features[:, washout:].flatten(0, 1)
    targets = case.arrays["targets"][:, washout:].reshape(len(rows), -1)
    found = rows.detach().double().numpy()
    readout = fit_readout("linear", found, targets, regularisation=float(case.arrays["ridge"]))
    loss = frozen_readout_loss(rows, targets, readout)
    return loss.detach(), torch.autograd.grad(loss, used)


def gemm_floor(case: Case) -> Pass:
    """Only the products that forward and backward cannot do without, a step at a time, nets apart, into fixed memory."""
    size, arrays = case.size, case.arrays
    rows = size.layer * size.batch
    weights = [torch.as_tensor(arrays[name]) for name in ("hidden_x", "inner", "out")]
    turned = [weight.mT.contiguous() for weight in weights]
    widths = (weights[0].shape[1], *(weight.shape[2] for weight in weights))
    layers = [torch.from_numpy(np.ones((2, rows, width), dtype=np.float32)) for width in widths]
    out = [torch.empty_like(layer) for layer in layers]

    def run() -> tuple[Tensor, tuple[Tensor, ...]]:
        for _ in range(network_case.N_LAYERS * (size.steps - 1)):
            for k, weight in enumerate(weights):
                torch.bmm(layers[k], weight, out=out[k + 1])
            for k in (2, 1, 0):
                torch.bmm(layers[k + 1], turned[k], out=out[k])
        return torch.zeros(()), ()

    return run
