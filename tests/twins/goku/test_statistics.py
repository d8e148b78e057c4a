from itertools import product

import numpy as np
import pytest

from twins.errors import SeriesInvalid
from twins.goku.scoring.statistics import compare, holm, signed_rank

# C. Darwin's cross- and self-fertilised maize, differences in eighths of an inch; R. A. Fisher, The Design of Experiments
MAIZE = np.array([49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48], dtype=float)


def test_the_maize_of_darwin():
    """Ranks of the two negative differences, 48 and 67 among 15: 10 and 14; 676 of 2^15 sign patterns reach no more."""
    found = signed_rank(MAIZE, np.zeros(15))
    assert (found.statistic, found.n) == (120 - 24, 15)
    assert found.p_value == pytest.approx(2 * 676 / 2**15)
    assert signed_rank(np.zeros(15), MAIZE, alternative="less").p_value == pytest.approx(676 / 2**15)
    assert signed_rank(np.zeros(15), MAIZE, alternative="greater").p_value > 0.95


def test_few_pairs_by_counting_all_signs():
    one, other = np.array([1.0, 2.5, 3.0, 7.0, 4.0]), np.array([0.5, 2.0, 4.0, 1.0, 1.8])
    differences = np.array([0.5, 0.5 + 1e-9, -1.0, 6.0, 2.2])
    ranks = np.argsort(np.argsort(np.abs(differences))) + 1
    observed = ranks[differences > 0].sum()
    sums = [ranks[np.array(signs) > 0].sum() for signs in product((-1, 1), repeat=5)]
    expected = np.mean(np.array(sums) >= observed)
    other[1] -= 1e-9
    assert signed_rank(one, other, alternative="greater").p_value == pytest.approx(expected)


def test_pairs_without_a_difference_are_left_out():
    one = np.append(MAIZE, [3.0, 4.0])
    found = signed_rank(one, np.append(np.zeros(15), [3.0, 4.0]))
    assert (found.n, found.p_value) == (15, pytest.approx(2 * 676 / 2**15))
    assert signed_rank(np.ones(4), np.ones(4)).p_value == 1.0


def test_ties_go_by_the_normal_approximation():
    """W = 2.5 of ranks 2.5, 2.5, 2.5, 2.5, 5.5, 5.5: variance 22.75 less (60 + 6) / 48."""
    difference = np.array([1.0, 1.0, 1.0, -1.0, 2.0, 2.0])
    z = (2.5 - 10.5) / (22.75 - (4**3 - 4 + 2**3 - 2) / 48) ** 0.5
    from scipy.stats import norm

    assert signed_rank(difference, np.zeros(6)).p_value == pytest.approx(2 * norm.cdf(z), rel=1e-6)


@pytest.mark.parametrize(
    ("p_values", "corrected"),
    [
        # four hypotheses at 0.05: 0.005·4, 0.01·3, 0.03·2 and the last no smaller, so that the first and last are rejected
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),
        ([0.5, 0.6], [1.0, 1.0]),
        ([0.02], [0.02]),
        ([0.01, 0.01, 0.01], [0.03, 0.03, 0.03]),
        ([], []),
    ],
)
def test_holms_correction_by_hand(p_values, corrected):
    assert holm(p_values) == pytest.approx(corrected)


def test_a_reference_is_compared_with_all_others():
    rng = np.random.default_rng(0)
    own = rng.uniform(0.1, 0.2, 10)
    found = compare({"ours": own, "worse": own + np.arange(1, 11), "same": own}, "ours", alternative="less")
    assert [one.rival for one in found] == ["worse", "same"]
    assert found[0].p_value == pytest.approx(2.0**-10)
    assert found[0].p_holm == pytest.approx(2.0**-9)
    assert (found[0].median_difference, found[0].n) == (pytest.approx(-5.5), 10)
    assert (found[1].p_holm, found[1].n) == (1.0, 0)


def test_what_is_not_paired_or_no_number_is_refused():
    for one, other in (
        (np.ones(3), np.ones(4)),
        (np.array([np.nan, 1.0]), np.ones(2)),
        (np.ones((2, 2)), np.ones((2, 2))),
    ):
        with pytest.raises(SeriesInvalid, match="one a pair"):
            signed_rank(one, other)
    with pytest.raises(SeriesInvalid, match="two-sided, less, greater"):
        signed_rank(np.ones(3), np.zeros(3), alternative="smaller")
    with pytest.raises(SeriesInvalid, match=r"0\.\.1"):
        holm([0.1, 1.2])
    with pytest.raises(SeriesInvalid, match="no scores of 'mine'; there are ours"):
        compare({"ours": np.ones(3)}, "mine")
