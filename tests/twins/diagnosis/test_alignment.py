"""Which sample of the drive acts, as one-step models of held-out data tell."""

import numpy as np
import pytest

from twins import Traces
from twins.diagnosis import diagnose
from twins.diagnosis.alignment import Alignment, drive_alignment


def smooth(rng, n_trials, n_samples, share):
    """Noise of unit spread below this share of the highest frequency, (trial, time)."""
    spectrum = np.fft.rfft(rng.standard_normal((n_trials, n_samples)))
    spectrum[:, int(share * spectrum.shape[1]) :] = 0.0
    wave = np.fft.irfft(spectrum, n_samples)
    return wave / wave.std()


def cubic_map(drive, rng, noise):
    """y[k + 1] of two samples of y and one of the drive, an exact polynomial beside its noise."""
    response = np.zeros_like(drive)
    for k in range(1, drive.shape[1] - 1):
        law = 1.5 * response[:, k] - 0.7 * response[:, k - 1] - 0.02 * response[:, k] ** 3 + 0.3 * drive[:, k]
        response[:, k + 1] = law + noise * rng.standard_normal(len(drive))
    return response


def test_a_response_that_shows_the_drive_of_its_own_sample_tells_so(known):
    rng = np.random.default_rng(0)
    drive = smooth(rng, 20, 202, 0.6)
    response = cubic_map(drive, rng, 1e-2)
    held, together = drive[:, 1:-1, None], drive[:, :-2, None]
    shown = response[:, 1:-1, None]
    assert drive_alignment([shown], [held]).ahead == 0
    told = drive_alignment([shown], [together])
    assert told.ahead == 1 and told.plain and told.errors[0] > 2 * told.errors[1]


def test_the_channel_that_shows_most_decides():
    rng = np.random.default_rng(0)
    drive = smooth(rng, 20, 202, 0.6)
    noise = rng.standard_normal(drive.shape)
    response = np.stack([noise, cubic_map(drive, rng, 1e-2)], axis=-1)
    told = drive_alignment([response[:, 1:-1]], [drive[:, :-2, None]])
    assert (told.channel, told.ahead) == (1, 1)


@pytest.mark.parametrize("share", [1.0, 0.3])
def test_noisy_steps_and_smooth_drives_that_are_held_never_tell_so(known, share):
    rng = np.random.default_rng(1)
    drive = known.steps(rng, 30, 120, 1.5, (1, 3)) if share == 1.0 else smooth(rng, 30, 120, share)
    assert drive_alignment([known.leaky(drive, rng)[..., None]], [drive[..., None]]).ahead == 0
    position, force = known.duffing(rng.uniform(0.2, 0.5, (10, 200)), rng)
    assert drive_alignment([position[..., None]], [force[..., None]]).ahead == 0


def test_too_few_data_tell_nothing():
    values = np.random.default_rng(0).standard_normal((1, 200, 1))
    assert drive_alignment([values], [values]) is None
    assert drive_alignment([values[:, :24]], [values[:, :24]]) is None
    still = np.zeros((20, 100, 1))
    assert drive_alignment([still], [still]) is None


def test_a_better_interpolation_is_no_reason_to_warn():
    assert Alignment(0, (1.4e-3, 1.0e-3), 1).plain is False
    assert Alignment(0, (1e-4, 1e-6), 1).plain is False
    assert Alignment(0, (8e-3, 1.4e-3), 1).plain is True


def test_a_diagnosis_warns_only_of_drives_that_are_not_known_to_be_held():
    rng = np.random.default_rng(2)
    drive = smooth(rng, 24, 302, 0.6)
    response = cubic_map(drive, rng, 1e-3)
    names = {
        "dt_s": 1e-3,
        "drive_names": ("u",),
        "drive_units": ("V",),
        "response_names": ("y",),
        "response_units": ("V",),
    }
    shown = response[:, 1:-1, None]
    found = diagnose(Traces(drive=drive[:, :-2, None], response=shown, **names))
    assert [one for one in found.warnings if one.startswith("y: the drive one sample ahead")]
    found = diagnose(Traces(drive=drive[:, 1:-1, None], response=shown, **names))
    assert not [one for one in found.warnings if "ahead" in one]
    assert found.drive_errors is not None and found.drive_errors[0] < 1.1 * found.drive_errors[1]
    assert diagnose(Traces(drive=drive[:, 1:-1, None], response=shown, **names), drive_held=True).drive_errors is None
