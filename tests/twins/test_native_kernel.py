"""The compiled kernel of stacked twins: the same as torch's, threads or not, and never needed."""

from __future__ import annotations

import ctypes
import functools
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import twins
from twins.device import native
from twins.device.prepare import prepare_twin

needs_compiler = pytest.mark.skipif(native.library() is None, reason="no C compiler here")


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make(seed: int, **structure: object) -> twins.DeviceTwin:
    rng = np.random.default_rng(seed)
    drive, response = rng.uniform(-2, 2, (8, 60, 1)), np.zeros((8, 60, 1))
    for k in range(59):
        noise = 0.05 * rng.normal(size=(8, 1))
        response[:, k + 1] = response[:, k] + 0.2 * (np.tanh(drive[:, k]) - response[:, k]) + noise
    traces = twins.Traces(drive, response, 2e-4, ("d",), ("V",), ("r",), ("V",), n_prepare=10)
    twin = twins.DeviceTwin(twins.DeviceTwinSpec.for_traces(traces, **structure))
    prepare_twin(twin, [traces], generator=seeded(seed))
    with torch.no_grad():
        for parameter in twin.nets.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=seeded(seed)))
    return twin


def answer_and_gradients(stack: twins.StackedTwins, n_batch: int) -> list[torch.Tensor]:
    """Response, and the gradients of drive and state of a run that goes on from a state."""
    drive = (torch.rand(stack.n_nodes, n_batch, 40, generator=seeded(4)) * 3 - 1.5).requires_grad_()
    state = stack.start(n_batch, generator=seeded(5))
    begun = [tensor.clone().requires_grad_() for tensor in state.tensors()]
    first, state = stack.advance(state.with_tensors(begun), drive[..., :15], generator=seeded(6))
    second, _ = stack.advance(state, drive[..., 15:], generator=seeded(7))
    response = torch.cat((first, second), dim=-1)
    weight = torch.randn(response.shape, generator=seeded(8))
    return [response.detach(), *torch.autograd.grad((response * weight).sum(), [drive, *begun])]


@needs_compiler
@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize(("depth", "n_batch"), [(1, 16), (2, 37), (3, 5)])
def test_responses_and_gradients_are_those_of_torch(activation, depth, n_batch, monkeypatch):
    a = make(1, response_delays=3, drive_delays=1, hidden=(12,) * depth, activation=activation)
    b = make(2, response_delays=0, drive_delays=2, hidden=(7,) * depth, activation=activation)
    stack = twins.StackedTwins([a, b, a])
    compiled = answer_and_gradients(stack, n_batch)
    monkeypatch.setattr(native, "usable", lambda _like: False)
    for ours, theirs in zip(compiled, answer_and_gradients(stack, n_batch), strict=True):
        assert float((ours - theirs).abs().max()) < 3e-5 * float(theirs.abs().max())


@needs_compiler
def test_gradients_of_conditions_are_those_of_torch(monkeypatch):
    rng = np.random.default_rng(3)
    parts = []
    for bias in (0.0, 1.0):
        drive = rng.uniform(-1, 1, (6, 60, 1))
        response = np.zeros((6, 60, 1))
        for k in range(59):
            pull = np.tanh(drive[:, k] + bias) - response[:, k]
            response[:, k + 1] = response[:, k] + 0.2 * pull + 0.02 * rng.normal(size=(6, 1))
        parts.append(
            twins.Traces(drive, response, 2e-4, ("d",), ("V",), ("r",), ("V",), n_prepare=10, conditions={"bias": bias})
        )
    twin = twins.DeviceTwin(twins.DeviceTwinSpec.for_traces(parts, hidden=(8, 8)))
    prepare_twin(twin, parts, generator=seeded(0))
    with torch.no_grad():
        for parameter in twin.nets.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=seeded(1)))
    stack = twins.StackedTwins([twin, twin], conditions=[{"bias": 0.5}] * 2)
    drive = torch.rand(2, 9, 30, generator=seeded(2)) - 0.5

    def gradient() -> torch.Tensor:
        bias = torch.tensor(0.4, requires_grad=True)
        response = stack.respond(drive, generator=seeded(3), conditions={"bias": bias})
        return torch.autograd.grad(response.square().sum(), bias)[0]

    compiled = gradient()
    monkeypatch.setattr(native, "usable", lambda _like: False)
    assert compiled != 0
    torch.testing.assert_close(compiled, gradient(), rtol=1e-4, atol=0.0)


@needs_compiler
def test_numbers_do_not_depend_on_threads(monkeypatch):
    monkeypatch.setattr(native, "_WORTH_A_THREAD", 1)
    stack = twins.StackedTwins([make(1)] * 3)
    found = []
    for n_threads in (1, 3):
        monkeypatch.setattr(torch, "get_num_threads", lambda n=n_threads: n)
        found.append(answer_and_gradients(stack, 40))
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


@needs_compiler
def test_what_is_not_finite_stays_so():
    stack = twins.StackedTwins([make(1)])
    drive = torch.zeros(1, 20, 12)
    drive[0, 3, 2] = float("nan")
    response = stack.respond(drive, generator=seeded(0), check_range=False)
    assert response[0, 3, 3:].isnan().all()
    assert response[0, :3].isfinite().all() and response[0, 4:].isfinite().all()


