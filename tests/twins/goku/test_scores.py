import numpy as np
import pytest

from twins.errors import SeriesInvalid
from twins.goku.scoring.scores import nrmse


def test_it_is_the_root_mean_square_error_over_the_mean_size_of_what_was_measured():
    measured = np.array([[[1.0, -1.0], [3.0, -3.0]], [[1.0, 1.0], [1.0, 1.0]]])
    predicted = measured + np.array([[[1.0, 1.0], [1.0, 1.0]], [[0.0, 0.0], [0.0, 2.0]]])
    assert nrmse(predicted, measured).tolist() == pytest.approx([1.0 / 2.0, 1.0])


def test_missing_samples_do_not_count():
    measured = np.array([[[2.0], [np.nan], [4.0]], [[np.nan], [np.nan], [np.nan]]])
    predicted = np.array([[[1.0], [99.0], [5.0]], [[0.0], [0.0], [0.0]]])
    first, second = nrmse(predicted, measured)
    assert first == pytest.approx(1.0 / 3.0)
    assert np.isnan(second)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, 1e300])
def test_a_prediction_that_ran_away_scores_infinity(wrong):
    measured, predicted = np.ones((2, 3, 1)), np.ones((2, 3, 1))
    predicted[0, 1] = wrong
    assert nrmse(predicted, measured).tolist() == [np.inf, 0.0]
    measured[0, 1] = np.nan
    assert nrmse(predicted, measured).tolist() == [0.0, 0.0]


def test_what_cannot_be_scored_is_refused():
    with pytest.raises(SeriesInvalid, match="alike"):
        nrmse(np.ones((2, 3, 1)), np.ones((2, 4, 1)))
    with pytest.raises(SeriesInvalid, match="0 throughout"):
        nrmse(np.ones((2, 3, 1)), np.zeros((2, 3, 1)))
