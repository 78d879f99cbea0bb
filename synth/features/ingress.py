"""Inhaled or exhaled: a logistic classifier on the colour of the noise.

The coefficients are data: ingress.json, beside this file. Fitted on 6 inhales (all of one speaker) against 240
recordings of voice and whisper and 60 simulated gestures. Cross-validated by recording, 98 % of inhaled frames are
above 0.5, and of the others: whisper 0 %, song and speech 0 %, growled consonants 4 %, other growls up to 3 %. It knows
inhaled breath of that kind only: inhaled *voice* it takes for exhaled, which is why the simulator sings none.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from synth.dsp.smoothing import hann_mean

Float64Array = NDArray[np.float64]

_CONTEXT_FRAMES = 15


@dataclass(frozen=True, slots=True)
class IngressModel:
    """Standardise, weigh, squash: mean, scale, weights [n_features] and bias."""

    mean: Float64Array
    scale: Float64Array
    weights: Float64Array
    bias: float


@cache
def ingress_model() -> IngressModel:
    """The coefficients of this release."""
    stored = json.loads(resources.files("synth.features").joinpath("ingress.json").read_text(encoding="utf-8"))
    return IngressModel(
        np.asarray(stored["mean"]), np.asarray(stored["scale"]), np.asarray(stored["weights"]), float(stored["bias"])
    )


def ingress_features(
    mfcc: NDArray[np.floating], r: Float64Array, alpha_ratio_db: Float64Array, zero_crossing_rate: Float64Array
) -> Float64Array:
    """Context means of level-free cepstra c1..c12, cycle correlation, alpha ratio, zero crossings. -> [n_frames, 15]"""
    columns = [*np.asarray(mfcc, dtype=np.float64).T[1:13], r, alpha_ratio_db / 10.0, zero_crossing_rate]
    return np.stack([hann_mean(column, _CONTEXT_FRAMES) for column in columns], axis=1)


def measure_ingress(features: Float64Array, model: IngressModel) -> Float64Array:
    """Probability that the breath goes inwards. [n_frames, 15] -> [n_frames] 0..1"""
    standard = np.clip((features - model.mean) / model.scale, -4.0, 4.0)
    return 1.0 / (1.0 + np.exp(-(standard @ model.weights + model.bias)))