@needs_compiler
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_a_hidden_layer_that_is_not_finite_is_seen_as_torch_sees_it(activation, monkeypatch):
    stack = twins.StackedTwins([make(1, activation=activation), make(2, activation=activation)])
    stack._kernels[0].get_buffer("bias_in")[0, 0, 0] = float("nan")  # of one hidden unit, not of the linear model
    compiled = answer_and_gradients(stack, 5)
    monkeypatch.setattr(native, "usable", lambda _like: False)
    for ours, theirs in zip(compiled, answer_and_gradients(stack, 5), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5, equal_nan=True)
    assert compiled[0][0, :, 1:].isnan().all() and compiled[0][1].isfinite().all()


@needs_compiler
@pytest.mark.parametrize("assign", [False, True])
def test_weights_loaded_in_place_are_those_it_runs_with(assign, monkeypatch):
    stack, other = (twins.StackedTwins([make(seed, hidden=(9, 9))]) for seed in (1, 2))
    answer_and_gradients(stack, 5)
    stack.load_state_dict(other.state_dict(), assign=assign)
    compiled = answer_and_gradients(stack, 5)
    monkeypatch.setattr(native, "usable", lambda _like: False)
    fresh = twins.StackedTwins([make(1, hidden=(9, 9))])
    fresh.load_state_dict(other.state_dict())
    for ours, theirs in zip(compiled, answer_and_gradients(fresh, 5), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


@pytest.fixture
def asked_again():
    """Whether there is a library is asked afresh, in the test and after it."""
    native._found.cache_clear()
    yield
    native._found.cache_clear()


@pytest.mark.parametrize("without", ["switched off", "no compiler", "broken compiler"])
def test_without_it_torch_answers(without, asked_again, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    if without == "switched off":
        monkeypatch.setenv("LABCTL_NATIVE", "0")
    else:
        monkeypatch.setenv("PATH", str(tmp_path))
    if without == "broken compiler":
        compiler = tmp_path / "cc"
        compiler.write_text("#!/bin/sh\nexit 1\n")
        compiler.chmod(0o755)
    assert native.in_words() == "not used"
    assert native.library() is None
    assert {"switched off": "LABCTL_NATIVE", "no compiler": "compiler", "broken compiler": "exit status"}[
        without
    ] in native.why_not()
    assert twins.StackedTwins([make(1)]).respond(torch.zeros(1, 4, 9), generator=seeded(0)).shape == (1, 4, 9)


@needs_compiler
def test_without_a_home_folder_torch_answers(asked_again, monkeypatch):
    def nobody() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", nobody)
    assert twins.StackedTwins([make(1)]).respond(torch.zeros(1, 4, 9), generator=seeded(0)).shape == (1, 4, 9)
    assert "home directory" in native.why_not() and native.in_words().startswith("torch (")


@needs_compiler
def test_a_library_that_is_not_ours_is_not_used(asked_again, monkeypatch, tmp_path):
    source, foreign = tmp_path / "foreign.c", tmp_path / "foreign.so"
    source.write_text("int nothing_of_ours(void) { return 0; }\n")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(foreign), str(source)], check=True)
    monkeypatch.setattr(native, "_compiled", lambda _compiler: foreign)
    assert native.library() is None
    assert "stacked_run" in native.why_not()


@needs_compiler
def test_it_is_compiled_once(asked_again, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert native.library() is not None and not native.why_not() and native.in_words() == "compiled"
    (made,) = (tmp_path / "labctl").iterdir()
    when = made.stat().st_mtime_ns
    native._found.cache_clear()
    assert native.library() is not None
    assert [path.stat().st_mtime_ns for path in (tmp_path / "labctl").iterdir()] == [when]


STOPPED_WHILE_RUNNING = """
import signal, sys, time
import torch
from tests.twins.test_native_kernel import make, seeded
import twins
from twins.device import native

torch.set_num_threads(2)
stack = twins.StackedTwins([make(1, hidden=(32, 32))] * 2)
drive = torch.zeros(2, 16, 200_000)
share_out, followed = native._share_out, []

def with_a_signal(*arguments):
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    share_out(*arguments)
    sys.exit("it was over before the signal came")

def raised(*_):
    if followed:
        signal.setitimer(signal.ITIMER_REAL, followed.pop())
    raise KeyboardInterrupt

native._share_out = with_a_signal
signal.signal(signal.SIGALRM, raised)
for second in (None, None, 2e-5, 2e-4):  # seconds from one signal to the next, while it waits
    followed[:] = [] if second is None else [second]
    try:
        try:
            stack.respond(drive, generator=seeded(0), check_range=False)
        except KeyboardInterrupt:
            time.sleep(0.1)
    except KeyboardInterrupt:
        time.sleep(0.1)
print("alive")
"""


@needs_compiler
def test_a_signal_stops_a_run_of_several_threads_and_nobody_writes_to_memory_let_go():
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", STOPPED_WHILE_RUNNING]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (0, "alive\n"), done.stderr


@needs_compiler
def test_a_run_that_is_told_to_stop_leaves_the_rest_as_it_was(monkeypatch):
    stop = ctypes.c_int(1)
    monkeypatch.setattr(native, "_Job", functools.partial(native._Job, stop=stop))
    stack = twins.StackedTwins([make(1)])
    drive = torch.zeros(1, 16, 5000)
    quiet = stack.respond(drive, generator=seeded(0))
    assert float(quiet[..., 2:].std()) < 1e-9  # nobody wrote there; else it is noisy


@needs_compiler
def test_what_another_thread_raises_is_raised_here(monkeypatch):
    def broken(*_arguments):
        raise ValueError("in the thread")

    monkeypatch.setattr(native, "_kernel", lambda: SimpleNamespace(stacked_run=broken))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    with pytest.raises(ValueError, match="in the thread"):
        twins.StackedTwins([make(1)] * 2).respond(torch.zeros(2, 16, 5000), generator=seeded(0))
