"""Performer's instrument and live sampler in one thread, over tiny weights: time passes when a test says so."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from app.live.performance.gestures import Gesture
from app.live.stage.instrument import StageInstrument
from app.live.stage.memory import StageMemory, onset_bytes
from app.live.stage.messages import FromStage, StageSettings
from app.live.stage.meter import Meter
from app.live.stage.sampling import LiveSampler
from app.midi.messages import StreamMessage
from app.state.preset import Preset
from synth.engine import Engine
from synth.spec import SAMPLE_RATE_HZ, Float32Array

BLOCK = 128
BANK = (
    Preset("plain", "Plain", attack_s=0.0, pitch_drift=0.0, release_s=0.05),
    Preset("soft", "Soft", attack_s=0.02, technique={"breathy": 1.0}, release_s=0.05),
)


class StageRig:
    """`play` lets blocks pass; between blocks the sampler does all it wants to, at most `steps` things."""

    def __init__(
        self,
        engine: Engine,
        *,
        n_onsets: int = 12,
        bank: Sequence[Preset] = BANK,
        tell: Callable[[str], None] = lambda _message: None,
    ) -> None:
        self.meter = Meter.create()
        self.settings = StageSettings(
            self.meter.name, f"stridor-test-{secrets.token_hex(4)}", "", "", n_onsets * onset_bytes(),
            n_steps=1, n_variations=1,
        )  # fmt: skip
        self.memory = StageMemory.create(self.settings.memory, n_onsets)
        self.said: list[FromStage] = []
        self.instrument = StageInstrument(self.memory, self.meter, self.settings, self.said.append)
        self.now_s = 100.0
        self.engine = engine
        self._said = lambda message, _remedy: tell(message)
        self.instrument.use_bank(list(bank), 0, self.now_s)
        self.sampler: LiveSampler | None = LiveSampler(self.settings, engine, self.memory, self._said)

    def close(self) -> None:
        if self.sampler is not None:
            self.sampler.close()
        self.sampler = None
        self.memory.close()
        self.meter.close()

    def make_onsets(self, most: int = 400) -> None:
        """Let the sampler work until nothing is left to do."""
        for _ in range(most):
            if self.sampler is None or not self.sampler.step():
                return

    def replace_sampler(self) -> None:
        """A new one, that knows nothing."""
        if self.sampler is not None:
            self.sampler.close()
        self.sampler = LiveSampler(self.settings, self.engine, self.memory, self._said)

    def feed(self, event: StreamMessage | Gesture, place: int = 0) -> None:
        """An event `place` samples into the next block."""
        self.instrument.feed(replace(event, t_s=self.now_s + place / SAMPLE_RATE_HZ), place)

    def play(self, seconds: float, *, steps: int = 8) -> Float32Array:
        """The stream's next blocks."""
        blocks = []
        for _ in range(max(round(seconds * SAMPLE_RATE_HZ / BLOCK), 1)):
            for _ in range(steps):
                if self.sampler is None or not self.sampler.step():
                    break
            block = np.zeros(BLOCK, dtype=np.float32)
            self.instrument.sound(block, self.now_s, self.now_s + 0.005)
            self.instrument.follow(self.now_s)
            self.now_s += BLOCK / SAMPLE_RATE_HZ
            blocks.append(block)
        return np.concatenate(blocks)
