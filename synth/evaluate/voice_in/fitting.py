"""Fits the small network of synth.listening.reading: L-BFGS on soft labels, in numpy; minutes on one core."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from synth.evaluate.voice_in.material import ClipHeard, at_frames, frame_ends_s, labelled, technique_weights
from synth.listening.heard import READ_LANES
from synth.listening.reading import N_READ, OUTPUTS, Reading
from synth.spec.controls import Float32Array
from synth.spec.lanes import TECHNIQUES

Float64Array = NDArray[np.float64]

N_HIDDEN: Final = 32
LANES_BEHIND_S: Final = 0.025  # what is asked of a frame is what the ears heard so long before its end
VOICED_BEHIND_S: Final = 0.01
TECHNIQUE_BEHIND_S: Final = 0.03
_WEIGHT_DECAY: Final = 3e-5
_LABEL_SHARE: Final = 0.5  # of the clip's own label in a technique's target; the rest is the classifier's
_PRESENT: Final = 0.5
_LANE_WEIGHT: Final = 4.0  # logistic losses of lanes are small beside those of classes


@dataclass(frozen=True, slots=True)
class Rows:
    """numbers [n, N_NUMBERS], targets [n, len(OUTPUTS)] 0..1, weights [n]."""

    numbers: Float32Array
    targets: Float32Array
    weights: Float32Array


def rows_of(clips: Iterable[ClipHeard]) -> Rows:
    """Every frame in which somebody sings; each technique counts alike in sum."""
    numbers, targets, names = [], [], []
    for heard in clips:
        ends_s = frame_ends_s(len(heard.numbers))
        present = at_frames(heard.clip.lanes["presence"], ends_s, LANES_BEHIND_S) > _PRESENT
        lanes = [at_frames(heard.clip.lanes[name], ends_s, LANES_BEHIND_S) for name in READ_LANES]
        voiced = at_frames(heard.clip.f0.voiced.astype(np.float32), ends_s, VOICED_BEHIND_S)
        said = at_frames(technique_weights(heard.clip), ends_s, TECHNIQUE_BEHIND_S)
        technique = _LABEL_SHARE * labelled(heard.record)[None] + (1.0 - _LABEL_SHARE) * said
        technique /= np.maximum(technique.sum(axis=1, keepdims=True), 1e-6)
        target = np.concatenate((np.stack([*lanes, voiced], axis=1), technique), axis=1)
        known = present & np.isfinite(target).all(axis=1)
        numbers.append(heard.numbers[known])
        targets.append(target[known])
        names += [heard.name] * int(known.sum())
    labels = np.asarray(names)
    shares = {name: 1.0 / max(int(np.sum(labels == name)), 1) for name in TECHNIQUES}
    weights = np.array([shares.get(name, 0.0) for name in names])
    weights *= len(names) / max(float(weights.sum()), 1e-12)
    return Rows(
        np.concatenate(numbers).astype(np.float32), np.concatenate(targets).astype(np.float32),
        weights.astype(np.float32),
    )  # fmt: skip


def fit(rows: Rows, *, n_iterations: int = 250, seed: int = 0, n_hidden: int = N_HIDDEN) -> Reading:
    """The network that errs least on `rows`."""
    mean = rows.numbers.mean(axis=0)
    scale = np.maximum(rows.numbers.std(axis=0), 1e-3)
    standard = np.clip((rows.numbers - mean) / scale, -4.0, 4.0).astype(np.float32)
    rng = np.random.default_rng(seed)
    n_in, n_out = standard.shape[1], len(OUTPUTS)
    shapes = ((n_in, n_hidden), (n_hidden,), (n_hidden, n_out), (n_out,))
    start = np.concatenate(
        [
            rng.standard_normal(n_in * n_hidden) / np.sqrt(n_in),
            np.zeros(n_hidden),
            0.1 * rng.standard_normal(n_hidden * n_out),
            np.zeros(n_out),
        ]
    )

    def loss(flat: Float64Array) -> tuple[float, Float64Array]:
        return _loss(_parts(flat, shapes), standard, rows)

    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": n_iterations, "maxcor": 20})
    weight1, bias1, weight2, bias2 = (part.astype(np.float32) for part in _parts(found.x, shapes))
    return Reading(mean, scale.astype(np.float32), weight1, bias1, weight2, bias2)


def _parts(flat: Float64Array, shapes: tuple[tuple[int, ...], ...]) -> list[Float64Array]:
    cuts = np.cumsum([int(np.prod(shape)) for shape in shapes])[:-1]
    return [part.reshape(shape) for part, shape in zip(np.split(flat, cuts), shapes, strict=True)]


def _loss(parts: list[Float64Array], standard: Float32Array, rows: Rows) -> tuple[float, Float64Array]:
    """Cross-entropies, each technique's frames weighing alike, and their gradient."""
    weight1, bias1, weight2, bias2 = (part.astype(np.float32) for part in parts)
    hidden = np.tanh(standard @ weight1 + bias1)
    out = hidden @ weight2 + bias2
    read = 1.0 / (1.0 + np.exp(-out[:, :N_READ]))
    odds = np.exp(out[:, N_READ:] - out[:, N_READ:].max(axis=1, keepdims=True))
    shares = odds / odds.sum(axis=1, keepdims=True)
    wanted_read, wanted_shares = rows.targets[:, :N_READ], rows.targets[:, N_READ:]
    tiny = 1e-7
    binary = -(wanted_read * np.log(read + tiny) + (1.0 - wanted_read) * np.log(1.0 - read + tiny)).sum(axis=1)
    many = -(wanted_shares * np.log(shares + tiny)).sum(axis=1)
    n = len(standard)
    value = float(np.sum(rows.weights * (_LANE_WEIGHT * binary + many), dtype=np.float64)) / n
    value += _WEIGHT_DECAY * float(np.sum(parts[0] ** 2) + np.sum(parts[2] ** 2))
    slope = np.concatenate((_LANE_WEIGHT * (read - wanted_read), shares - wanted_shares), axis=1)
    slope *= (rows.weights / n)[:, None]
    inner = (slope @ weight2.T) * (1.0 - hidden**2)
    gradients = [standard.T @ inner, inner.sum(axis=0), hidden.T @ slope, slope.sum(axis=0)]
    flat = [gradient.astype(np.float64) for gradient in gradients]
    flat[0] += 2.0 * _WEIGHT_DECAY * parts[0]
    flat[2] += 2.0 * _WEIGHT_DECAY * parts[2]
    return value, np.concatenate([part.ravel() for part in flat])
