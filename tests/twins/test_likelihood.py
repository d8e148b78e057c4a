"""The one-step likelihood against dense Gaussians."""

import pytest
import torch

import twins
from twins.objectives.likelihood import matrix_nll, one_step_nll

UNIT = 0.2


def noisy_twin(n_response, **options):
    names = tuple(f"x{i}" for i in range(n_response))
    spec = twins.DeviceTwinSpec(
        dt_s=0.1, drive_names=("u",), drive_units=("V",), response_names=names, response_units=("V",) * n_response,
        response_delays=1, drive_delays=0, hidden=(6,), **options,
    )  # fmt: skip
    twin, generator = twins.DeviceTwin(spec).double(), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in twin.nets.parameters():
            weight.copy_(0.4 * torch.randn(weight.shape, generator=generator, dtype=torch.float64))
        twin.increment_scale.fill_(UNIT)
    return twin


def rows_of(twin):
    generator = torch.Generator().manual_seed(1)
    rows = torch.randn(7, twin.spec.n_inputs, generator=generator, dtype=torch.float64)
    return rows, 0.3 * torch.randn(7, twin.spec.n_response, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("n_columns", [1, 2, 3, 5])
def test_matrix_noise_has_the_density_of_the_dense_gaussian(n_columns):
    generator = torch.Generator().manual_seed(n_columns)
    error, columns = (torch.randn(4, 3, *more, generator=generator, dtype=torch.float64) for more in ((), (n_columns,)))
    variance = 0.1 + torch.rand(4, 3, generator=generator, dtype=torch.float64)
    covariance = torch.diag_embed(variance) + columns @ columns.mT
    law = torch.distributions.MultivariateNormal(torch.zeros(4, 3).double(), covariance)
    constant = 1.5 * torch.log(torch.tensor(2 * torch.pi, dtype=torch.float64))
    torch.testing.assert_close(matrix_nll(error, variance, columns), -law.log_prob(error) - constant)


@pytest.mark.parametrize("options", [{}, {"noise_columns": 1}, {"noise_columns": 3, "auxiliaries": 1}], ids=str)
def test_the_likelihood_is_that_of_the_step_law(options):
    twin = noisy_twin(2, **options)
    rows, increments = rows_of(twin)
    law = twin.step_law(rows)
    covariance = torch.diag_embed(law.spread[:, :2].square())
    if law.columns is not None:
        covariance = covariance + law.columns[:, :2] @ law.columns[:, :2].mT
    density = torch.distributions.MultivariateNormal(law.increment, covariance).log_prob(increments)
    unit = torch.log(torch.tensor(2 * torch.pi, dtype=torch.float64)) / 2 + torch.log(torch.tensor(UNIT))
    torch.testing.assert_close(one_step_nll(twin, rows, increments), -density.mean() / 2 - unit)


@pytest.mark.parametrize(
    "options",
    [{"noise_mask": (False, False)}, {"noise_diagonal": False}, {"noise_mask": (False, False), "noise_columns": 1}],
    ids=str,
)
def test_channels_without_noise_count_by_least_squares(options):
    twin = noisy_twin(2, **options)
    rows, increments = rows_of(twin)
    error = (increments - twin.step_law(rows).increment) / UNIT
    torch.testing.assert_close(one_step_nll(twin, rows, increments), 0.5 * error.square().mean())


def test_a_masked_channel_leaves_the_likelihood_of_the_others_alone():
    twin = noisy_twin(2, noise_mask=(True, False))
    rows, increments = rows_of(twin)
    law = twin.step_law(rows)
    error, std = (increments - law.increment) / UNIT, law.spread[:, 0] / UNIT
    wanted = 0.5 * (error[:, 0] / std).square() + std.log() + 0.5 * error[:, 1].square()
    torch.testing.assert_close(one_step_nll(twin, rows, increments), wanted.mean() / 2)
