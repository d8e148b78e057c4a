"""recommend turns figures into structure and training, and says which figure and which limit decided."""

from dataclasses import replace

import numpy as np
import pytest

import twins
from twins.diagnosis import ChannelDiagnosis, Diagnosis, Drift, Estimate, recommend
from twins.diagnosis.free_runs import FreeRuns
from twins.fitting.phases import PHASES

CHANNEL = ChannelDiagnosis(
    name="y0",
    unit="V",
    spread=1.0,
    process_noise=Estimate(0.07, 0.001),
    observation_noise=Estimate(0.0, 0.002),
    observation_noise_known=True,
    observation_noise_reason="told apart",
    observation_share=(0.0, 0.0),
    drift=None,
    residual_autocorrelation=None,
    innovation_autocorrelation=(0.01, 0.0, 0.0, 0.0, 0.0),
    coloured=False,
    loudness_range=1.5,
    memory=2,
    drive_memory=1,
    one_step_error=(0.15, 0.15, 0.15),
)
PLAIN = Diagnosis(
    dt_s=1e-3,
    n_inputs=40,
    n_stretches=40,
    n_trials=40,
    n_samples=4000,
    n_repeats=1,
    n_drive=1,
    channels=(CHANNEL,),
    cross_correlation=0.0,
    adjacent_correlation=0.0,
    noise_rank=1,
    source="one-step",
    response_delays=3,
    drive_delays=2,
    polynomial_order=1,
    multistable_share=None,
    warnings=(),
)


def traces(n_channels=1, n_samples=100):
    return twins.Traces(
        drive=np.zeros((40, n_samples, 1)),
        response=np.zeros((40, n_samples, n_channels)),
        dt_s=1e-3,
        drive_names=("u",),
        drive_units=("V",),
        response_names=tuple(f"y{i}" for i in range(n_channels)),
        response_units=("V",) * n_channels,
    )


def with_channel(**changes):
    return replace(PLAIN, channels=(replace(CHANNEL, **changes),))


def several(n, *, rank, cross, **changes):
    channels = tuple(replace(CHANNEL, name=f"y{i}", **changes) for i in range(n))
    return replace(PLAIN, channels=channels, noise_rank=rank, cross_correlation=cross)


def decided(recommendation, word):
    return [reason for reason in recommendation.reasons if word in reason]


def test_a_quiet_instrument_calls_for_the_one_step_likelihood():
    chosen = recommend(PLAIN, traces())
    assert chosen.phases == ("likelihood",) and chosen.ensemble == 3
    assert dict(chosen.spec_options) == {"response_delays": 3, "drive_delays": 2}
    assert decided(chosen, "one-step likelihood") and decided(chosen, "limit is 0.3")


def test_observation_noise_calls_for_the_filter_and_its_own_delays():
    chosen = recommend(with_channel(observation_noise=Estimate(0.05, 0.001)), traces())
    assert chosen.phases == ("likelihood", "filter")
    assert chosen.spec_options["observation"] and chosen.spec_options["warm_up"] == 16
    assert (chosen.spec_options["response_delays"], chosen.spec_options["drive_delays"]) == (1, 1)
    assert chosen.spec_options["auxiliaries"] == 1 and decided(chosen, "moving average")
    assert decided(chosen, "0.71 of the process noise")


def test_observation_noise_within_its_own_error_does_not():
    chosen = recommend(with_channel(observation_noise=Estimate(0.05, 0.04)), traces())
    assert "observation" not in chosen.spec_options


def test_warm_up_leaves_most_of_a_short_trial():
    chosen = recommend(with_channel(observation_noise=Estimate(0.05, 0.001), memory=4), traces(n_samples=40))
    assert chosen.spec_options["warm_up"] == 10


def test_coloured_noise_calls_for_a_delay_or_beside_observation_noise_for_an_auxiliary():
    colour = {"coloured": True, "innovation_autocorrelation": (0.05, -0.16, 0.0, 0.0, 0.0)}
    chosen = recommend(with_channel(**colour), traces())
    assert chosen.spec_options["response_delays"] == 4 and "auxiliaries" not in chosen.spec_options
    assert "windows" in chosen.phases and decided(chosen, "0.16")
    chosen = recommend(with_channel(**colour, observation_noise=Estimate(0.05, 0.001)), traces())
    assert chosen.spec_options["auxiliaries"] == 1 and chosen.phases == ("likelihood", "filter", "windows")


def test_drift_that_neighbouring_trials_share_becomes_a_component():
    drift = Drift(Estimate(0.03, 0.004), Estimate(0.057, 0.01), Estimate(0.9, 0.05), significant=True, distinct=True)
    chosen = recommend(with_channel(drift=drift), traces())
    assert chosen.spec_options["trial_drift"] and "filter" in chosen.phases and decided(chosen, "5.7 %")
    alone = replace(drift, distinct=False, correlation=Estimate(0.0, 0.05))
    chosen = recommend(with_channel(drift=alone), traces())
    assert "trial_drift" not in chosen.spec_options and decided(chosen, "no drift component")


