"""What the performer's process does before it has to hurry, and a chord that it begins."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from numpy.typing import NDArray

from synth.streaming.frames import CAUSAL_FFT
from synth.streaming.rings import RING_FRAMES, FrameRings
from synth.streaming.sounding import FrameSounder, decoder_window

_FIRST_BLOCK = """
import sys
import numpy as np
from synth.streaming.rings import RING_FRAMES, FrameRings
from synth.streaming.sounding import FrameSounder, decoder_window, warm_up

if {is_warm}:
    warm_up({pulse_fft})
rings = FrameRings(4, {pulse_fft})
rings.ready[:] = RING_FRAMES
sounder = FrameSounder(rings, decoder_window())
hz, out = np.full((4, 128), 220.0), np.zeros((4, 128), dtype=np.float32)
before = set(sys.modules)
sounder.start(2)
sounder.process(hz, out)
print(*sorted(set(sys.modules) - before))
"""


def _imported_by_the_first_block(*, is_warm: bool) -> list[str]:
    script = _FIRST_BLOCK.format(is_warm=is_warm, pulse_fft=CAUSAL_FFT)
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60.0
    ).stdout.split()


def test_the_first_block_of_the_first_note_imports_nothing_once_warmed_up() -> None:
    assert "numpy.fft" in _imported_by_the_first_block(is_warm=False)  # else there is nothing to warm up for
    assert _imported_by_the_first_block(is_warm=True) == []


PLACES = (0, 13, 37, 64, 127, 300)  # in their first blocks, and one in a later block
BLOCK = 128


def _rings() -> FrameRings:
    """Frames of plausible filters, no two voices alike."""
    rng = np.random.default_rng(0)
    rings = FrameRings(len(PLACES), CAUSAL_FFT)
    rings.breath[...] = rng.standard_normal(rings.breath.shape)
    rings.gain[...] = 1.0
    rings.gates[...] = rng.uniform(-1.0, 1.0, rings.gates.shape)
    for filters, n_fft, decay in ((rings.pulse_filters, CAUSAL_FFT, 30.0), (rings.noise_filters, 1024, 20.0)):
        response = np.exp(-np.arange(n_fft) / decay)
        response[100:] = 0.0
        if filters is rings.noise_filters:  # zero phase: alike to both sides
            response[-99:] = response[99:0:-1]
        spectrum = np.fft.rfft(response)
        scale = rng.uniform(0.5, 1.5, (*filters.shape[:-1], 1))
        filters[...] = scale * (spectrum if np.iscomplexobj(filters) else spectrum.real)
    rings.ready[:] = RING_FRAMES
    rings.seeds[:] = 1 + np.arange(len(PLACES))
    return rings


def _sung(delays: dict[int, int], monkeypatch: pytest.MonkeyPatch | None = None) -> NDArray[np.float32]:
    """Twenty blocks of the voices named, each begun so many samples late -> [n_voices, n_samples]."""
    sounder = FrameSounder(_rings(), decoder_window())
    calls: list[int] = []
    if monkeypatch is not None:
        sound = sounder._sound
        monkeypatch.setattr(sounder, "_sound", lambda voices, hz: (calls.append(len(voices)), sound(voices, hz))[1])
    for voice, delay in delays.items():
        sounder.start(voice, delay_samples=delay, start_cycle=0.98)
    hz = np.repeat(110.0 * 1.4 ** np.arange(len(PLACES))[:, None], BLOCK, axis=1).astype(np.float32)
    blocks = []
    for index in range(20):
        block = np.zeros_like(hz)
        sounder.process(hz, block)
        blocks.append(block)
        if monkeypatch is not None:
            assert len(calls) == index + 1, "a chord must not be sounded in pieces: each costs as much as a block"
    return np.concatenate(blocks, axis=1)


def test_the_notes_of_a_chord_begin_at_their_samples_in_one_go(monkeypatch: pytest.MonkeyPatch) -> None:
    chord = _sung(dict(enumerate(PLACES)), monkeypatch)
    for voice, place in enumerate(PLACES):
        alone = _sung({voice: 0})[voice]
        assert not chord[voice, :place].any()
        assert chord[voice, place : place + 40].any()
        np.testing.assert_allclose(chord[voice, place:], alone[: len(alone) - place], atol=1e-4)
