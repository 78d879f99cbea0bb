"""The performer: a process that turns MIDI and gestures into samples, block by block, and does nothing else.

It shares no interpreter with the window, the sampler or the audio callback. It waits by short sleeps, reads shared
memory and its pipe, and never for anybody. Sound is LATENCY_BLOCKS blocks of the device behind the events' stamps, to
the sample; a block is rendered when its events must have come, which leaves the rest of that time for the work.
"""

from __future__ import annotations

import contextlib
import gc
import heapq
import logging
import math
import os
import select
import signal
import sys
import threading
import time
from dataclasses import replace
from itertools import count
from multiprocessing import connection as mp_connection
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from typing import Final

import numpy as np

from app.audio import shared
from app.audio.live_ring import RingWriter
from app.audio.shared import SharedState
from app.live.performance.gestures import Gesture, PanicAsked
from app.live.performance.learn import LearnState, MidiLearn
from app.live.stage import meter as fields
from app.live.stage.clock import StreamClock
from app.live.stage.instrument import StageInstrument
from app.live.stage.limiter import Limiter
from app.live.stage.memory import StageMemory, onsets_within
from app.live.stage.messages import (
    ControllerGone,
    Finish,
    FromStage,
    KnowPreset,
    Learn,
    Learnt,
    LockVariation,
    PerformerReady,
    StageNotice,
    StageSettings,
    Tell,
    ToPerformer,
    UseBank,
    UseMap,
    UsePreset,
    UseProfile,
    UsePrograms,
)
from app.live.stage.meter import Meter
from app.live.stage.pipes import news_of
from app.live.stage.voices import MAX_BLOCK
from app.live.voice_in.ring import GestureRing
from app.midi.messages import StreamMessage
from app.midi.ring import MidiRing
from app.midi.stream import MidiStream
from app.report import set_up_logging
from synth.errors import UserError
from synth.spec.audio import SAMPLE_RATE_HZ
from synth.spec.controls import Float32Array
from synth.streaming.sounding import warm_up

_log = logging.getLogger(__name__)

LATENCY_BLOCKS: Final = 2
_RENDER_AHEAD_BLOCKS: Final = 1.55  # before it is due; events of JACK come 2 blocks before theirs
_NAP_S: Final = 0.0002
_IDLE_NAP_S: Final = 0.002  # while no device asks for sound
_FOLLOW_S: Final = 0.004
_METER_S: Final = 1.0
_NICENESS: Final = -11
_RT_PRIORITY: Final = 5  # below JACK's own clients
_SWITCH_INTERVAL_S: Final = 0.0005
_MAX_WAITING: Final = 65_536  # events
_LATEST_S: Final = 0.25  # an event's stamp may be so far ahead: the longest period of any device
_LOOK_S: Final = 0.05  # however late blocks are, the rest is looked after so often
_PEAK_FALL_DB_PER_S: Final = 24.0


