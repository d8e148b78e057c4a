"""The synthetic data of the GOKU-UI experiments: three Stuart-Landau oscillators behind a random linear map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from twins.errors import SeriesInvalid
from twins.goku.series import Series
from twins.goku.simulated.generated import Design, Generated
from twins.goku.simulated.simulation import generate_sets
from twins.goku.simulated.streams import numpy_stream
from twins.goku.systems.stuart_landau_network import StuartLandauNetwork

STEP_S = 0.05
CROP_SAMPLES = 46
FORECAST_SAMPLES = 20


@dataclass(frozen=True, slots=True, eq=False)
class GokuUiData:
    """Latent trajectories, from which crops are seen through ``matrix`` (channel, 2N).

    training, validation, test: independent of each other; their series are the 2N states, 600 samples a trajectory.
    All channels of all trajectories at once would fill gigabytes: crops are mapped when they are asked for.
    """

    system: StuartLandauNetwork
    matrix: Float64[np.ndarray, "channel state"]
    training: Generated
    validation: Generated
    test: Generated

    def crops(
        self,
        part: Generated,
        generator: np.random.Generator,
        *,
        n_samples: int = CROP_SAMPLES,
        traces: np.ndarray | None = None,
    ) -> tuple[Series, Generated]:
        """A random crop of each trajectory (or of `traces`): what is seen of it, and the latent truth beside it.

        Ask for CROP_SAMPLES + FORECAST_SAMPLES to have the samples to be forecast as well; each crop's times begin at 0.
        """
        chosen = np.arange(part.series.n_traces) if traces is None else np.asarray(traces)
        longest = part.series.n_samples
        if not 2 <= n_samples <= longest:
            raise SeriesInvalid(f"a crop can have 2 to {longest} samples, not {n_samples}")
        start = generator.integers(0, longest - n_samples + 1, len(chosen))
        states = part.states[chosen[:, None], start[:, None] + np.arange(n_samples)]
        times, names = STEP_S * np.arange(n_samples), part.series.names
        latent = Series(states, times, names, part.series.units)
        nothing = np.zeros((len(chosen), states.shape[-1]))
        truth = Generated(latent, part.parameters[chosen], states[:, 0].copy(), states, nothing)
        channels = tuple(f"channel_{index}" for index in range(len(self.matrix)))
        return Series(states @ self.matrix.T, times, channels, ("",) * len(channels)), truth


def goku_ui_synthetic(
    n_training: int,
    *,
    seed: int,
    n_validation: int = 100,
    n_test: int = 900,
    n_oscillators: int = 3,
    n_channels: int = 784,
    n_samples: int = 600,
    transient_samples: int = 100,
    noise_strength: float = 0.0,
) -> GokuUiData:
    """The data of G. Abrevaya et al. (TMLR 2024): parameters from their narrow ranges, initial states from 0.3..0.4, 600
    samples of 0.05 after a transient of 100, one random linear map (here standard normal) for all sets.

    noise_strength: 0.02 for their stochastic equation. Their released generator draws the same parameters for the first
    1000 training and test trajectories; here every set has its own. The same seed with another n_training gives other
    trajectories, but the same map and the same test set.
    """
    system = StuartLandauNetwork(n_oscillators=n_oscillators, ranges="data", noise_strength=noise_strength)
    design = Design(times_s=STEP_S * np.arange(n_samples), transient_samples=transient_samples)
    sizes = {"training": n_training, "validation": n_validation, "test": n_test}
    sets = generate_sets(system, sizes, design, seed=seed)
    matrix = numpy_stream(seed, "observation matrix").standard_normal((n_channels, 2 * n_oscillators))
    return GokuUiData(system, matrix, sets["training"], sets["validation"], sets["test"])
