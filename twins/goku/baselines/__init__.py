"""Forecasters that know no equation, to compare with: all take ``Series`` and give (trace, time, channel).

fitted.reconstruct(series) is the series as the method can express it; fitted.forecast(series, n_samples=20, drive=None)
goes on after its last sample. References: the baselines of Abrevaya et al. (TMLR 2024); Chen, Rubanova, Bettencourt,
Duvenaud, "Neural ordinary differential equations" (NeurIPS 2018), for the latent ODE.
"""

from twins.goku.baselines.autoregression import AutoregressionSettings, VectorAutoregression, fit_autoregression
from twins.goku.baselines.latent_ode import LatentOde, fit_latent_ode
from twins.goku.baselines.lstm import LstmAutoencoder, fit_lstm
from twins.goku.baselines.naive import TemporalMean
from twins.goku.baselines.training import BaselineEpoch, BaselineFitSettings, FittedSequence

__all__ = [
    "AutoregressionSettings",
    "BaselineEpoch",
    "BaselineFitSettings",
    "FittedSequence",
    "LatentOde",
    "LstmAutoencoder",
    "TemporalMean",
    "VectorAutoregression",
    "fit_autoregression",
    "fit_latent_ode",
    "fit_lstm",
]
