"""What a GOKU network is made of, as plain data, with the published ones as presets.

Sizes of ``goku_ui`` and ``goku_ui_basic``: the public experiments of Abrevaya et al. (TMLR 2024; github
gabrevaya/TMLR_GOKU-UI, train_goku.jl and default_layers.jl). Of ``goku_2021``: Linial et al. (CHIL 2021; github
orilinial/GOKU, models/GOKU_pixel_pendulum.py).
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from twins.errors import GokuSpecInvalid

CHOICES: dict[str, tuple[str, ...]] = {
    "activation": ("mish", "relu"),
    "state_network": ("lstm", "rnn"),
    "posterior": ("none", "latent", "physical"),
    "transition": ("learned", "annealed", "process"),
    "observation": ("decoder", "linear", "known"),
    "decoder_end": ("linear", "sigmoid"),
    "parameter_map": ("sigmoid", "softplus"),
    "initial_map": ("plain", "range"),
    "normalisation": ("none", "standardise", "min_max"),
    "loss": ("relative", "summed", "likelihood"),
}
_COUNTS = (
    "state_hidden", "state_layers", "parameter_hidden", "parameter_layers", "latent_state", "latent_parameter",
    "latent_out_width", "substeps",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class GokuSpec:
    """The choices; the defaults are GOKU-UI's.

    feature_widths: of the extractor's dense layers; a layer as wide as the one before it is residual if `residual`. The
    free decoder is its mirror. activation: "mish" or "relu".
    state_network, state_hidden, state_layers: the recurrent network that reads a window backwards and ends in its z0.
    parameter_hidden (each way), parameter_layers, attention: the bidirectional LSTM for the parameters, and whether its
    outputs are pooled by attention over time or only the last ones are taken.
    latent_state, latent_parameter, latent_out_width: the latent in and out of both.
    posterior: "none": point estimates. "latent": both latents are Gaussian, prior N(0, 1), as published; for single
    shooting only. "physical": parameters (as logits of their ranges, uniform prior) and initial states are Gaussian
    themselves, so that a KL exists with any number of windows (see ``twins.goku.network.latent``); full_covariance: of the
    parameters. transition: what a window may begin beside the end of the one before it by, with posterior =
    "physical": a learned deviation a state, one annealed by the fit, or what the system's own noise does in a window.
    window_samples: samples of a window, sharing one with the next; None is single shooting. continuity_weight: of the
    squared gaps between windows (where posterior = "physical", the KL takes their place).
    observation: "decoder" (free), "linear" (learned) or "known" (handed over). decoder_end: of the free decoder.
    parameter_map: "sigmoid" into the parameters' ranges, or "softplus" as in 2021 (nothing then holds the upper end).
    initial_map: "plain": initial states as the network gives them, as published; "range": in units of the states'
    ranges, which states of other than order one need.
    normalisation: of the channels, by the training data.
    substeps: of the solver, a sample. process_noise: whether a stochastic system is solved with its noise.
    loss: "relative" (squared error over mean absolute value: GOKU-UI), "summed" (over channels: 2021) or "likelihood"
    (Gaussian, noise level of each channel learned: with a posterior, the evidence lower bound). kl_weight: of the KL.

    Raises GokuSpecInvalid.
    """

    feature_widths: tuple[int, ...] = (200, 200, 200, 128)
    activation: str = "mish"
    residual: bool = True
    state_network: str = "lstm"
    state_hidden: int = 128
    state_layers: int = 1
    parameter_hidden: int = 64
    parameter_layers: int = 1
    attention: bool = True
    latent_state: int = 64
    latent_parameter: int = 128
    latent_out_width: int = 200
    posterior: str = "none"
    full_covariance: bool = True
    transition: str = "learned"
    window_samples: int | None = 10
    continuity_weight: float = 2.0
    observation: str = "decoder"
    decoder_end: str = "linear"
    parameter_map: str = "sigmoid"
    initial_map: str = "plain"
    normalisation: str = "none"
    substeps: int = 1
    process_noise: bool = True
    loss: str = "relative"
    kl_weight: float = 1.0

    def __post_init__(self) -> None:
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise GokuSpecInvalid(f"{name} must be one of {', '.join(allowed)}, not {getattr(self, name)!r}")
        object.__setattr__(self, "feature_widths", tuple(self.feature_widths))
        for name, count in [(name, getattr(self, name)) for name in _COUNTS] + [
            ("feature_widths", width) for width in self.feature_widths
        ]:
            if count < 1:
                raise GokuSpecInvalid(f"{name} must be at least 1, not {count}")
        if not self.feature_widths or (self.window_samples is not None and self.window_samples < 2):
            raise GokuSpecInvalid(
                "there must be at least one feature layer, and a window of at least 2 samples or None"
            )
        if self.continuity_weight < 0 or self.kl_weight < 0:
            raise GokuSpecInvalid("continuity_weight and kl_weight must not be negative")
        self._check_together()

    def _check_together(self) -> None:
        if self.posterior == "latent" and self.window_samples is not None:
            raise GokuSpecInvalid(
                "posterior='latent' has no KL for windows whose beginnings are bound to the ends before them; "
                "use posterior='physical', or window_samples=None"
            )
        if self.posterior == "physical" and self.parameter_map != "sigmoid":
            raise GokuSpecInvalid(
                "posterior='physical' needs parameter_map='sigmoid': its prior is uniform in the ranges"
            )
        if self.posterior == "physical" and self.transition == "process" and self.process_noise:
            raise GokuSpecInvalid(
                "transition='process' puts the system's noise between the windows; "
                "with process_noise=True it would be counted twice: use process_noise=False"
            )

    @property
    def variational(self) -> bool:
        """Whether it gives distributions and not points."""
        return self.posterior != "none"

    def but(self, **changes: Any) -> GokuSpec:
        """The same with other choices. Raises GokuSpecInvalid for an unknown name."""
        unknown = sorted(set(changes) - {field.name for field in fields(self)})
        if unknown:
            known = ", ".join(field.name for field in fields(self))
            raise GokuSpecInvalid(f"a GokuSpec has no {unknown[0]!r}; it has {known}")
        return replace(self, **changes)


def goku_ui(**changes: Any) -> GokuSpec:
    """GOKU-UI: attention and multiple shooting."""
    return GokuSpec().but(**changes)


def goku_ui_basic(**changes: Any) -> GokuSpec:
    """Its basic variant: a two-layer ReLU network for z0, two-layer LSTMs of which the last outputs are taken.

    The same public experiment; 64 units where the attention variant has 128 for z0 (default_layers.jl).
    """
    basic = GokuSpec(state_network="rnn", state_hidden=64, state_layers=2, parameter_layers=2, attention=False)
    return basic.but(**changes)


def goku_2021(**changes: Any) -> GokuSpec:
    """GOKU-net of 2021: single shooting, variational, softplus parameters, channels scaled to 0..1.

    The public code (GOKU_pixel_pendulum.py) has two layers in each recurrent network and a sigmoid at the decoder's
    end. It takes what the bidirectional LSTM gives at the last sample; here both directions give their own last output.
    """
    original = GokuSpec(
        feature_widths=(200, 200, 200, 32), activation="relu", state_network="rnn", state_hidden=16, state_layers=2,
        parameter_hidden=16, parameter_layers=2, attention=False, latent_state=16, latent_parameter=16,
        posterior="latent", window_samples=None, decoder_end="sigmoid", parameter_map="softplus",
        normalisation="min_max", loss="summed", kl_weight=1e-5,
    )  # fmt: skip
    return original.but(**changes)


def goku_posterior(**changes: Any) -> GokuSpec:
    """Beyond the published ones: GOKU-UI's networks with distributions over parameters and initial states, and a learned
    noise level, trained by the evidence lower bound; windows that grow together during the fit.

    For a system with noise of its own use transition="process", process_noise=False: windows then begin beside the end of the
    one before by what that noise does, whose strength is learned.
    """
    own = GokuSpec(
        posterior="physical", loss="likelihood", transition="annealed", initial_map="range", normalisation="standardise"
    )
    return own.but(**changes)
