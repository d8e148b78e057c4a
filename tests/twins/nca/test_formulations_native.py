"""The compiled kernel of automata: threads, signals, and what happens where there is none."""

from __future__ import annotations

import functools
import hashlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from twins.goku.compiled import library as compiled_library
from twins.library_folder import library_folder
from twins.nca import Automaton, NcaSpec
from twins.nca.formulations import library, native
from twins.nca.formulations.choice import in_words
from twins.nca.formulations.source import source

SPEC = NcaSpec(n_channels=4, n_observed=2, kernels="ID_LAP")


def automaton() -> Automaton:
    generator = torch.Generator().manual_seed(0)
    made = Automaton(SPEC, generator=generator)
    with torch.no_grad():
        made.out_weight.normal_(std=0.05, generator=generator)
    return made


needs_compiler = pytest.mark.skipif(bool(native.why_not(automaton(), torch.zeros(1))), reason="no C compiler here")


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Even short runs are shared out."""
    monkeypatch.setattr(native, "_WORTH_A_THREAD", 1)
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def run(n_threads: int, batch: int, *size: int) -> list[torch.Tensor]:
    torch.set_num_threads(n_threads)
    made = automaton()
    start = (1.4 * torch.rand(batch, 4, *size, generator=torch.Generator().manual_seed(1)) - 0.2).requires_grad_()
    unrolled = made.unroll(start, 5, formulation="native")
    parameters = [one for one in made.parameters() if one.numel()]
    loss = unrolled.state.square().sum() + unrolled.overshoot.sum()
    return [unrolled.state, unrolled.overshoot, *torch.autograd.grad(loss, [start, *parameters])]


@needs_compiler
@pytest.mark.parametrize(("batch", "size"), [(1, (70, 200)), (3, (9, 11)), (2, (66, 130))])
def test_numbers_do_not_depend_on_how_many_threads_share_the_work(
    batch: int, size: tuple[int, int], threads: None
) -> None:
    alone = run(1, batch, *size)
    for n_threads in (2, 3):
        for ours, theirs in zip(run(n_threads, batch, *size), alone, strict=True):
            assert torch.equal(ours, theirs)


@needs_compiler
def test_large_fields_are_cut_into_bands_and_agree_with_the_plain_steps(threads: None) -> None:
    assert native.n_bands(70, 200) > 1 and native.n_bands(1, 100_000) == 1
    made = automaton()
    start = torch.rand(1, 4, 70, 200, generator=torch.Generator().manual_seed(1))
    torch.set_num_threads(2)
    ours, theirs = (made.unroll(start, 4, formulation=form).state for form in ("native", "plain"))  # type: ignore[arg-type]
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


@needs_compiler
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="POSIX only")
@pytest.mark.parametrize(("batch", "size"), [(1, 160), (2, 64)])
def test_a_long_run_hears_signals(batch: int, size: int, threads: None) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    torch.set_num_threads(2)
    made, start = automaton(), torch.rand(batch, 4, size, size)
    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        with torch.no_grad(), pytest.raises(KeyboardInterrupt):
            native.advance(made, start, start.new_zeros(batch), [None] * 1_000_000, None)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def unrolled(made: Automaton) -> torch.Tensor:
    return made.unroll(torch.rand(1, 4, 40, 40, generator=torch.Generator().manual_seed(1)), 3).state


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels that were found are looked for again."""
    monkeypatch.setattr(library, "_kernel", functools.cache(library._kernel.__wrapped__))


def test_switched_off_all_goes_by_torch_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = unrolled(automaton())
    monkeypatch.setenv("LABCTL_NATIVE", "0")
    made = automaton()
    torch.testing.assert_close(unrolled(made), expected)
    assert "LABCTL_NATIVE=0" in in_words(made)


def test_without_a_compiler_all_goes_by_torch_and_says_so(monkeypatch: pytest.MonkeyPatch, forgetful: None) -> None:
    monkeypatch.setattr(compiled_library.shutil, "which", lambda _name: None)
    made = automaton()
    assert unrolled(made).isfinite().all()
    assert "no C compiler" in in_words(made)


@needs_compiler
def test_a_damaged_library_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forgetful: None) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    compiler = compiled_library._compiler()
    name = hashlib.sha256(b"\0".join((source(SPEC).encode(), compiled_library._made_by(compiler)))).hexdigest()[:32]
    kept = library_folder() / f"equation-{name}.so"
    kept.write_bytes(b"damaged")
    kept.chmod(0o700)
    made = automaton()
    assert unrolled(made).isfinite().all()
    assert "native: OSError" in in_words(made)
    assert "nca_back" in str(library._kernel("int nca_forward(void) { return 0; }\n"))  # not ours


def test_nothing_is_compiled_for_a_few_cells_and_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "load", None)
    made = automaton()
    made.unroll(torch.rand(1, 4, 5, 5), 3)
    assert "few cells" in in_words(made)


def test_networks_too_wide_for_the_caches_are_left_to_torch() -> None:
    wide = NcaSpec(n_channels=64, n_observed=2, kernels="ID_DIFF_LAP_AV")
    assert "weights" in str(library.kernel_of(wide))


@pytest.mark.skipif(os.name != "posix", reason="POSIX only")
def test_specs_that_differ_in_padding_and_firing_share_a_kernel() -> None:
    other = NcaSpec(n_channels=4, n_observed=2, kernels="ID_LAP", padding="zero", fire_rate=0.5)
    assert source(SPEC) == source(other)
