"""Shares of a gap: nothing closed, everything closed, and what lies between, with intervals that know it."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from synth.adapt.nearness import Excerpts, Fidelity, Halves, Kernel, wasserstein
from synth.evaluate.statistics import distribution_distance

N_RECORDINGS, N_EACH = 16, 5


def voices(offset: float, seed: int) -> Excerpts:
    """Excerpts of recordings that differ a little from each other, all moved by `offset` standard deviations."""
    rng = np.random.default_rng(seed)
    owners = np.repeat(np.arange(N_RECORDINGS), N_EACH)

    def values(dim: int) -> NDArray[np.float64]:
        own = rng.normal(size=(N_RECORDINGS, dim))[owners] * 0.3
        return own + rng.normal(size=(len(owners), dim)) + offset

    return Excerpts(owners, values(6), {name: values(1)[:, 0] for name in ("hnr_db", "jitter_local")})


REAL, BASE = voices(0.0, 0), voices(2.0, 1)
HALVES = Halves(REAL.owners)


@pytest.mark.parametrize(("offset", "low", "high"), [(2.0, -0.2, 0.2), (1.0, 0.4, 0.8), (0.0, 0.8, 1.1)])
def test_the_share_closed_is_how_far_the_adapted_voice_came(offset: float, low: float, high: float) -> None:
    adapted = voices(offset, 2)
    kernel = Kernel(REAL, HALVES).closed(BASE, adapted)
    assert kernel["closed"]["value"] >= kernel["root_closed"]["value"] - 0.1  # a square is closed sooner
    for closed in (kernel["root_closed"], Fidelity(REAL, HALVES).closed(BASE, adapted)["closed"]):
        assert low <= closed["value"] <= high
        assert closed["low"] < closed["value"] < closed["high"]
        assert closed["n"] == N_RECORDINGS


def test_recordings_are_as_near_as_they_are_to_each_other() -> None:
    assert Fidelity(REAL, HALVES).of(REAL) == pytest.approx(1.0)
    assert abs(Kernel(REAL, HALVES).of(REAL)) < 0.1 * Kernel(REAL, HALVES).of(BASE)


def test_halves_share_no_recording_and_leave_one_out_of_all() -> None:
    seen: list[tuple[set[int], set[int]]] = []

    def look(a: NDArray[np.int64], b: NDArray[np.int64]) -> float:
        seen.append((set(REAL.owners[a].tolist()), set(REAL.owners[b].tolist())))
        return 1.0

    HALVES.mean(look, left_out=3)
    assert all(not (a & b) and 3 not in a | b and len(a | b) == N_RECORDINGS - 1 for a, b in seen)


def test_the_quick_distance_is_scipys() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=40), np.append(rng.normal(1.0, 2.0, size=31), np.nan)
    assert wasserstein(a, b) == pytest.approx(distribution_distance(a, b))
    assert np.isnan(wasserstein(a, np.array([np.nan])))
