"""Records what is played live: losslessly as audio, and as a passage that can be edited and rendered again.

The passage has one voice for every note that sounded beside others, each a melody: notes with their velocity, the bend
as a lane, and the lanes that were set for all notes. Each voice has the seed of its first note.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import soundfile

from app.audio.shared import RING_FRAMES
from app.live.performance.commands import ALL_VOICES, Glide, Kill, Release, Retune, SetLane, Silence, StartVoice
from app.live.stage.messages import Played
from app.state.passage import Lane, Note, Passage, Point, Voice
from synth.errors import UserError
from synth.spec import SAMPLE_RATE_HZ
from synth.spec.lanes import LANE_IDS, lane

if TYPE_CHECKING:
    from app.services.stage import RecordedSound

_STEP_S: Final = 0.1
_BEHIND_FRAMES: Final = RING_FRAMES // 2  # more than this behind, the recording has lost something
_SHORTEST_S: Final = 0.01
_APART_S: Final = 1e-4
_SUBTYPE: Final = "PCM_24"


class AudioRecorder:
    """Writes the live stream to a FLAC or WAV file as it is played, on a thread of its own."""

    def __init__(self, sound: RecordedSound, path: Path) -> None:
        """Raises UserError where the file cannot be written."""
        try:
            self._file: Any = soundfile.SoundFile(path, "w", SAMPLE_RATE_HZ, 1, subtype=_SUBTYPE)
        except (soundfile.LibsndfileError, OSError, TypeError) as fault:
            raise UserError(
                f"{path} cannot be written: {fault}.", remedy="Choose a .flac or .wav elsewhere."
            ) from fault
        self._sound, self.path = sound, path
        self.n_frames = self.lost_frames = 0
        self.fault = ""
        self._next, _ = sound.live_frames()
        self._is_ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="live-recorder", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Write what has been played up to now. Idempotent."""
        if not self._is_ending.is_set():
            self._is_ending.set()
            self._thread.join()
            self._file.close()

    def _run(self) -> None:
        while not self._is_ending.wait(_STEP_S):
            self._catch_up()
        self._catch_up()

    def _catch_up(self) -> None:
        read, _ = self._sound.live_frames()
        if read - self._next > _BEHIND_FRAMES:
            self.lost_frames += read - self._next - _BEHIND_FRAMES
            self._next = read - _BEHIND_FRAMES
        n_frames = read - self._next
        if n_frames <= 0 or self.fault:
            return
        try:
            self._file.write(self._sound.live_audio(self._next, n_frames))
        except (soundfile.LibsndfileError, OSError) as fault:
            self.fault = f"{self.path} cannot be written any more: {fault}."
            return
        self._next += n_frames
        self.n_frames += n_frames


@dataclass(slots=True)
class _Played:
    start_s: float
    note: float
    velocity: float
    cents: float
    seed: int
    preset_id: str
    end_s: float | None = None
    bends: list[Point] = field(default_factory=list)


class PassageRecorder:
    """Hears what the engine did (`StageSession.listen`) and makes a passage of it. Main thread."""

    def __init__(self, now_s: float | None = None) -> None:
        """now_s   on time.monotonic()'s clock: where the passage begins"""
        self._begin_s = time.monotonic() if now_s is None else now_s
        self._notes: dict[int, _Played] = {}
        self._order: list[_Played] = []
        self._lanes: dict[str, list[Point]] = {}

    def hear(self, played: Played) -> None:
        """Take up what the engine did."""
        seeds = dict(played.seeds)
        for command in played.commands:
            at_s = max(command.t_s - self._begin_s, 0.0) if hasattr(command, "t_s") else 0.0
            match command:
                case StartVoice(voice=number):
                    note = _Played(
                        at_s, command.note, command.velocity, command.cents, seeds.get(number, 0), played.preset_id
                    )
                    note.bends.append((at_s, command.cents / 100.0))
                    self._notes[number] = note
                    self._order.append(note)
                case Retune(voice=number, cents=cents) if number in self._notes:
                    note = self._notes[number]
                    note.cents = cents
                    note.bends.append((at_s, cents / 100.0))
                case Glide(voice=number, note=target, time_s=time_s) if number in self._notes:
                    note = self._notes[number]
                    semitones = target - note.note + note.cents / 100.0
                    note.bends += [(at_s, note.bends[-1][1]), (at_s + max(time_s, _APART_S), semitones)]
                case Release(voice=number) | Kill(voice=number) if number in self._notes:
                    self._notes.pop(number).end_s = at_s
                case Silence():
                    for note in self._notes.values():
                        note.end_s = at_s
                    self._notes.clear()
                case SetLane(voice=number, lane=lane_id, value=value) if number == ALL_VOICES and lane_id in LANE_IDS:
                    if value is not None:
                        self._lanes.setdefault(lane_id, []).append((at_s, lane(lane_id).clamp(value)))
                case _:
                    pass

    def passage(self, now_s: float | None = None) -> Passage:
        """What has been played up to now. Raises UserError when nothing was."""
        end_s = (time.monotonic() if now_s is None else now_s) - self._begin_s
        if not self._order:
            raise UserError("Nothing has been played.", remedy="Play a note while recording.")
        melodies: list[list[_Played]] = []
        for note in self._order:
            free = (melody for melody in melodies if (melody[-1].end_s or end_s) <= note.start_s)
            chosen = next((melody for melody in free if melody[-1].preset_id == note.preset_id), None)
            if chosen is None:
                melodies.append([note])
            else:
                chosen.append(note)
        duration_s = max([end_s, *((note.end_s or end_s) for note in self._order)]) + 1.0
        voices = tuple(self._voice(index, melody, end_s) for index, melody in enumerate(melodies))
        return Passage(duration_s, voices=voices)

    def _voice(self, index: int, melody: list[_Played], end_s: float) -> Voice:
        notes: list[Note] = []
        bends: list[Point] = []
        for note in melody:
            duration_s = max((note.end_s or end_s) - note.start_s, _SHORTEST_S)
            velocity = int(np.clip(round(note.velocity), 1, 127))
            notes.append(Note(note.start_s, duration_s, lane("pitch").clamp(note.note), velocity))
            bends += [(t_s, lane("bend").clamp(value)) for t_s, value in note.bends]
        lanes = {lane_id: Lane(tuple(_rising(points))) for lane_id, points in self._lanes.items()}
        if any(value for _, value in bends):
            lanes["bend"] = Lane(tuple(_rising(bends)))
        return Voice(f"Played {index + 1}", melody[0].preset_id, melody[0].seed, tuple(notes), lanes=lanes)


def _rising(points: list[Point]) -> list[Point]:
    """Held until the next one, with times that rise strictly."""
    kept: list[Point] = []
    for t_s, value in sorted(points, key=lambda point: point[0]):
        if kept and t_s <= kept[-1][0] + _APART_S:
            kept[-1] = (kept[-1][0], value)
            continue
        if kept and t_s - kept[-1][0] > 2 * _APART_S:
            kept.append((t_s - _APART_S, kept[-1][1]))
        kept.append((t_s, value))
    return kept
