"""The live sampler: a process that keeps every voice of the stream in latents and frames, and makes onsets ahead.

One thread, which goes round and does the most urgent piece of work there is: first frames of a note that waits, frames
that are needed now, lanes that moved, frames and latents before they are needed, and where there is time, an onset. No
piece is longer than one jump of a draw or one pass of the decoder's network, so a hand waits for one piece at most. It
reads what the performer wrote and never waits for it; when it dies, the performer's voices fade and the host starts
another.
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
from collections.abc import Callable, Generator, Sequence
from multiprocessing import connection as mp_connection
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from typing import Final

import numpy as np

from app.live.stage import meter as fields
from app.live.stage.adapters import LiveAdapters
from app.live.stage.ahead import AT_ONCE, OnsetsAhead
from app.live.stage.conditions import Conditions, rising
from app.live.stage.lanes import PITCH, PRESENCE
from app.live.stage.memory import MISS, N_SLOTS, StageMemory, onsets_within
from app.live.stage.messages import SamplerFailed, SamplerReady, StageNotice, StageSettings
from app.live.stage.meter import UNLIMITED_VOICES, Meter
from app.live.stage.pipes import news_of
from app.live.stage.pressure import Pressure
from app.render.cache import CellCache
from app.report import fault_of, set_up_logging
from app.store.adapters import adapter_folders
from synth.engine import Engine, noise_temperature
from synth.errors import UserError
from synth.spec.audio import HOP_SAMPLES, SAMPLE_RATE_HZ
from synth.streaming.frames import MOST_AT_ONCE, Continuation, StreamingFrames
from synth.streaming.onsets import OnsetCache
from synth.streaming.sampler import BlockRequest, StreamingSampler
from synth.streaming.sounding import frames_needed

_log = logging.getLogger(__name__)

BLOCK_FRAMES: Final = 16  # latents drawn at once for a voice that goes on
FIRST_FRAMES: Final = 16  # for a note that waits for them
_AHEAD_FRAMES: Final = 4  # made beyond what the performer needs now: what a draw may take
_AT_ONCE: Final = 2
_FEW_VOICES: Final = 2
_VOICES_AT_ONCE: Final = 4  # of a processor: one batch of eight takes as long as two of four, and somebody waits
_PADDED_TO: Final = 8  # voices of a batch on a GPU
_LOW_FRAMES: Final = 14  # of latents left: draw
_MERGE_FRAMES: Final = 26  # a voice with no more than these comes along, so that draws are shared
_SCARCE_FRAMES: Final = 3  # of frames and latents left: draw in one jump, or sound breaks
_CRITICAL_FRAMES: Final = 1  # beyond what is needed: with fewer, nothing else comes first
_FEW_FRAMES_AHEAD: Final = 5  # with fewer, no onset is made ahead
_QUIET_S: Final = 5.0  # without a voice, before onsets are made several at a time
_APART_S: Final = 0.008  # between two draws for the same voice's lanes
_NAP_S: Final = 0.0005
_ATTACH_S: Final = 30.0
_NICENESS: Final = -10  # where the user may: late filters are heard, a window that is late is seen
_KEPT_STATES: Final = 12
_SPILL_BYTES: Final = 256 * 2**20
_PRIMITIVES: Final = "8192"  # of oneDNN: every shape of a draw has some fifty, and making them again takes 25 ms


def sample_live(connection: Connection, settings: StageSettings) -> None:
    """Entry point of the process. It ends with its host."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    set_up_logging("live-sampler")
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", _PRIMITIVES)  # read when the first one is made
    threading.Thread(target=_end_with_parent, name="parent-watch", daemon=True).start()
    if hasattr(os, "setpriority"):
        with contextlib.suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, 0, _NICENESS)
    try:
        engine = Engine.load(settings.weights_folder, settings.device, n_threads=1, adapter_folders=adapter_folders)
        sampler = LiveSampler(
            settings, engine, _attached(settings), lambda message, remedy: connection.send(StageNotice(message, remedy))
        )
    except UserError as fault:
        connection.send(SamplerFailed(fault.message, fault.remedy))
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

    def __init__(
        self,
        settings: StageSettings,
        engine: Engine,
        memory: StageMemory,
        tell: Callable[[str, str], None] = lambda _message, _remedy: None,
    ) -> None:
        """tell   is told (message, remedy) of adapters that cannot be had"""
        self._memory, self._meter = memory, Meter.attach(settings.meter)
        mean, std = engine.latent_scale
        on_processor = next(engine.denoiser.parameters()).device.type == "cpu"
        self._sampler = StreamingSampler(
            engine.denoiser, mean, std, N_SLOTS + AT_ONCE, packed=True, graphed=True,
            most_at_once=_VOICES_AT_ONCE if on_processor else 0, pad_batch_to=1 if on_processor else _PADDED_TO,
        )  # fmt: skip
        self._frames = StreamingFrames(
            engine.codec, N_SLOTS, are_pulses_causal=True, buffer=memory.buffer, offset=memory.frames_offset
        )
        self._adapters = LiveAdapters(memory, engine.adapters, engine.denoiser, tell)
        self._conditions = Conditions(engine.timbre_scale, engine.typical_timbres, self._adapters)
        self._pressure = Pressure(settings.n_steps)
        spill = None if settings.spill_folder is None else CellCache(settings.spill_folder, disk_bytes=_SPILL_BYTES)
        self._ahead = OnsetsAhead(
            memory, self._meter, engine, self._sampler, self._conditions, OnsetCache(spill=spill),
            self._adapters, n_steps=settings.n_steps, n_variations=settings.n_variations,
        )  # fmt: skip
        memory.served[:] = 0
        self._seen = np.zeros(N_SLOTS, dtype=np.int64)
        self._states: list[deque[Continuation]] = [deque(maxlen=_KEPT_STATES) for _ in range(N_SLOTS)]
        self._redrawn_s = np.zeros(N_SLOTS)
        self._redraw_s = 0.01  # from lanes that moved to frames that obey: a guess, until it has been timed
        self._drawing: Generator[None, None, list[np.ndarray | None]] | None = None
        self._requests: list[BlockRequest] = []  # what is being drawn
        self._draw_s = 0.0
        self._heard_s = -np.inf  # when a voice was there last
        self._to_warm = deque(_shapes(self._sampler, settings.n_steps, on_processor=on_processor))
        self._warm(len(_lengths(self._sampler)))
        # Voices of the sampler before this one, or begun while there was none: the performer begins them again.
        self._stale = memory.serial.copy()
        self._meter.ints[fields.SAMPLER_EPOCH] += 1

    def close(self) -> None:
        """End what works beside it."""
        self._adapters.close()

    def step(self) -> bool:
        """Do the most urgent piece of work -> whether there was anything to do."""
        memory, now_s = self._memory, time.monotonic()
        self._meter.ints[fields.SAMPLER_BEAT] += 1
        if self._adapters.look():
            self._drawing = None  # voices that run low begin theirs anew
            self._ahead.call_off()
            self._adapters.swap(self._sampler)
        waiting = self._take_voices()
        if waiting:
            self._sing_first(waiting)
        voices = np.flatnonzero(memory.served)
        worked, ahead = bool(waiting), 1 << 16
        if len(voices):
            self._heard_s = now_s
            worked = worked or self._serve(voices, now_s)
            ahead = self._frames_ahead(voices)
        else:
            self._drawing = None
        self._pressure.look(time.monotonic(), len(voices), ahead)
        self._tell()
        if worked or ahead <= _FEW_FRAMES_AHEAD:
            return worked
        if self._to_warm and not len(voices):
            self._warm(1)
            return True
        return self._ahead.step(AT_ONCE if now_s - self._heard_s > _QUIET_S else 1)

    def _warm(self, n_shapes: int) -> None:
        for _ in range(min(n_shapes, len(self._to_warm))):
            self._sampler.warm(*self._to_warm.popleft())

    def _frames_ahead(self, voices: np.ndarray) -> int:
        """Frames and latents that the voice which is worst off has beyond what is needed."""
        frames = self._frames
        begun = voices[frames.made[voices] > 0]
        if len(begun) == 0:
            return 1 << 16
        needed = frames_needed(self._memory.position[begun], 0)
        return int((frames.made[begun] + frames.come(begun) - needed).min())

    def _serve(self, voices: np.ndarray, now_s: float) -> bool:
        """A piece of work for voices that sound."""
        needed = frames_needed(self._memory.position[voices], 0)
        worked = self._make_frames(voices, needed + _CRITICAL_FRAMES)
        if not worked and self._redraw(voices, needed, now_s):
            return True  # it can wait when there is no time: it is no load
        worked = worked or self._make_frames(voices, needed + _AHEAD_FRAMES) or self._draw(voices)
        if worked:
            self._pressure.worked(time.monotonic() - now_s)
        return worked

    # ---- voices

    def _take_voices(self) -> list[int]:
        """Take over what the performer began and let go of what it ended -> slots that wait for their first frames."""
        memory = self._memory
        waiting: list[int] = []
        for slot in np.flatnonzero((memory.serial != memory.served) & (memory.serial != self._stale)):
            serial = int(memory.serial[slot])
            self._stale[slot] = -1
            if serial and not self._begin(int(slot)):
                waiting.append(int(slot))
            memory.served[slot] = serial
        gone = (self._stale > 0) & (memory.serial == 0)
        self._stale[gone] = -1
        return waiting

    def _begin(self, slot: int) -> bool:
        """Serve a voice from now on -> whether its first frames are there."""
        memory, frames, seed = self._memory, self._frames, int(self._frames.seeds[slot])
        self._seen[slot] = memory.moved[slot]
        self._states[slot].clear()
        self._ahead.middle_note += 0.1 * (float(memory.lanes[slot, PITCH]) - self._ahead.middle_note)
        made = None
        if memory.entry[slot] != MISS:
            made = self._ahead.find(int(memory.entry[slot]), int(memory.entry_version[slot]))
        if made is not None:
            condition = self._conditions.with_strengths(made.onset.condition, memory.lanes[slot])
            self._sampler.adopt(slot, made.seed, made.onset.latents, condition)
            frames.go_on(slot, made.continuation)
            self._states[slot].append(made.continuation)
            return True
        hz, drift = float(frames.latest_hz[slot]), float(frames.drifts[slot])
        frames.begin(slot, seed, drift)
        frames.latest_hz[slot] = hz
        self._sampler.begin(slot, seed)
        return False

    def _sing_first(self, slots: list[int]) -> None:
        """Latents in one jump and first frames of voices that somebody waits for."""
        memory = self._memory
        for first in range(0, len(slots), _VOICES_AT_ONCE):
            chosen, start_s = np.array(slots[first : first + _VOICES_AT_ONCE]), time.monotonic()
            requests = []
            for slot in chosen:
                attack_s = float(memory.attack_s[slot])
                condition = self._conditions.onset(memory.lanes[slot], memory.timbre[slot], attack_s, FIRST_FRAMES)
                requests.append(BlockRequest(int(slot), condition, noise_temperature(rising(attack_s, FIRST_FRAMES))))
            self._push(requests, self._sampler.draw(requests, 1))
            self._meter.floats[fields.DRAW_MS] = 1000.0 * (time.monotonic() - start_s)
            self._make_frames(chosen, np.full(len(chosen), _AT_ONCE), _AT_ONCE)

    # ---- frames and latents

    def _push(self, requests: list[BlockRequest], blocks: Sequence[np.ndarray | None]) -> None:
        for request, latents in zip(requests, blocks, strict=True):
            if latents is not None:
                self._frames.push(request.voice, latents, None)

    def _make_frames(self, voices: np.ndarray, wanted: np.ndarray, at_once: int = 0) -> bool:
        """Let `voices` have `wanted` [n] frames, as far as latents are there -> whether any was made.

        A frame at a time (0) leaves more places to go back to; with many voices that is too dear.
        """
        frames, start_s = self._frames, time.monotonic()
        before = frames.made[voices].copy()
        wanted = np.minimum(wanted, before + frames.come(voices))
        if (before >= wanted).all():
            return False
        frames.prepare(voices, wanted, at_once or (1 if len(voices) <= _FEW_VOICES else _AT_ONCE))
        for voice in voices[frames.made[voices] > before]:
            self._states[voice].append(frames.continuation(int(voice)))
        self._meter.floats[fields.FRAMES_MS] = 1000.0 * (time.monotonic() - start_s)
        return True

    def _redraw(self, voices: np.ndarray, needed: np.ndarray, now_s: float) -> bool:
        """Draw in one jump what hands wait for: lanes that have moved, and voices about to have nothing to sing."""
        memory, frames = self._memory, self._frames
        has_moved = memory.moved[voices] != self._seen[voices]
        has_moved &= (now_s - self._redrawn_s[voices] > _APART_S) & (frames.made[voices] > 0)
        is_scarce = frames.made[voices] + frames.come(voices) - needed < _SCARCE_FRAMES
        urgent = voices[has_moved | is_scarce]
        if len(urgent) == 0:
            return False
        chosen = urgent[np.argsort(self._redrawn_s[urgent], kind="stable")][:_VOICES_AT_ONCE]
        obeying = frames.made[chosen] + 1
        for index, voice in enumerate(chosen):
            if memory.moved[voice] != self._seen[voice]:
                self._seen[voice] = memory.moved[voice]
                obeying[index] = self._go_back(int(voice)) + 2  # windows overlap: the next frame sounds with it
                self._meter.ints[fields.REDRAWN] += 1
        requests = [self._request(int(voice)) for voice in chosen]
        self._push(requests, self._sampler.draw(requests, 1))
        drawn_s = time.monotonic()
        self._meter.floats[fields.DRAW_MS] = 1000.0 * (drawn_s - now_s)
        most = int(np.clip((obeying - frames.made[chosen]).max(), 1, MOST_AT_ONCE))
        self._make_frames(chosen, obeying, most)
        took_s = time.monotonic() - now_s
        self._redraw_s += 0.2 * (min(took_s, 4.0 * self._redraw_s) - self._redraw_s)
        self._redrawn_s[chosen] = now_s
        return True

    def _draw(self, voices: np.ndarray) -> bool:
        """Go on with a draw of latents, or begin one for voices that run low."""
        if self._drawing is None:
            left = self._frames.come(voices)
            if not (left < _LOW_FRAMES).any():
                return False
            order = np.argsort(left, kind="stable")
            chosen = voices[order][left[order] < _MERGE_FRAMES][:_VOICES_AT_ONCE]
            self._requests = [self._request(int(voice)) for voice in chosen]
            self._drawing = self._sampler.drawing(self._requests, self._pressure.n_steps)
            self._draw_s = 0.0
        start_s = time.monotonic()
        try:
            next(self._drawing)
        except StopIteration as done:
            self._drawing = None
            self._push(self._requests, done.value)
            self._meter.floats[fields.DRAW_MS] = 1000.0 * (self._draw_s + time.monotonic() - start_s)
        self._draw_s += time.monotonic() - start_s
        return True

    def _request(self, voice: int) -> BlockRequest:
        memory = self._memory
        lanes = memory.lanes[voice]
        # A note that has been let go falls as its release says; everything else stays as it is now.
        ahead = self._sampler.drawn(voice) + np.arange(BLOCK_FRAMES) - memory.position[voice] / HOP_SAMPLES
        presence = np.clip(lanes[PRESENCE] - memory.fall_per_frame[voice] * ahead, 0.0, 1.0).astype(np.float32)
        condition = self._conditions.held(lanes, memory.timbre[voice], presence)
        return BlockRequest(voice, condition, noise_temperature(presence))

    def _go_back(self, voice: int) -> int:
        """To the frame that will sound when this is done: from it on all obeys the lanes as they are now -> it.

        Frames before it are made again from the latents they had: the network's memory is kept only here and there.
        """
        frames, sampler, states = self._frames, self._sampler, self._states[voice]
        heard = int(self._memory.position[voice]) + int(self._redraw_s * SAMPLE_RATE_HZ)
        while len(states) > 1 and states[-1].fed > heard // HOP_SAMPLES:
            states.pop()
        frame = min(max(heard // HOP_SAMPLES, states[-1].fed), sampler.drawn(voice))
        frames.rewind(voice, states[-1])
        frames.push(voice, sampler.sung(voice, states[-1].fed, frame), None)
        sampler.rewind(voice, frame)
        return frame

    def _tell(self) -> None:
        ints, floats, pressure = self._meter.ints, self._meter.floats, self._pressure
        ints[fields.N_STEPS] = pressure.n_steps
        ints[fields.MAX_VOICES] = UNLIMITED_VOICES if pressure.max_voices is None else pressure.max_voices
        floats[fields.SAMPLER_LOAD] = pressure.load


def _lengths(sampler: StreamingSampler) -> list[int]:
    """Frames of all windows that are drawn, context included; that of a voice with all its context first."""
    return list(range(sampler.context_frames + BLOCK_FRAMES, FIRST_FRAMES - 1, -sampler.frame_multiple))


def _shapes(sampler: StreamingSampler, n_steps: int, *, on_processor: bool) -> list[tuple[int, int, int]]:
    """(voices, frames, jumps) of the draws to come, those for the fewest voices first."""
    if on_processor:  # the jumps of a draw are alike
        counts, steps = range(1, _VOICES_AT_ONCE + 1), [1]
    else:
        counts, steps = range(_PADDED_TO, N_SLOTS + 1, _PADDED_TO), [n for n in (1, 2, 4, 8) if n <= n_steps]
    return [(n_voices, length, n) for n_voices in counts for n in steps for length in _lengths(sampler)]


def _end_with_parent() -> None:
    """A long call into torch does not look at the pipe; this thread does not wait for it."""
    parent = parent_process()
    if parent is not None:
        mp_connection.wait([parent.sentinel])
        os._exit(1)