def perform(connection: Connection, settings: StageSettings) -> None:
    """Entry point of the process. It ends with its host."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    set_up_logging("performer")
    threading.Thread(target=_end_with_parent, name="parent-watch", daemon=True).start()
    memory = StageMemory.create(settings.memory, onsets_within(settings.cache_bytes))
    performer = Performer(connection, settings, memory)
    warm_up(memory.frames.pulse_fft)
    try:
        with contextlib.suppress(EOFError, OSError):
            connection.send(PerformerReady())
            _hurry()
            gc.collect()
            gc.freeze()
            gc.disable()
            performer.run()
    except Exception:
        _log.exception("the performer failed")
    finally:
        performer.close()
        memory.close()
        logging.shutdown()
    os._exit(0)


class Performer:
    """The process's one thread."""

    def __init__(self, connection: Connection, settings: StageSettings, memory: StageMemory) -> None:
        self._connection = connection
        self._has_news = news_of(connection)
        self._meter = Meter.attach(settings.meter)
        self._state = SharedState.attach(settings.sound)
        self._midi = MidiRing.attach(settings.midi)
        self._voice_in = GestureRing.attach(settings.voice_in) if settings.voice_in else None
        self._stream = MidiStream()
        self._writer = RingWriter(self._state)
        self._clock = StreamClock()
        self._limiter = Limiter()
        self._learn = MidiLearn()
        self._instrument = StageInstrument(memory, self._meter, settings, self._tell)
        self._waiting: list[tuple[float, int, StreamMessage | Gesture | ControllerGone]] = []
        self._last_s = 0.0  # the latest stamp of what waits, or has waited
        self._is_letting_go = self._is_lost_again = False
        self._order = count()
        self._mix = np.zeros(MAX_BLOCK, dtype=np.float32)
        self._gain = 1.0
        self._now = time.monotonic
        self._n_lost = 0  # messages, when it was looked last
        self._has_overflowed = False
        self._lost_told_s = 0.0
        self._is_playing = False
        self._is_finished = False
        self._restarts = 0
        self._follow_at_s = 0.0
        self._meter_at_s = self._looked_s = 0.0
        self._cpu_s = time.process_time()
        self._slowest_s = 0.0

    def run(self) -> None:
        """Until the host says Finish. Raises EOFError when the host has gone."""
        while not self._is_finished:
            self._take_events()
            if not self._render():
                time.sleep(_NAP_S if self._clock.is_running else _IDLE_NAP_S)

    def close(self) -> None:
        """Leave the stream."""
        self._writer.stop()

    # ---- what comes in

    def _take_events(self) -> None:
        for data, t_s in self._midi.take():
            for message in self._stream.feed(data, t_s):
                self._queue(message.t_s, message)
                self._take_for_learning(message)
        if self._voice_in is not None:
            for gesture in self._voice_in.take():
                self._queue(gesture.t_s, gesture)
        if self._has_overflowed or self._midi.n_lost != self._n_lost:
            self._let_go(self._now())
        if self._has_news():
            self._obey(self._connection.recv())

    def _let_go(self, now_s: float) -> None:
        """Something that came was lost, perhaps the end of a note: rather let all keys go than let one stick."""
        self._n_lost, self._has_overflowed = self._midi.n_lost, False
        self._lose_controller(now_s)
        if now_s - self._lost_told_s > _METER_S:
            self._lost_told_s = now_s
            self._tell(StageNotice("More MIDI came than can be played: all keys were let go.", "Look for a loop."))

    def _lose_controller(self, now_s: float) -> None:
        """Its keys come up behind all that waits: a note that has come and is yet to begin would have no end."""
        self._stream.reset()
        if self._is_letting_go:
            self._is_lost_again = True  # perhaps the end of a note that lies behind the letting go
            return
        self._is_letting_go = True
        heapq.heappush(self._waiting, (max(now_s, self._last_s), next(self._order), ControllerGone()))

    def _queue(self, t_s: float, event: StreamMessage | Gesture) -> None:
        latest_s = self._now() + _LATEST_S
        if not -math.inf < t_s < latest_s:  # no number, too: a stamp that lies must not hold a note's end back
            t_s, event = latest_s, replace(event, t_s=latest_s)
        if len(self._waiting) < _MAX_WAITING - 1 or isinstance(event, PanicAsked):
            self._last_s = max(t_s, self._last_s)
            heapq.heappush(self._waiting, (t_s, next(self._order), event))
        else:
            self._has_overflowed = True

    def _feed(self, t_s: float, event: StreamMessage | Gesture | ControllerGone, place: int) -> None:
        if isinstance(event, ControllerGone):
            self._instrument.controller_gone(t_s)
            self._is_letting_go, is_lost_again, self._is_lost_again = False, self._is_lost_again, False
            if is_lost_again:
                self._lose_controller(t_s)
        else:
            self._instrument.feed(event, place)

    def _obey(self, message: ToPerformer) -> None:
        now_s = self._now()
        match message:
            case UseBank() | UsePreset() | KnowPreset() | UsePrograms() | UseProfile() | UseMap() | Learn():
                self._take_up(message, now_s)
            case ControllerGone():
                self._lose_controller(now_s)
            case Tell(is_wanted):
                self._instrument.is_telling = is_wanted
            case LockVariation(index):
                self._instrument.lock_variation(index)
            case Finish():
                self._is_finished = True
            case _:
                self._queue(message.t_s, message)

    def _take_up(
        self, message: UseBank | UsePreset | KnowPreset | UsePrograms | UseProfile | UseMap | Learn, now_s: float
    ) -> None:
        """What is played with changes; where something is wrong with it, what there is goes on."""
        try:
            match message:
                case UseBank(presets, chosen):
                    self._instrument.use_bank(list(presets), chosen, now_s)
                case UsePreset(preset):
                    self._instrument.use_preset(preset, now_s)
                case KnowPreset(preset):
                    self._instrument.know_preset(preset)
                case UsePrograms(preset_ids):
                    self._instrument.use_programs(preset_ids)
                case UseProfile(profile):
                    self._instrument.use_profile(profile, now_s)
                case UseMap(profile):
                    self._instrument.use_map(profile, now_s)
                case Learn(lane=None):
                    self._learn.cancel()
                case Learn(lane=str(lane)):
                    self._learn.arm(lane, now_s, zone_channels=self._instrument.zone_channels)
        except (UserError, ValueError, ArithmeticError, LookupError) as fault:
            _log.exception("%s cannot be taken up", type(message).__name__)
            self._tell(StageNotice(f"What was chosen cannot be played: {fault}", "What was played before goes on."))

    def _take_for_learning(self, message: StreamMessage) -> None:
        if self._learn.state is not LearnState.LISTENING:
            return
        binding = self._learn.take(message)
        if binding is not None:
            self._tell(Learnt(binding))

    # ---- what goes out

    def _render(self) -> bool:
        """Write the next block, if it is time for it -> whether it was."""
        read, block, at_s = self._writer.clock()
        self._clock.take(read, block, at_s)
        now_s = time.monotonic()
        if not self._clock.is_running or now_s - at_s > 1.0:
            self._leave(now_s)
            return False
        n_samples = min(block, MAX_BLOCK)
        latency = LATENCY_BLOCKS * block
        written = self._writer.written
        if not self._is_playing or self._restarts != self._clock.restarts or written < read:
            if self._is_playing and written < read:
                self._meter.ints[fields.LATE_BLOCKS] += 1
            # On the device's own grid, so that a block is what one callback takes.
            written = read + block
            self._writer.start(written)
            self._is_playing, self._restarts = True, self._clock.restarts
            self._meter.floats[fields.LATENCY_S] = latency / SAMPLE_RATE_HZ
        ahead_s = _RENDER_AHEAD_BLOCKS * block / SAMPLE_RATE_HZ
        if (
            written + n_samples - read > LATENCY_BLOCKS * max(block, n_samples)
            or now_s < self._clock.due_s(written) - ahead_s
        ):
            self._look_around(now_s)
            return False
        self._block(written, n_samples, latency)
        self._slowest_s = max(self._slowest_s, time.monotonic() - now_s)
        if now_s - self._looked_s > _LOOK_S:
            self._look_around(now_s)
        return True

    def _block(self, frame: int, n_samples: int, latency: int) -> None:
        """Render the stream's frames from `frame` on: what was stamped `latency` frames before."""
        start_s = self._clock.due_s(frame - latency)
        end_s = self._clock.due_s(frame - latency + n_samples)
        instrument = self._instrument
        while self._waiting and self._waiting[0][0] < end_s:
            t_s, _, event = heapq.heappop(self._waiting)
            place = round((t_s - start_s) * SAMPLE_RATE_HZ)
            self._feed(t_s, event, min(max(place, 0), n_samples - 1))
            self._follow_at_s = 0.0  # what it moved is told at once
        mix = self._mix[:n_samples]
        mix.fill(0.0)
        instrument.sound(mix, start_s, self._clock.due_s(frame) + float(self._state.floats[shared.LATENCY_S]))
        self._level(mix)
        self._writer.write(mix)

    def _level(self, mix: Float32Array) -> None:
        wanted = float(self._meter.floats[fields.GAIN])
        if wanted != 1.0 or self._gain != 1.0:
            mix *= np.linspace(self._gain, wanted, len(mix), dtype=np.float32)
            self._gain = wanted
        if self._limiter.process(mix):
            self._meter.ints[fields.LIMITED_BLOCKS] += 1
        floats = self._meter.floats
        floats[fields.LIMITER_GAIN] = self._limiter.gain
        fall = 10.0 ** (-_PEAK_FALL_DB_PER_S / 20.0 * len(mix) / SAMPLE_RATE_HZ)
        floats[fields.PEAK] = max(self._limiter.peak, floats[fields.PEAK] * fall)

    def _look_around(self, now_s: float) -> None:
        """What need not be done in every block."""
        self._looked_s = now_s
        if now_s >= self._follow_at_s:
            self._follow_at_s = now_s + _FOLLOW_S
            self._instrument.follow(now_s)
        if now_s < self._meter_at_s:
            return
        if self._meter_at_s:
            cpu_s = time.process_time()
            self._meter.floats[fields.PERFORMER_LOAD] = (cpu_s - self._cpu_s) / (now_s - self._meter_at_s + _METER_S)
            self._meter.floats[fields.BLOCK_MS] = 1000.0 * self._slowest_s
            self._cpu_s, self._slowest_s = cpu_s, 0.0
        else:
            self._cpu_s = time.process_time()
        self._meter_at_s = now_s + _METER_S
        self._meter.ints[fields.PERFORMER_BEAT] += 1
        if self._learn.state is LearnState.LISTENING:
            self._learn.advance(now_s)

    def _leave(self, now_s: float) -> None:
        """Nobody asks for sound: events are kept from piling up, nothing is rendered."""
        if self._is_playing:
            self._is_playing = False
            self._writer.stop()
        while self._waiting and self._waiting[0][0] < now_s:
            t_s, _, event = heapq.heappop(self._waiting)
            self._feed(t_s, event, 0)
        self._look_around(now_s)

    def _tell(self, news: FromStage) -> None:
        """Tell the host; dropped where it does not listen, for this thread must not wait."""
        _, writable, _ = select.select([], [self._connection], [], 0)
        if writable:
            with contextlib.suppress(OSError):
                self._connection.send(news)


def _hurry() -> None:
    """Go before everything that is not sound, as far as this user may."""
    if hasattr(os, "sched_setscheduler"):
        with contextlib.suppress(PermissionError, OSError):
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(_RT_PRIORITY))
            return
    if hasattr(os, "setpriority"):
        with contextlib.suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, 0, _NICENESS)


def _end_with_parent() -> None:
    """No orphan plays on."""
    parent = parent_process()
    if parent is not None:
        mp_connection.wait([parent.sentinel])
        os._exit(1)
