"""The live sampler: a process that keeps every voice of the stream in latents and frames, and makes onsets ahead.

One thread, which goes round: take voices over, make frames before they are needed, draw latents, and where there is
time, an onset. It reads what the performer wrote and never waits for it; when it dies, the performer's voices fade and
the host starts another.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
import threading
import time
from collections import deque
from multiprocessing import connection as mp_connection
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from typing import Final

import numpy as np

from app.live.stage import meter as fields
from app.live.stage.ahead import AT_ONCE, OnsetsAhead
from app.live.stage.conditions import Conditions, rising
from app.live.stage.lanes import PITCH, PRESENCE
from app.live.stage.memory import MISS, N_SLOTS, StageMemory, onsets_within
from app.live.stage.messages import SamplerFailed, SamplerReady, StageSettings
from app.live.stage.meter import UNLIMITED_VOICES, Meter
from app.live.stage.pipes import news_of
from app.live.stage.pressure import Pressure
from app.render.cache import CellCache
from app.report import fault_of, set_up_logging
from synth.engine import Engine, noise_temperature
from synth.errors import UserError
from synth.spec.audio import HOP_SAMPLES, SAMPLE_RATE_HZ
from synth.streaming.frames import Continuation, StreamingFrames
from synth.streaming.onsets import OnsetCache
from synth.streaming.sampler import BlockRequest, StreamingSampler
from synth.streaming.sounding import frames_needed

_log = logging.getLogger(__name__)

BLOCK_FRAMES: Final = 16  # latents drawn at once for a voice that goes on
FIRST_FRAMES: Final = 16  # for a note that waits for them
_AHEAD_FRAMES: Final = 4  # made beyond what the performer needs now: what a draw may take
_AT_ONCE: Final = 2
_FEW_VOICES: Final = 2
_LOW_FRAMES: Final = 14  # of latents left: draw
_MERGE_FRAMES: Final = 26  # a voice with no more than these comes along, so that draws are shared
_FEW_FRAMES_AHEAD: Final = 5  # with fewer, no onset is made ahead
_NAP_S: Final = 0.0005
_ATTACH_S: Final = 30.0
_NICENESS: Final = -5
_KEPT_STATES: Final = 8
_MARGIN_S: Final = 0.004
_SPILL_BYTES: Final = 256 * 2**20


def sample_live(connection: Connection, settings: StageSettings) -> None:
    """Entry point of the process. It ends with its host."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    set_up_logging("live-sampler")
    threading.Thread(target=_end_with_parent, name="parent-watch", daemon=True).start()
    if hasattr(os, "setpriority"):
        with contextlib.suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, 0, _NICENESS)
    try:
        engine = Engine.load(settings.weights_folder, settings.device, n_threads=1)
        sampler = LiveSampler(settings, engine, _attached(settings))
    except (UserError, TypeError) as fault:
        remedy = fault.remedy if isinstance(fault, UserError) else "Choose another voice."
        connection.send(SamplerFailed(str(fault), remedy))
        return
    connection.send(SamplerReady(engine.weights_hash, engine.device_name))
    gc.collect()
    gc.freeze()
    has_news = news_of(connection)
    try:
        while not has_news():
            if not sampler.step():
                time.sleep(_NAP_S)
    except (EOFError, OSError):
        pass
    except Exception as fault:
        _log.exception("the live sampler failed")
        with contextlib.suppress(OSError):
            connection.send(SamplerFailed(fault_of(fault).message, "It is started again."))
    os._exit(0)


def _attached(settings: StageSettings) -> StageMemory:
    """The performer's memory, as soon as it is there. Raises UserError."""
    deadline_s = time.monotonic() + _ATTACH_S
    while True:
        try:
            return StageMemory.attach(settings.memory, onsets_within(settings.cache_bytes))
        except (FileNotFoundError, ValueError):  # not made yet, or not yet of its size
            if time.monotonic() > deadline_s:
                raise UserError("The performer does not start.", remedy="Start Stridor again.") from None
            time.sleep(0.05)


