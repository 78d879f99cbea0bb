"""Notes by hand, through the live engine: MIDI inputs and on-screen keys, presets, controller profiles, the meter."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final, Protocol

from app.live.performance.gestures import KEYBOARD, KeyLifted, KeyPressed, LaneMoved, PanicAsked
from app.live.stage import meter as fields
from app.live.stage.host import LiveEngine, StageOptions
from app.live.stage.messages import (
    ControllerGone,
    Learn,
    Learnt,
    LockVariation,
    Played,
    PresetChosen,
    SamplerFailed,
    StageNotice,
    Tell,
    UsePreset,
)
from app.live.stage.meter import UNLIMITED_VOICES, LiveMeter, percentiles_ms
from app.midi.inputs import InputLost, InputsChanged, MidiInputs
from app.midi.messages import MidiMessage
from app.services.bank_reader import BankReader, ReadBank
from app.services.events import (
    ControlLearnt,
    DevicesChanged,
    Event,
    LivePresetChanged,
    MidiActivity,
    Notice,
    RecordingState,
)
from app.services.live_take import LiveTake, new_take_path
from app.services.midi_activity import activity_of
from app.services.preset_maps import PresetMaps
from app.services.voice_in import VoiceInControl
from app.state.controller_profile import ControllerProfile
from app.state.preset import Preset
from app.store.controller_profiles import load_profile, save_profile
from synth.errors import UserError
from synth.spec import Float32Array

_KEYS_PER_NOTE: Final = 100  # on-screen keys may be fractional: every hundredth of a semitone is a key
_SILENT_DB: Final = -100.0
_NO_LOSS: Final = 0.9995
_UNKNOWN: Final = float("nan")
_ASKED_S: Final = 1.0  # a device that has asked for nothing for so long does not play
ANY_CONTROLLER: Final = "any controller"  # whose profile holds until a controller is chosen


class RecordedSound(Protocol):
    """What a recording needs of app.audio.client.SoundClient."""

    def live_frames(self) -> tuple[int, int]: ...
    def live_audio(self, start: int, n_frames: int) -> Float32Array: ...


class StreamSound(RecordedSound, Protocol):
    """What playing needs of it."""

    @property
    def shared_name(self) -> str: ...
    @property
    def live_losses(self) -> tuple[int, int]: ...
    @property
    def block_frames(self) -> int: ...
    @property
    def under_runs(self) -> int: ...
    @property
    def latency_s(self) -> float: ...
    @property
    def callback_s(self) -> float: ...
    @property
    def server_pid(self) -> int | None: ...
    @property
    def available(self) -> bool: ...
    @property
    def has_given_up(self) -> bool: ...
    @property
    def asked_at_s(self) -> float: ...


OnPlayed = Callable[[Played], None]


class StageSession:
    """Fulfils `LiveLike`. Main thread, but for MIDI messages shown, which arrive on the receiver's."""

    def __init__(
        self,
        sound: StreamSound,
        options: StageOptions,
        bank: Sequence[Preset] = (),
        *,
        read_bank: ReadBank | None = None,
    ) -> None:
        """read_bank   reads what `bank` has become; None: it stays as it is"""
        self.sound = sound
        self.engine = LiveEngine(sound.shared_name, options)
        self.voice_in = VoiceInControl(self.engine.voice_in)
        self._bank = tuple(bank)
        self._reader = BankReader(read_bank or (lambda: self._bank))
        self._maps = PresetMaps(self.engine.play)
        self._inputs = MidiInputs(self._on_midi, ring_name=self.engine.midi.name)
        self._activity: SimpleQueue[MidiActivity] = SimpleQueue()
        self._events: list[Event] = []
        self._profile = self._loaded(ANY_CONTROLLER)
        self._is_open = False
        self._failure = ""
        self._listeners: list[OnPlayed] = []
        self._take: LiveTake | None = None

    # ---- life

    def start(self) -> None:
        """Start the engine and listen; returns at once."""
        self._is_open = True
        self.engine.use_profile(self._profile)
        if self._bank:
            self._events += self._maps.tell(self._bank)
            self.engine.use_bank(self._bank)
        self.engine.start()
        self._inputs.start()

    def close(self) -> None:
        """Silence what sounds, end the engine, let go of the inputs."""
        if self._is_open:
            self._is_open = False
            self.panic()
            take, self._take = self._take, None
            if take is not None:
                take.close()
            self._inputs.close()
        self._reader.close()
        self.engine.close()

    def poll(self) -> list[Event]:
        """What inputs and engine did."""
        events, self._events = self._events, []
        for news in self._inputs.poll():
            if isinstance(news, InputsChanged):
                events.append(DevicesChanged())
            elif isinstance(news, InputLost):
                self.engine.play(ControllerGone())
                events.append(Notice(f"The MIDI input {news.name} has gone.", "It is used again once it is back."))
        for said in self.engine.poll():
            events += self._understood(said)
        events += self.voice_in.poll()
        bank = self._reader.take()
        if bank is not None:
            events += self._maps.tell(bank)
            self.engine.use_programs(bank)
        recorded = self._take.poll() if self._take is not None else None
        if recorded is not None:
            self._take = None
            events.append(recorded)
        try:
            while True:
                events.append(self._activity.get_nowait())
        except Empty:
            return events

    def _understood(self, said: object) -> list[Event]:
        match said:
            case StageNotice(message, remedy):
                return [Notice(message, remedy)]
            case SamplerFailed(message, remedy):
                self._failure = message
                return [Notice(f"This voice cannot be played live: {message}", remedy)]
            case PresetChosen(preset_id):
                return [LivePresetChanged(preset_id)]
            case Learnt(binding):
                return self._bind(self._profile.with_binding(binding), binding.source, binding.lane)
            case Played():
                for listener in self._listeners:
                    listener(said)
                return []
            case _:
                return []

    # ---- inputs

    def midi_inputs(self) -> list[str]:
        return self._inputs.names()

    def set_midi_input(self, name: str | None) -> None:
        """Listen to this input by its own profile."""
        self.engine.play(ControllerGone())
        if name is not None:
            self._profile = self._loaded(name)
            self.engine.use_profile(self._profile)
        self._inputs.open(name)

    def _loaded(self, name: str) -> ControllerProfile:
        loaded = load_profile(name)
        if loaded.fault is not None:
            self._events.append(Notice(loaded.fault.message, loaded.fault.remedy))
        return loaded.profile

    @property
    def profile(self) -> ControllerProfile | None:
        """The profile in force."""
        return self._profile

    def set_profile(self, profile: ControllerProfile) -> None:
        """Use this profile, and keep it for its controller. Raises UserError where it cannot be kept."""
        self._profile = profile
        self.engine.use_profile(profile)
        self._maps.changed(profile)
        save_profile(profile)

    def learn(self, lane_id: str | None) -> None:
        """Bind the next control that moves to this lane; `ControlLearnt` follows. None calls it off."""
        self.engine.play(Learn(lane_id))

    def _bind(self, profile: ControllerProfile, source: str, lane_id: str) -> list[Event]:
        try:
            self.set_profile(profile)
        except UserError as fault:
            return [ControlLearnt(source, lane_id), Notice(fault.message, fault.remedy)]
        return [ControlLearnt(source, lane_id)]

    def _on_midi(self, message: MidiMessage) -> None:
        """On the MIDI receiver's thread; the performer has it already."""
        self._activity.put(activity_of(message))

    # ---- playing

    def note_on(self, note: float, velocity: int) -> None:
        key = round(note * _KEYS_PER_NOTE)
        self.engine.play(KeyPressed(time.monotonic(), KEYBOARD, key, note, float(velocity)))

    def note_off(self, note: float) -> None:
        self.engine.play(KeyLifted(time.monotonic(), KEYBOARD, round(note * _KEYS_PER_NOTE)))

    def set_lane(self, lane_id: str, value: float | None) -> None:
        """A lane of all notes, now; None gives it back to the preset."""
        self.engine.play(LaneMoved(time.monotonic(), lane_id, value))

    def set_preset(self, preset: Preset) -> None:
        self._events += self._maps.tell([preset])
        self.engine.play(UsePreset(preset))

    def programs_changed(self) -> None:
        """Read the bank again: presets, or the numbers that call them, have changed."""
        self._reader.ask()

    def lock_variation(self, index: int | None) -> None:
        """Repeated notes begin with this variation; None: go round."""
        self.engine.play(LockVariation(index))

    def panic(self) -> None:
        """Silence every live note at once."""
        self.engine.play(PanicAsked(time.monotonic()))

    def set_gain(self, gain_db: float) -> None:
        """Level of the live stream, before the limiter."""
        self.engine.meter.floats[fields.GAIN] = 10.0 ** (gain_db / 20.0)

    def listen(self, listener: OnPlayed) -> None:
        """Hear what is played, from poll(), from now on."""
        self._listeners.append(listener)

    def stop_listening(self, listener: OnPlayed) -> None:
        """Hear no more; the engine stops telling once nobody listens."""
        self._listeners.remove(listener)
        if not self._listeners:
            self.engine.play(Tell(is_wanted=False))

    # ---- recording

    def start_recording(self, path: Path | None = None) -> None:
        """Record sound and gestures from now on. Raises UserError; nothing where a recording is under way."""
        if self._take is None:
            self._take = LiveTake(self, new_take_path() if path is None else path)

    def stop_recording(self) -> None:
        """End it; `Recorded` follows from poll()."""
        if self._take is not None:
            self._take.finish()

    def recording(self) -> RecordingState | None:
        """The recording that is under way."""
        return None if self._take is None else self._take.state

    # ---- how it goes

    def audio(self, n_frames: int) -> Float32Array:
        """The last n_frames of the live stream that have been asked for -> [n_frames], for a scope."""
        read, written = self.sound.live_frames()
        return self.sound.live_audio(max(min(read, written) - n_frames, 0), n_frames)

    def processes(self) -> Mapping[str, int]:
        """Sound server, performer and live sampler -> process id."""
        found = {"sound server": self.sound.server_pid, **self.engine.pids}
        return {name: pid for name, pid in found.items() if pid is not None}

    def meter(self) -> LiveMeter:
        """How playing goes."""
        return read_meter(self.engine, self.sound, failure=self._failure)


