"""The fit's loss and gradient, and that it learns what can be learnt."""

from __future__ import annotations

import numpy as np

from synth.evaluate.voice_in import fitting
from synth.evaluate.voice_in.fitting import Rows, fit
from synth.listening.phonation import N_NUMBERS
from synth.listening.reading import N_READ, OUTPUTS


def rows(n: int = 400) -> Rows:
    """Breathiness is the first number's sign; the technique is the second's."""
    rng = np.random.default_rng(0)
    numbers = rng.standard_normal((n, N_NUMBERS)).astype(np.float32)
    targets = np.full((n, len(OUTPUTS)), 0.5, dtype=np.float32)
    targets[:, 0] = numbers[:, 0] > 0.0
    targets[:, N_READ:] = 0.0
    targets[np.arange(n), N_READ + (numbers[:, 1] > 0.0).astype(int)] = 1.0
    return Rows(numbers, targets, np.ones(n, dtype=np.float32))


def test_the_gradient_is_that_of_the_loss() -> None:
    material = rows(50)
    shapes = ((N_NUMBERS, 3), (3,), (3, len(OUTPUTS)), (len(OUTPUTS),))
    flat = 0.3 * np.random.default_rng(1).standard_normal(sum(int(np.prod(shape)) for shape in shapes))
    _, gradient = fitting._loss(fitting._parts(flat, shapes), material.numbers, material)
    for index in (0, 100, N_NUMBERS * 3 + 1, len(flat) - 1):
        step = np.zeros_like(flat)
        step[index] = 1e-2
        above, _ = fitting._loss(fitting._parts(flat + step, shapes), material.numbers, material)
        below, _ = fitting._loss(fitting._parts(flat - step, shapes), material.numbers, material)
        np.testing.assert_allclose(gradient[index], (above - below) / 2e-2, rtol=0.05, atol=1e-4)


def test_it_learns_what_the_numbers_tell() -> None:
    material = rows()
    said = fit(material, n_iterations=80, n_hidden=6)(material.numbers)
    assert np.mean((said[:, 0] > 0.5) == (material.targets[:, 0] > 0.5)) > 0.97
    assert np.mean(said[:, N_READ:].argmax(axis=1) == material.targets[:, N_READ:].argmax(axis=1)) > 0.97
    np.testing.assert_allclose(said[:, N_READ:].sum(axis=1), 1.0, atol=1e-5)