class LiveSampler:
    """The process's work. step() wants calling all the time."""

    def __init__(self, settings: StageSettings, engine: Engine, memory: StageMemory) -> None:
        """Raises TypeError for a denoiser that cannot go on from what has been heard."""
        self._memory, self._meter = memory, Meter.attach(settings.meter)
        mean, std = engine.latent_scale
        self._sampler = StreamingSampler(engine.denoiser, mean, std, N_SLOTS + AT_ONCE, packed=True)
        self._frames = StreamingFrames(
            engine.codec, N_SLOTS, are_pulses_causal=True, buffer=memory.buffer, offset=memory.frames_offset
        )
        self._conditions = Conditions(engine.timbre_scale, engine.typical_timbres)
        self._pressure = Pressure(settings.n_steps)
        spill = None if settings.spill_folder is None else CellCache(settings.spill_folder, disk_bytes=_SPILL_BYTES)
        self._ahead = OnsetsAhead(
            memory, self._meter, engine, self._sampler, self._conditions, OnsetCache(spill=spill),
            n_steps=settings.n_steps, n_variations=settings.n_variations,
        )  # fmt: skip
        self._stale = memory.serial.copy()  # voices of the sampler before this one
        memory.served[:] = 0
        self._seen = np.zeros(N_SLOTS, dtype=np.int64)
        self._states: list[deque[Continuation]] = [deque(maxlen=_KEPT_STATES) for _ in range(N_SLOTS)]
        self._draw_s = 0.012  # a guess, until one has been timed
        self._ended_s = time.monotonic()
        self._meter.ints[fields.SAMPLER_EPOCH] += 1

    def step(self) -> bool:
        """Do what is most urgent -> whether there was anything to do."""
        memory, ints = self._memory, self._meter.ints
        ints[fields.SAMPLER_BEAT] += 1
        self._take_voices()
        voices = np.flatnonzero(memory.served)
        start_s = time.monotonic()
        worked = False
        ahead = 1 << 16
        if len(voices):
            worked = self._make_frames(voices)
            worked |= self._draw(voices)
            self._pressure.worked(time.monotonic() - start_s)
            begun = voices[self._frames.ready[voices] > 0]
            if len(begun):
                needed = frames_needed(memory.position[begun], 0)
                ahead = int((self._frames.ready[begun] + self._frames.come(begun) - needed).min())
        self._pressure.look(time.monotonic(), len(voices), ahead)
        self._tell()
        if not worked and ahead > _FEW_FRAMES_AHEAD:
            worked = self._ahead.step(1 if len(voices) else AT_ONCE)
        return worked

    # ---- voices

    def _take_voices(self) -> None:
        memory = self._memory
        for slot in np.flatnonzero((memory.serial != memory.served) & (memory.serial != self._stale)):
            serial = int(memory.serial[slot])
            self._stale[slot] = -1
            if serial:
                self._begin(int(slot))
            memory.served[slot] = serial
        gone = (self._stale > 0) & (memory.serial == 0)
        self._stale[gone] = -1

    def _begin(self, slot: int) -> None:
        memory, seed = self._memory, int(self._frames.seeds[slot])
        self._seen[slot] = memory.moved[slot]
        self._states[slot].clear()
        self._ahead.middle_note += 0.1 * (float(memory.lanes[slot, PITCH]) - self._ahead.middle_note)
        made = None
        if memory.entry[slot] != MISS:
            made = self._ahead.find(int(memory.entry[slot]), int(memory.entry_version[slot]))
        if made is not None:
            self._sampler.adopt(slot, made.seed, made.onset.latents, made.onset.condition)
            self._frames.go_on(slot, made.continuation)
            return
        hz, drift = float(self._frames.latest_hz[slot]), float(self._frames.drifts[slot])
        self._frames.begin(slot, seed, drift)
        self._frames.latest_hz[slot] = hz
        self._sampler.begin(slot, seed)
        timbre, attack_s = memory.timbre[slot], float(memory.attack_s[slot])
        condition = self._conditions.onset(memory.lanes[slot], timbre, attack_s, FIRST_FRAMES)
        request = BlockRequest(slot, condition, noise_temperature(rising(attack_s, FIRST_FRAMES)))
        self._frames.push(slot, self._sampler.draw([request], 1)[0], None)  # one jump: somebody waits
        one = np.array([slot])
        self._frames.prepare(one, np.array([_AT_ONCE]), _AT_ONCE)

    # ---- frames and latents

    def _make_frames(self, voices: np.ndarray) -> bool:
        frames = self._frames
        needed = frames_needed(self._memory.position[voices], 0) + _AHEAD_FRAMES
        here = frames.ready[voices] + frames.come(voices)
        wanted = np.minimum(needed, here)
        due = frames.ready[voices] < wanted
        if not due.any():
            return False
        start_s = time.monotonic()
        before = frames.ready[voices].copy()
        # A frame at a time leaves more places to go back to; with many voices that is too dear.
        frames.prepare(voices, wanted, 1 if len(voices) <= _FEW_VOICES else _AT_ONCE)
        for voice in voices[frames.ready[voices] > before]:
            self._states[voice].append(frames.continuation(int(voice)))
        self._meter.floats[fields.FRAMES_MS] = 1000.0 * (time.monotonic() - start_s)
        return True

    def _draw(self, voices: np.ndarray) -> bool:
        """Draw latents for voices that run low, or whose lanes have moved."""
        memory, frames = self._memory, self._frames
        moved = voices[memory.moved[voices] != self._seen[voices]]
        for voice in moved:
            self._seen[voice] = memory.moved[voice]
            self._go_back(int(voice))
        left = frames.come(voices)
        low = left < _LOW_FRAMES
        if not low.any():
            return False
        chosen = voices[left < _MERGE_FRAMES]
        n_steps = 1 if len(moved) else self._pressure.n_steps  # hands are waiting
        start_s = time.monotonic()
        requests = [self._request(int(voice)) for voice in chosen]
        for voice, latents in zip(chosen, self._sampler.draw(requests, n_steps), strict=True):
            frames.push(int(voice), latents, None)
        took_s = time.monotonic() - start_s
        self._draw_s = max(took_s, self._draw_s + 0.2 * (took_s - self._draw_s))
        self._meter.floats[fields.DRAW_MS] = 1000.0 * took_s
        self._meter.ints[fields.REDRAWN] += len(moved)
        return True

    def _request(self, voice: int) -> BlockRequest:
        memory = self._memory
        lanes = memory.lanes[voice]
        # A note that has been let go falls as its release says; everything else stays as it is now.
        ahead = self._sampler.drawn(voice) + np.arange(BLOCK_FRAMES) - memory.position[voice] / HOP_SAMPLES
        presence = np.clip(lanes[PRESENCE] - memory.fall_per_frame[voice] * ahead, 0.0, 1.0).astype(np.float32)
        condition = self._conditions.held(lanes, memory.timbre[voice], presence)
        return BlockRequest(voice, condition, noise_temperature(presence))

    def _go_back(self, voice: int) -> None:
        """To the first frame that can still be made anew before it is heard: what follows obeys the lanes as now."""
        ahead = int((self._draw_s + _MARGIN_S) * SAMPLE_RATE_HZ)
        first = int(frames_needed(int(self._memory.position[voice]), ahead))
        for state in self._states[voice]:
            if state.ready >= first:
                self._frames.rewind(voice, state)
                break
        self._sampler.rewind(voice, self._frames.take_back(voice))

    def _tell(self) -> None:
        ints, floats, pressure = self._meter.ints, self._meter.floats, self._pressure
        ints[fields.N_STEPS] = pressure.n_steps
        ints[fields.MAX_VOICES] = UNLIMITED_VOICES if pressure.max_voices is None else pressure.max_voices
        floats[fields.SAMPLER_LOAD] = pressure.load


def _end_with_parent() -> None:
    """A long call into torch does not look at the pipe; this thread does not wait for it."""
    parent = parent_process()
    if parent is not None:
        mp_connection.wait([parent.sentinel])
        os._exit(1)
