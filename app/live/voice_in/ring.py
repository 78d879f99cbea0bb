"""Gestures of the guided voice from its process to the performer, and how listening goes: shared memory, no lock.

One writer (the listening process), one reader of gestures (the performer), any number of readers of the state.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from multiprocessing.shared_memory import SharedMemory
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from app.live.performance.gestures import VOICE_IN, Gesture, KeyBent, KeyLifted, KeyPressed, LaneMoved
from app.live.voice_in.gestures import KEY
from app.shared_block import SharedBlock
from synth.spec.lanes import LANE_IDS, TECHNIQUES

N_RECORDS: Final = 8_192
_WRITTEN, _READ, _LOST, _STATE, _CLIPPED, _DAMAGED, _HOPS, _PRESENT, _DROPPED = range(9)
_N_INTS: Final = 16
_LEVEL, _NOTE, _LOAD, _INPUT, _TECHNIQUES = range(5)
_N_FLOATS: Final = 16
_COLUMNS: Final = 4  # time, what, two values
_PRESS, _LIFT, _BEND, _LANE = range(4)
STATES: Final = ("off", "listening", "waiting")


@dataclass(frozen=True, slots=True)
class VoiceInState:
    """How listening goes.

    state        "off", "listening", "waiting" (for an input that is not there)
    level_db     of the input, RMS over 15 ms
    note         MIDI note that is heard, fractional; NaN where there is none
    technique    what it sounds like most, "" before anything was heard
    input_ms     what the input's driver and its block add
    load         processor time of listening, share of a core
    clipped      hops in which the input reached full scale; damaged: in which it held what is no number
    dropped      blocks that the driver lost
    """

    state: str
    level_db: float
    note: float
    is_present: bool
    technique: str
    input_ms: float
    load: float
    hops: int
    clipped: int
    damaged: int
    dropped: int


class GestureRing(SharedBlock):
    """See the module."""

    N_BYTES = 8 * (_N_INTS + _N_FLOATS + N_RECORDS * _COLUMNS)

    def __init__(self, memory: SharedMemory, *, is_owner: bool) -> None:
        super().__init__(memory, is_owner=is_owner)
        self._ints: NDArray[np.int64] = self._take(_N_INTS, np.int64)
        self._floats: NDArray[np.float64] = self._take(_N_FLOATS, np.float64)
        self._records: NDArray[np.float64] = self._take((N_RECORDS, _COLUMNS), np.float64)

    @classmethod
    def create(cls) -> Self:
        """New and empty; the creator's close() deletes it."""
        ring = super().create()
        ring.quiet()
        return ring

    def _let_go(self) -> None:
        """The last state stays readable."""
        self._ints, self._floats = self._ints.copy(), self._floats.copy()
        self._records = np.zeros((N_RECORDS, _COLUMNS))

    # ---- gestures

    def push(self, gesture: Gesture) -> None:
        """Writer. Dropped and counted where there is no room."""
        match gesture:
            case KeyPressed(t_s=t_s, note=note, velocity=velocity):
                record = (t_s, _PRESS, note, velocity)
            case KeyLifted(t_s=t_s):
                record = (t_s, _LIFT, 0.0, 0.0)
            case KeyBent(t_s=t_s, cents=cents):
                record = (t_s, _BEND, cents, 0.0)
            case LaneMoved(t_s=t_s, lane=lane_id, value=value):
                record = (t_s, _LANE, LANE_IDS.index(lane_id), math.nan if value is None else value)
            case _:
                raise ValueError(f"{gesture} is no gesture of the guided voice")
        written = int(self._ints[_WRITTEN])
        if written - int(self._ints[_READ]) >= N_RECORDS:
            self._ints[_LOST] += 1
            return
        self._records[written % N_RECORDS] = record
        self._ints[_WRITTEN] = written + 1

    def take(self) -> list[Gesture]:
        """Reader. What has come since the last call, in order."""
        read, written = int(self._ints[_READ]), int(self._ints[_WRITTEN])
        if read == written:
            return []
        gestures = [_gesture(self._records[index % N_RECORDS]) for index in range(read, written)]
        self._ints[_READ] = written
        return gestures

    @property
    def n_lost(self) -> int:
        """Gestures that found no room."""
        return int(self._ints[_LOST])

    # ---- state

    def tell(
        self, *, level_db: float, note: float, is_present: bool, techniques: tuple[float, ...], load: float
    ) -> None:
        """Writer. How it goes now."""
        floats = self._floats
        floats[_LEVEL], floats[_NOTE], floats[_LOAD] = level_db, note, load
        floats[_TECHNIQUES : _TECHNIQUES + len(TECHNIQUES)] = techniques
        self._ints[_PRESENT] = is_present

    def count(self, *, hops: int = 0, clipped: int = 0, damaged: int = 0, dropped: int = 0) -> None:
        """Writer. So many more."""
        for index, more in ((_HOPS, hops), (_CLIPPED, clipped), (_DAMAGED, damaged), (_DROPPED, dropped)):
            self._ints[index] += more

    def set_state(self, state: str, input_s: float = 0.0) -> None:
        """Writer. One of STATES, and what the input adds."""
        self._ints[_STATE] = STATES.index(state)
        self._floats[_INPUT] = input_s
        if state != "listening":
            self.quiet()

    def quiet(self) -> None:
        """Writer. Nothing is heard."""
        self.tell(level_db=-100.0, note=math.nan, is_present=False, techniques=(0.0,) * len(TECHNIQUES), load=0.0)

    def state(self) -> VoiceInState:
        """How listening goes."""
        ints, floats = self._ints, self._floats
        weights = floats[_TECHNIQUES : _TECHNIQUES + len(TECHNIQUES)]
        return VoiceInState(
            state=STATES[int(ints[_STATE])],
            level_db=float(floats[_LEVEL]),
            note=float(floats[_NOTE]),
            is_present=bool(ints[_PRESENT]),
            technique=TECHNIQUES[int(np.argmax(weights))] if weights.any() else "",
            input_ms=1000.0 * float(floats[_INPUT]),
            load=float(floats[_LOAD]),
            hops=int(ints[_HOPS]),
            clipped=int(ints[_CLIPPED]),
            damaged=int(ints[_DAMAGED]),
            dropped=int(ints[_DROPPED]),
        )


def _gesture(record: NDArray[np.float64]) -> Gesture:
    t_s, what, first, second = (float(value) for value in record)
    match int(what):
        case 0:
            return KeyPressed(t_s, VOICE_IN, KEY, first, second)
        case 1:
            return KeyLifted(t_s, VOICE_IN, KEY)
        case 2:
            return KeyBent(t_s, VOICE_IN, KEY, first)
        case _:
            return LaneMoved(t_s, LANE_IDS[int(first)], None if math.isnan(second) else second)
