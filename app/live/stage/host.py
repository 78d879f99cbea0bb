"""Starts the performer and the live sampler, looks after them, and starts again what has died.

Nothing here waits for them: what is told goes through a queue to a thread that writes the pipe, what they say comes
through another thread, and how it goes is read from shared memory.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import queue
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import connection as mp_connection
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Final

from app.live.stage import meter as fields
from app.live.stage.messages import (
    Finish,
    FromStage,
    PerformerReady,
    PresetChosen,
    SamplerFailed,
    StageNotice,
    StageSettings,
    ToPerformer,
    UseBank,
    UseProfile,
)
from app.live.stage.meter import Meter
from app.live.stage.standing import GREETED, Standing
from app.live.voice_in.host import VoiceIn
from app.midi.ring import MidiRing
from app.state.controller_profile import ControllerProfile
from app.state.preset import Preset

_log = logging.getLogger(__name__)

CACHE_BYTES: Final = 128 * 2**20
_LOOK_S: Final = 0.1
_CLOSE_S: Final = 0.6
_FIRST_PAUSE_S: Final = 0.2
_MAX_STARTS: Final = 6
_STEADY_S: Final = 60.0
_ENDING_S: Final = 2.0
_SAMPLER_STALL_S: Final = 20.0  # a draw on a machine that swaps is slow; longer than that, it hangs
_PERFORMER_STALL_S: Final = 10.0  # it tells once a second that it lives
_LONGEST_LOOK_S: Final = 1.0
_NAME_BYTES: Final = 6


@dataclass(frozen=True, slots=True)
class StageOptions:
    """What a live engine is made with; see StageSettings."""

    weights_folder: Path | None = None
    device: str = "auto"
    spill_folder: Path | None = None
    cache_bytes: int = CACHE_BYTES
    n_steps: int = 4
    n_variations: int = 2
    locked_variation: int | None = None
    seed: int = 0


@dataclass(slots=True)
class _Child:
    process: SpawnProcess
    connection: Connection
    pid: int | None
    started_s: float
    epoch: int  # of the meter's SAMPLER_EPOCH, when it was started


@dataclass(slots=True)
class _Pulse:
    """A count that grows while a process lives: whether it has stood still for longer than `limit_s`."""

    field: int
    limit_s: float
    seen_s: float
    beat: int = -1
    still_s: float = 0.0

    def is_still(self, meter: Meter, now_s: float, *, is_ready: bool) -> bool:
        beat = int(meter.ints[self.field])
        # While who looks was stopped itself, so may have been the other.
        self.still_s += min(now_s - self.seen_s, _LONGEST_LOOK_S)
        self.seen_s = now_s
        if beat != self.beat or not is_ready:
            self.beat, self.still_s = beat, 0.0
        return self.still_s > self.limit_s


class LiveEngine:
    """Methods belong to one thread, but for `play`, which any thread may call. close() may take 2 s."""

    def __init__(self, sound_name: str, options: StageOptions) -> None:
        """sound_name   of the SharedState whose stream is written"""
        self.meter = Meter.create()
        self.midi = MidiRing.create()
        self.voice_in = VoiceIn(self.play)
        self._sound_name, self._options = sound_name, options
        self._heard: queue.SimpleQueue[FromStage] = queue.SimpleQueue()
        self._said: queue.SimpleQueue[ToPerformer | None] = queue.SimpleQueue()
        self._standing = Standing(options.locked_variation)
        self._starts = {"performer": 0, "sampler": 0}
        self._performer: _Child | None = None
        self._sampler: _Child | None = None
        self._memory_name = ""  # of what the performer shares with the sampler
        self._order = threading.Lock()
        self._is_closed = False
        self._is_over = threading.Event()
        self.is_performing = False  # watch thread
        self._watcher = threading.Thread(target=self._watch, name="stage-watcher", daemon=True)
        self._sender = threading.Thread(target=self._send_all, name="stage-sender", daemon=True)

    # ---- life

    def start(self) -> None:
        """Start the processes; returns at once. PerformerReady and SamplerReady follow from poll()."""
        self._watcher.start()
        self._sender.start()

    def close(self) -> None:
        """End the processes, by force if they do not listen. Idempotent."""
        if self._is_closed:
            return
        self._is_closed = True
        self._is_over.set()
        self.voice_in.close()
        self._said.put(Finish())
        self._said.put(None)
        if self._watcher.ident is not None:
            self._sender.join(_CLOSE_S)
            self._watcher.join()
        self.meter.close()
        self.midi.close()

    def poll(self) -> list[FromStage]:
        """What has happened since the last call."""
        events: list[FromStage] = []
        with contextlib.suppress(queue.Empty):
            while True:
                events.append(self._heard.get_nowait())
        return events

    @property
    def has_ended(self) -> bool:
        """Whether nothing is played any more: it was closed, or what plays could not be started again."""
        return self._is_over.is_set()

    @property
    def is_sampling(self) -> bool:
        """Whether a live sampler is ready: told by shared memory, before anything that it makes can sound."""
        sampler = self._sampler
        return sampler is not None and int(self.meter.ints[fields.SAMPLER_EPOCH]) != sampler.epoch

    @property
    def pids(self) -> dict[str, int | None]:
        """Process ids of performer and sampler, None where there is none."""
        children = {"performer": self._performer, "sampler": self._sampler}
        return {name: None if child is None else child.pid for name, child in children.items()}

    # ---- what is told

    def play(self, message: ToPerformer) -> None:
        """Tell the performer: a gesture, or one of the messages to it."""
        with self._order:
            self._standing.take(message)
            self._said.put(message)

    def use_bank(self, presets: tuple[Preset, ...], chosen: int = 0) -> None:
        """Program changes choose from these; the next note sings presets[chosen]."""
        self.play(UseBank(presets, chosen))

    def use_programs(self, presets: tuple[Preset, ...]) -> None:
        """Program changes choose from these from now on. What sounds, and what the next note sings, stays."""
        with self._order:
            for message in self._standing.use_programs(presets):
                self._said.put(message)

    def use_profile(self, profile: ControllerProfile) -> None:
        """Controls move lanes as this profile says."""
        self.play(UseProfile(profile))

    # ---- threads

    def _send_all(self) -> None:
        while (message := self._said.get()) is not None:
            child = self._performer
            if child is not None and self.is_performing:
                # It has died, and its pipe may be closed in the middle of this; the next one is greeted.
                with contextlib.suppress(OSError, TypeError):
                    child.connection.send(message)

    def _watch(self) -> None:
        try:
            self._look_after_both()
        finally:
            self._is_over.set()
            self.is_performing = False
            children, self._performer, self._sampler = (self._performer, self._sampler), None, None
            self._end(*children)
            _forget_memory(self._memory_name)

    def _look_after_both(self) -> None:
        settings = self._settings()
        while not self._is_over.is_set():
            if self._performer is None:
                # What the old performer shared is gone with it: the sampler must find the new one's.
                sampler, self._sampler = self._sampler, None
                if sampler is not None:
                    self._starts["sampler"] -= 1  # it has not failed
                    self._end(sampler)
                settings = self._settings()
                self._performer = self._begin("performer", _perform, settings)
            if self._sampler is None and not self._is_over.is_set():
                self._sampler = self._begin("sampler", _sample, settings)
            if self._performer is None or self._sampler is None:
                return  # again and again: it has been told
            self._listen()

    def _settings(self) -> StageSettings:
        options = self._options
        self._memory_name = f"stridor-{secrets.token_hex(_NAME_BYTES)}"
        return StageSettings(
            meter=self.meter.name,
            memory=self._memory_name,
            sound=self._sound_name,
            midi=self.midi.name,
            cache_bytes=options.cache_bytes,
            spill_folder=options.spill_folder,
            weights_folder=options.weights_folder,
            device=options.device,
            n_steps=options.n_steps,
            n_variations=options.n_variations,
            locked_variation=options.locked_variation,
            seed=options.seed,
            voice_in=self.voice_in.ring.name,
        )

    def _begin(
        self,
        name: str,
        work: Callable[[Connection, StageSettings], None],
        settings: StageSettings,
    ) -> _Child | None:
        if self._starts[name] >= _MAX_STARTS:
            self._heard.put(
                StageNotice(f"The {name} ends again and again: nothing can be played live.", "See the log.")
            )
            return None
        if self._starts[name]:
            self._is_over.wait(_FIRST_PAUSE_S * 2 ** (self._starts[name] - 1))
        self._starts[name] += 1
        ours, theirs = multiprocessing.get_context("spawn").Pipe()
        process = multiprocessing.get_context("spawn").Process(
            target=work, args=(theirs, settings), name=f"stridor-{name}", daemon=True
        )
        epoch = int(self.meter.ints[fields.SAMPLER_EPOCH])
        try:
            process.start()
        except OSError as fault:
            self._heard.put(StageNotice(f"The {name} cannot be started ({fault}).", "Close other programs."))
            return None
        finally:
            theirs.close()
        return _Child(process, ours, process.pid, time.monotonic(), epoch)

    def _listen(self) -> None:
        """Pass on what both say, until one of them has ended."""
        performer, sampler = self._performer, self._sampler
        if performer is None or sampler is None:
            return
        of_sampler = _Pulse(fields.SAMPLER_BEAT, _SAMPLER_STALL_S, time.monotonic())
        of_performer = _Pulse(fields.PERFORMER_BEAT, _PERFORMER_STALL_S, time.monotonic())
        while not self._is_over.is_set():
            waited: list[object] = [performer.connection, sampler.connection]
            waited += [performer.process.sentinel, sampler.process.sentinel]
            ready = mp_connection.wait(waited, timeout=_LOOK_S)  # pyright: ignore[reportArgumentType]
            for child, name in ((performer, "performer"), (sampler, "sampler")):
                if child.connection in ready and not self._hear(child):
                    self._lose(child, name)
                    return
                if child.process.sentinel in ready and child.connection not in ready:
                    self._lose(child, name)
                    return
            now_s = time.monotonic()
            if of_sampler.is_still(self.meter, now_s, is_ready=self.is_sampling):
                sampler.process.kill()
            if of_performer.is_still(self.meter, now_s, is_ready=self.is_performing):
                performer.process.kill()

    def _hear(self, child: _Child) -> bool:
        """Take up one message -> whether the child still lives."""
        try:
            news = child.connection.recv()
        except (EOFError, OSError):
            return False
        match news:
            case PerformerReady():
                self._greet()
            case PresetChosen(preset_id):
                with self._order:
                    self._standing.chosen_id = preset_id
            case SamplerFailed() if not self.is_sampling:
                self._is_over.set()  # it will not go better the next time
            case _:
                pass
        self._heard.put(news)
        return True

    def _greet(self) -> None:
        """Let the sender tell a new performer how things stand, before anything that waits to be told."""
        with self._order:
            waiting: list[ToPerformer | None] = []
            with contextlib.suppress(queue.Empty):
                while True:
                    waiting.append(self._said.get_nowait())
            for greeting in self._standing.greetings():
                self._said.put(greeting)
            for message in waiting:
                if not isinstance(message, GREETED):
                    self._said.put(message)
            self.is_performing = True

    def _lose(self, child: _Child, name: str) -> None:
        if self._is_over.is_set():
            return
        if time.monotonic() - child.started_s > _STEADY_S:
            self._starts[name] = 0
        child.process.join(_ENDING_S)  # its pipe closes a moment before it has ended
        _log.warning("the %s has ended with %s", name, child.process.exitcode)
        if name == "performer":
            self.is_performing, self._performer = False, None
        else:
            self._sampler = None
        self._end(child)
        if name == "performer":
            _forget_memory(self._memory_name)
        what = "playing" if name == "performer" else "the live sampler"
        self._heard.put(StageNotice(f"{what.capitalize()} stopped unexpectedly and is being started again."))

    def _end(self, *children: _Child | None) -> None:
        """Hang up on them, and end by force who does not go."""
        ending = [child for child in children if child is not None]
        for child in ending:
            child.connection.close()
        deadline_s = time.monotonic() + (_CLOSE_S if self._is_over.is_set() else 0.05)
        for child in ending:
            child.process.join(max(deadline_s - time.monotonic(), 0.0))
            if child.process.is_alive():
                child.process.kill()
                child.process.join()
            child.process.close()


def _forget_memory(name: str) -> None:
    """Delete what a performer that was killed could not."""
    with contextlib.suppress(FileNotFoundError, ValueError):  # it had none, or had not given it a size
        left = SharedMemory(name=name)
        left.close()
        left.unlink()


def _perform(connection: Connection, settings: StageSettings) -> None:
    from app.live.stage.performer import perform  # numpy and the model's shapes: not in the window's process

    perform(connection, settings)


def _sample(connection: Connection, settings: StageSettings) -> None:
    from app.live.stage.sampling import sample_live  # torch: not in the window's process

    sample_live(connection, settings)
