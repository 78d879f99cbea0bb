"""The window's view of the instrument: what a panel may ask for. `Instrument` fulfils it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from app.services.events import Event
from app.services.previews import PreviewWish
from synth.spec import Float32Array

if TYPE_CHECKING:
    from app.audio.messages import DeviceInfo
    from app.live.stage.meter import LiveMeter
    from app.services.events import RecordingState
    from app.services.voice_in import VoiceInLike
    from app.state.controller_profile import ControllerProfile
    from app.state.passage import Passage
    from app.state.preset import Preset


class InstrumentLike(Protocol):
    """Every method is called from the window's main thread and returns within 2 ms."""

    def start(self) -> None:
        """Start the processes and return; `EngineReady` or `EngineFailed` follows from `poll()`."""
        ...

    def close(self) -> None:
        """End the processes and delete temporary files. Idempotent; the one method that may take longer (< 2 s)."""
        ...

    def poll(self) -> list[Event]:
        """What has happened since the last call. Call it at about 60 Hz: it also carries out the debounced renders."""
        ...

    def render(self, passage: Passage, *, quality: str = "draft", playhead_s: float = 0.0) -> int:
        """Ask for `passage` to be heard; a newer request replaces an older one. -> request id of the events."""
        ...

    def cancel(self) -> None:
        """Call off the newest request; what has been rendered stays."""
        ...

    def audio(self) -> Float32Array:
        """Read-only [n_samples, 2] of the newest render, 48 kHz; zeros (or the previous render) where not yet made."""
        ...

    def export(self, passage: Passage, path: Path, *, quality: str = "final", stems: bool = False) -> None:
        """Render `passage` and write a .wav or .flac (and one a voice); `Exported` or `ExportFailed` follows."""
        ...

    def want_previews(self, wishes: Sequence[PreviewWish]) -> None:
        """Presets that may be chosen soon, the likeliest first: let them be heard at once when they are."""
        ...

    def preview(self, wish: PreviewWish) -> bool:
        """Let a preset be heard now, in place of the preview before -> whether it has been made ahead."""
        ...

    def stop_preview(self) -> None:
        """End the preview that sounds."""
        ...

    def play_sound(self, sound: Float32Array) -> None:
        """Let mono samples [n] at 48 kHz be heard once, in place of the preview that sounds."""
        ...

    def extract(self, audio_path: Path) -> None:
        """Turn a recording into a passage; `Extracted` or `ExtractFailed` follows."""
        ...

    def play(self, start_s: float, loop: tuple[float, float] | None = None) -> None:
        """Play from `start_s`, round and round (start_s, end_s) when `loop` is given."""
        ...

    def pause(self) -> None:
        """Stop playing; the playhead stays."""
        ...

    @property
    def playhead_s(self) -> float:
        """Where playing is, seconds of the passage."""
        ...

    @property
    def is_playing(self) -> bool: ...

    @property
    def level_db(self) -> tuple[float, float]:
        """Peak level of (left, right), dB re full scale, as heard now."""
        ...

    @property
    def under_runs(self) -> int:
        """Blocks the sound card did not get in time since the start."""
        ...

    def output_devices(self) -> Sequence[DeviceInfo]: ...

    def set_output_device(self, device_id: str | None) -> None:
        """Use this output, or the system's default when None."""
        ...

    def midi_inputs(self) -> list[str]: ...

    def set_midi_input(self, name: str | None) -> None: ...

    def note_on(self, note: float, velocity: int) -> None:
        """Sing `note` (MIDI number, fractional) with the live preset until `note_off`."""
        ...

    def note_off(self, note: float) -> None: ...

    def set_live_preset(self, preset: Preset) -> None:
        """The preset that the keyboard plays."""
        ...

    def panic(self) -> None:
        """Silence every live note at once."""
        ...

    def set_live_lane(self, lane_id: str, value: float | None) -> None:
        """Move a lane of all live notes now; None gives it back to the preset."""
        ...

    def set_live_gain(self, gain_db: float) -> None:
        """Level of what is played live, before the limiter."""
        ...

    def learn(self, lane_id: str | None) -> None:
        """Bind the next MIDI control that moves to this lane; `ControlLearnt` follows. None calls it off."""
        ...

    def live_profile(self) -> ControllerProfile | None:
        """How the chosen controller plays; None where it is not known (yet). Another object after every change."""
        ...

    def set_live_profile(self, profile: ControllerProfile) -> None:
        """Play by this profile, and keep it for its controller."""
        ...

    def lock_variation(self, index: int | None) -> None:
        """Let repeated notes always begin with this variation of their onset; None: go round all of them."""
        ...

    def programs_changed(self) -> None:
        """Presets, or the numbers by which program changes call them, have changed on disk: heed them from now on."""
        ...

    def live_processes(self) -> Mapping[str, int]:
        """What plays and renders -> process id, those that run."""
        ...

    def start_recording(self, path: Path | None = None) -> None:
        """Record what is played from now on, into `path` (.flac or .wav; default: this user's music folder)."""
        ...

    def stop_recording(self) -> None:
        """End the recording; `Recorded` follows."""
        ...

    def recording(self) -> RecordingState | None:
        """The recording that is under way."""
        ...

    def voice_in(self) -> VoiceInLike | None:
        """The voice that is listened to as a controller; None where there can be none, or it is not known yet."""
        ...

    def live_meter(self) -> LiveMeter | None:
        """How live playing goes; None where nothing is played live. Cheap: call it at 60 Hz."""
        ...

    def live_audio(self, n_frames: int) -> Float32Array:
        """The last n_frames of what is played live -> [n_frames] mono, for a scope and a spectrum."""
        ...