def read_meter(engine: LiveEngine, sound: StreamSound, *, failure: str = "") -> LiveMeter:
    """The meter's fields as one value."""
    ints, floats = engine.meter.ints, engine.meter.floats
    p50_ms, p95_ms, p99_ms = percentiles_ms(engine.meter)
    under_runs, zero_frames = sound.live_losses
    most = int(ints[fields.MAX_VOICES])
    gain, peak = float(floats[fields.LIMITER_GAIN]), float(floats[fields.PEAK])
    return LiveMeter(
        state=_state(engine, failure),
        latency_p50_ms=p50_ms,
        latency_p95_ms=p95_ms,
        latency_p99_ms=p99_ms,
        engine_latency_ms=1000.0 * float(floats[fields.LATENCY_S]),
        under_runs=under_runs,
        zero_frames=zero_frames,
        device_under_runs=sound.under_runs,
        block_frames=sound.block_frames,
        voices=int(ints[fields.VOICES]),
        max_voices=None if most >= UNLIMITED_VOICES else most,
        notes=int(ints[fields.N_NOTES]),
        lost_notes=int(ints[fields.N_LOST]),
        stolen_voices=int(ints[fields.STOLEN]),
        n_steps=int(ints[fields.N_STEPS]),
        draw_ms=float(floats[fields.DRAW_MS]),
        frames_ms=float(floats[fields.FRAMES_MS]),
        block_ms=float(floats[fields.BLOCK_MS]),
        sampler_load=float(floats[fields.SAMPLER_LOAD]),
        performer_load=float(floats[fields.PERFORMER_LOAD]),
        late_frames=int(ints[fields.LATE_FRAMES]),
        redrawn=int(ints[fields.REDRAWN]),
        cache_made=int(ints[fields.CACHE_MADE]),
        cache_wanted=int(ints[fields.CACHE_WANTED]),
        cache_bytes=int(ints[fields.CACHE_BYTES]),
        cache_hits=int(ints[fields.HITS]),
        cache_misses=int(ints[fields.MISSES]),
        peak_db=_db(peak),
        limiter_db=0.0 if gain > _NO_LOSS else _db(gain),
        limited_blocks=int(ints[fields.LIMITED_BLOCKS]),
        tempo_bpm=float(floats[fields.TEMPO_BPM]),
        events=int(ints[fields.N_EVENTS]),
        device_latency_ms=1000.0 * sound.latency_s or _UNKNOWN,
        callback_ms=1000.0 * sound.callback_s or _UNKNOWN,
        preset_made=int(ints[fields.PRESET_MADE]),
        preset_wanted=int(ints[fields.PRESET_WANTED]),
        cache_limit_bytes=int(ints[fields.CACHE_LIMIT_BYTES]),
        heard_notes=int(ints[fields.N_LATENCIES_TOLD]),
        stolen_unheard=int(ints[fields.STOLEN_UNHEARD]),
        latents_bytes=int(ints[fields.LATENTS_BYTES]),
        sound=_sound_state(sound),
    )


def _state(engine: LiveEngine, failure: str) -> str:
    if failure or engine.has_ended:
        return "off"
    if engine.is_performing and engine.is_sampling:
        return "playing"
    if not int(engine.meter.ints[fields.SAMPLER_EPOCH]):
        return "starting"
    return "no sampler" if engine.is_performing else "no performer"


def _sound_state(sound: StreamSound) -> str:
    if sound.has_given_up:
        return "gone"
    if sound.server_pid is None:
        return "no server"
    is_asked = time.monotonic() - sound.asked_at_s < _ASKED_S
    return "playing" if sound.available and is_asked else "no device"


def _db(linear: float) -> float:
    return max(20.0 * math.log10(linear), _SILENT_DB) if linear > 0.0 else _SILENT_DB
