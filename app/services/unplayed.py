"""Where nobody plays by hand: `stridor play` needs no live engine, no second copy of the model, no MIDI input."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from app.live.stage.meter import LiveMeter
from app.services.events import Event, RecordingState
from app.state.controller_profile import ControllerProfile
from app.state.preset import Preset
from synth.errors import UserError
from synth.spec import Float32Array


class Unplayed:
    """Fulfils `LiveLike`: nothing comes in, nothing sounds."""

    def start(self) -> None: ...
    def close(self) -> None: ...
    def poll(self) -> list[Event]:
        return []

    def midi_inputs(self) -> list[str]:
        return []

    def set_midi_input(self, name: str | None) -> None: ...
    def note_on(self, note: float, velocity: int) -> None: ...
    def note_off(self, note: float) -> None: ...
    def set_preset(self, preset: Preset) -> None: ...
    def panic(self) -> None: ...
    def set_lane(self, lane_id: str, value: float | None) -> None: ...
    def set_gain(self, gain_db: float) -> None: ...
    def learn(self, lane_id: str | None) -> None: ...
    def set_profile(self, profile: ControllerProfile) -> None: ...
    def lock_variation(self, index: int | None) -> None: ...
    def programs_changed(self) -> None: ...
    def stop_recording(self) -> None: ...
    @property
    def profile(self) -> ControllerProfile | None:
        return None

    def processes(self) -> Mapping[str, int]:
        return {}

    def start_recording(self, path: Path | None = None) -> None:
        raise UserError("Nothing is played live here.", remedy="Start Stridor with a keyboard to play on.")

    def recording(self) -> RecordingState | None:
        return None

    @property
    def voice_in(self) -> None:
        """Nobody listens."""

    def meter(self) -> LiveMeter | None:
        return None

    def audio(self, n_frames: int) -> Float32Array:
        return np.zeros(n_frames, dtype=np.float32)