@pytest.mark.parametrize(
    "observation, process, expected",
    [
        (0.0, 0.07, {"noise_columns"}),
        (0.05, 0.07, {"noise_columns", "observation_columns"}),
        (0.1, 0.01, {"observation_columns"}),
    ],
)
def test_correlated_channels_get_columns_where_their_noise_is(observation, process, expected):
    diagnosis = several(
        10, rank=3, cross=0.5, observation_noise=Estimate(observation, 1e-3), process_noise=Estimate(process, 1e-3)
    )
    chosen = recommend(diagnosis, traces(10))
    assert {name for name in chosen.spec_options if name.endswith("_columns")} == expected
    assert all(chosen.spec_options[name] == 3 for name in expected)


def test_few_components_show_what_a_mean_over_far_channels_hides():
    assert "noise_columns" in recommend(several(60, rank=8, cross=0.25), traces(60)).spec_options
    assert "noise_columns" not in recommend(several(60, rank=52, cross=0.05), traces(60)).spec_options


def test_products_that_help_go_into_the_backbone_and_delays_make_room_for_them():
    curved = {"one_step_error": (0.15, 0.15, 0.08)}
    chosen = recommend(replace(with_channel(**curved), polynomial_order=3), traces())
    assert chosen.spec_options["backbone_order"] == 3
    long = replace(with_channel(**curved), polynomial_order=3, response_delays=7, drive_delays=7)
    chosen = recommend(long, traces())
    assert chosen.spec_options["backbone_order"] == 3
    assert 3 <= chosen.spec_options["response_delays"] < 7 and decided(chosen, "too many products")
    many = replace(several(60, rank=52, cross=0.0, **curved), polynomial_order=3)
    chosen = recommend(many, traces(60))
    assert "backbone_order" not in chosen.spec_options and chosen.spec_options["response_delays"] == 3


def test_where_the_model_errs_more_than_the_noise_free_runs_choose_the_memory_and_train():
    quiet = replace(with_channel(process_noise=Estimate(0.001, 1e-4)), free_runs=FreeRuns((2, 1), 0.1))
    chosen = recommend(quiet, traces(n_samples=1000))
    assert chosen.phases == ("likelihood", "simulation") and decided(chosen, "10 % of the error of free runs")
    cubic = recommend(replace(quiet, polynomial_order=3), traces(n_samples=1000)).spec_options
    assert (cubic["response_delays"], cubic["drive_delays"]) == (2, 1)
    for other in (PLAIN, replace(quiet, free_runs=FreeRuns((2, 1), 0.9))):
        assert recommend(other, traces(n_samples=1000)).phases == ("likelihood",)


def test_noise_too_small_to_bend_free_runs_leaves_them_the_choice():
    quiet = replace(with_channel(process_noise=Estimate(0.001, 1e-4)), free_runs=FreeRuns((2, 1), 0.9, error=0.006))
    chosen = recommend(replace(quiet, polynomial_order=3), traces(n_samples=1000))
    assert chosen.phases == ("likelihood", "simulation") and decided(chosen, "err by 0.006 of the spread")
    assert (chosen.spec_options["response_delays"], chosen.spec_options["drive_delays"]) == (2, 1)


def test_few_inputs_ask_for_a_larger_ensemble():
    assert recommend(replace(PLAIN, n_stretches=8), traces()).ensemble == 5


def test_noise_that_is_not_told_apart_is_said():
    unsure = with_channel(observation_noise_known=False, observation_noise_reason="white in time")
    assert decided(recommend(unsure, traces()), "white in time")


def test_every_recommendation_makes_a_spec_and_names_real_phases():
    drift = Drift(Estimate(0.03, 0.004), Estimate(0.06, 0.01), Estimate(0.9, 0.05), significant=True, distinct=True)
    colour = {"coloured": True, "innovation_autocorrelation": (0.2, 0.0, 0.0, 0.0, 0.0)}
    diagnoses = (
        PLAIN,
        with_channel(observation_noise=Estimate(0.05, 0.001), drift=drift, **colour),
        replace(with_channel(one_step_error=(0.2, 0.1, 0.1)), polynomial_order=2),
    )
    for diagnosis in diagnoses:
        chosen = recommend(diagnosis, traces())
        twins.DeviceTwinSpec.for_traces(traces(), **chosen.spec_options)
        assert set(chosen.phases) <= set(PHASES)
        assert chosen.as_dict()["reasons"] == list(chosen.reasons)
