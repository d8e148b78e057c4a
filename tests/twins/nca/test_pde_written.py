"""Equations written as text: the same as those in Python, and nothing but arithmetic."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from twins.errors import EquationInvalid, SolverRefused
from twins.nca.metrics import pattern_sd, wavelength
from twins.nca.pde import (
    MITOSIS,
    AdvectionDiffusion,
    CahnHilliard,
    blocks,
    load_pde,
    noise,
    pde_from,
    random_values,
    simulate,
    simulate_family,
)

EXAMPLES = Path(__file__).parents[3] / "examples"
GRAY_SCOTT: dict[str, Any] = {
    "name": "Gray-Scott",
    "fields": {"A": {"background": 1.0, "seed": 0.0}, "B": {}},
    "parameters": {
        "alpha": {"default": 0.0367, "range": [0.0, 0.1]},
        "gamma": {"default": 0.0649},
        "spread": {"default": 0.1},
    },
    "constants": {"half": 0.5},
    "let": {"reaction": "A * B**2"},
    "rates": {
        "A": "spread * lap(A) - reaction + alpha * (1 - A)",
        "B": "half * spread * lap(B) + reaction - (gamma + alpha) * B",
    },
}


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def changed(**parts: Any) -> dict[str, Any]:
    return {**copy.deepcopy(GRAY_SCOTT), **parts}


@pytest.mark.parametrize("padding", ["periodic", "zero", "symmetric"])
def test_a_written_equation_is_the_one_in_python(padding: str) -> None:
    written, start = pde_from(GRAY_SCOTT), blocks(MITOSIS, size=24)
    assert written.fields == MITOSIS.fields and torch.equal(blocks(written, size=24), start)
    torch.testing.assert_close(
        written.rate(start, padding=padding), MITOSIS.rate(start, padding=padding), atol=1e-15, rtol=1e-12  # type: ignore[arg-type]
    )  # fmt: skip
    options: dict[str, Any] = {"n_frames": 3, "steps_per_frame": 50, "padding": padding}
    np.testing.assert_allclose(
        simulate(written, start, **options).values, simulate(MITOSIS, start, **options).values, atol=1e-6
    )


def test_slopes_and_nested_differences_are_those_of_the_stencils() -> None:
    content = {
        "fields": {"u": {}},
        "rates": {"u": "0.05 * lap(u**3 - u - lap(u)) + 0 * bilap(u) - 0.2 * dx(u) + 0.1 * dy(u) + lap(2.0)"},
    }
    state = random_values(CahnHilliard(), 2, size=9, generator=draws())
    carried = AdvectionDiffusion(diffusion=0.0, velocity_x=0.2, velocity_y=-0.1)
    torch.testing.assert_close(pde_from(content).rate(state), CahnHilliard().rate(state) + carried.rate(state))
    twice = pde_from({"fields": {"u": {}}, "rates": {"u": "bilap(u) - lap(lap(u))"}})
    assert float(twice.rate(state).abs().max()) < 1e-12


def test_its_parameters_are_conditions_of_a_family_and_keep_within_their_ranges() -> None:
    written = pde_from(GRAY_SCOTT)
    sets = [{"alpha": 0.03, "gamma": 0.06}, {"alpha": 0.05, "gamma": 0.065}]
    family = simulate_family(written, sets, blocks(written, size=16), n_frames=2, steps_per_frame=5)
    assert family.n_trials == 8 and family.condition_names == ("alpha", "gamma")
    assert not np.array_equal(family.values[0], family.values[4])
    assert written.parameters["alpha"] == 0.0367  # itself it stays as it was
    with pytest.raises(EquationInvalid, match=r"outside its range 0\.\.0\.1"):
        written.with_parameters(alpha=0.2)
    with pytest.raises(EquationInvalid, match="it has alpha, gamma, spread"):
        written.with_parameters(half=0.2)


def test_as_plain_data_it_makes_the_same_equation_again() -> None:
    written = pde_from(GRAY_SCOTT).with_parameters(gamma=0.05)
    again = pde_from(written.as_mapping())
    assert again.parameters == written.parameters and again.as_mapping() == written.as_mapping()
    start = blocks(written, size=16)
    assert torch.equal(again.rate(start), written.rate(start))


def test_its_largest_time_step_is_found() -> None:
    written = pde_from(GRAY_SCOTT)
    assert written.largest_dt(blocks(written)) == pytest.approx(2.0 / 0.4, rel=0.3)
    with pytest.raises(SolverRefused, match="unstable"):
        simulate(written.with_parameters(spread=0.8), blocks(written), n_frames=1, steps_per_frame=1)


def test_the_example_schnakenberg_breaks_up_into_spots() -> None:
    pde = load_pde(EXAMPLES / "schnakenberg.toml")
    assert float(pde.rate(noise(pde, 1, generator=draws(), sd=0.0)).abs().max()) < 1e-12
    frames = simulate(pde, noise(pde, 1, size=48, generator=draws()), n_frames=2, steps_per_frame=2000)
    images = np.moveaxis(frames.values[0], -1, 1)
    assert pattern_sd(images[1])[0] > 5 * pattern_sd(images[0])[0]
    assert 4.0 < float(wavelength(images[1, 0])) < 16.0


def test_the_example_kuramoto_sivashinsky_keeps_moving_within_bounds() -> None:
    pde = load_pde(EXAMPLES / "kuramoto_sivashinsky.toml")
    assert pde.stiffness(torch.zeros(1, 1, 4, 4)) == pytest.approx(16 - 4 + 0.15, rel=1e-6)
    frames = simulate(pde, noise(pde, 1, size=32, generator=draws()), n_frames=4, steps_per_frame=1500)
    images = frames.values[0, 1:, :, :, 0]
    assert (pattern_sd(images) > 0.3).all() and np.abs(images).max() < 30
    assert pattern_sd(images[2] - images[1]) > 0.3 * pattern_sd(images[2])


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (changed(rates={"A": "__import__('os')", "B": "B"}), "rate of A"),
        (changed(rates={"A": "A.real", "B": "B"}), "only numbers"),
        (changed(rates={"A": "lap(A, B)", "B": "B"}), "lap takes 1 argument"),
        (changed(rates={"A": "curl(A)", "B": "B"}), "no function 'curl'.*lap, bilap, dx, dy"),
        (changed(rates={"A": "C", "B": "B"}), "no 'C' here; there are A, B, alpha"),
        (changed(rates={"A": "A"}), "each of A, B"),
        (changed(fields={"lap": {}}, rates={"lap": "1"}), "nothing can be called 'lap'"),
        (changed(constants={"A": 1.0}), "'A' is given twice"),
        (changed(parameters={"alpha": {"default": 2.0, "range": [0.0, 1.0]}}), "outside its range"),
        (changed(parameters={"alpha": {}}), "parameters.alpha.default"),
        (changed(dt=-1.0), "dt"),
        (changed(padding="wrap"), "padding"),
        (changed(drift={}), "drift"),
        (changed(start="rain"), "start must be one of blocks, random_blocks"),
        (changed(constants={"half": True}), "constants.half"),
        (changed(fields={}), "fields"),
    ],
)
def test_what_is_no_equation_is_refused_with_the_place(content: dict[str, Any], why: str) -> None:
    with pytest.raises(EquationInvalid, match=why):
        pde_from(content)


def test_a_file_that_is_none_is_refused_by_name(tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text("rates = [", encoding="utf-8")
    for path, why in ((broken, "is no TOML"), (tmp_path / "missing.toml", "cannot be read")):
        with pytest.raises(EquationInvalid, match=rf"{path.name}.*{why}"):
            load_pde(path)
    broken.write_text("x" * 70_000, encoding="utf-8")
    with pytest.raises(EquationInvalid, match="larger"):
        load_pde(broken)


def test_formulas_that_are_not_defined_where_one_begins_are_refused() -> None:
    pde = pde_from({"fields": {"u": {}}, "rates": {"u": "sqrt(u - 2)"}})
    with pytest.raises(EquationInvalid, match="not finite"):
        simulate(pde, noise(pde, 1, generator=draws()), n_frames=1, steps_per_frame=1)
