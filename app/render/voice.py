"""One voice's cells, from the cache or made anew."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Protocol

from app.render.cache import CellCache
from app.render.controls import EngineStamp, VoiceControls, audio_key, window_key
from app.render.grid import assemble_latents, windows_for_cell
from synth.errors import Cancelled
from synth.spec import ControlFrames, Float32Array

# How often somebody who waits for a thread asks whether the work is still wanted.
_PATIENCE_S = 0.02

ShouldStop = Callable[[], bool]


def never() -> bool:
    """A `should_stop` for work that nobody calls off."""
    return False


class EngineLike(Protocol):
    """What rendering needs of synth.engine.Engine.

    device_name   may change: a GPU whose memory is full is left
    on_trouble    told (message, remedy) when that happens
    threads       on which sample_cell may be called beside the caller, several at once; None: one call at a time
    """

    weights_hash: str
    device_name: str
    on_trouble: Callable[[str, str], None]

    @property
    def threads(self) -> ThreadPoolExecutor | None: ...

    def sample_cell(
        self, window: ControlFrames, *, seed: int, cell_index: int, quality: str, should_stop: ShouldStop
    ) -> Float32Array: ...

    def decode_cell(
        self, latents: Float32Array, pitch_note: Float32Array, *, seed: int, cell_index: int, pitch_drift: float
    ) -> Float32Array: ...


@dataclass(slots=True)
class Tally:
    """Counters and seconds of a running render, over all its voices and threads."""

    kept: int = 0
    from_cache: int = 0
    decoded: int = 0
    sampled: int = 0
    plan_s: float = 0.0
    sample_s: float = 0.0
    decode_s: float = 0.0
    work_s: float = 0.0  # all of it: waiting in a queue is not rendering
    first_s: float = 0.0


class VoiceCells:
    """The cells of one voice of a passage of `n_cells`, at one quality."""

    def __init__(
        self,
        engine: EngineLike,
        cache: CellCache,
        controls: VoiceControls,
        *,
        seed: int,
        quality: str,
        n_cells: int,
        tally: Tally,
    ) -> None:
        self._engine = engine
        self._cache = cache
        self._controls = controls
        self._seed = seed
        self._quality = quality
        self._n_cells = n_cells
        self._tally = tally
        self._stamp = EngineStamp(engine.weights_hash, engine.device_name, quality)
        self._window_keys: dict[int, bytes] = {}
        self._audio_keys: dict[int, bytes] = {}
        self._ahead: dict[bytes, Future[tuple[Float32Array, float]]] = {}
        self._called_off = threading.Event()

    def key(self, cell: int) -> bytes:
        """Name of the cell's samples: equal names, equal samples."""
        found = self._audio_keys.get(cell)
        if found is None:
            neighbours = [self._window_key(index) for index in windows_for_cell(cell, self._n_cells)]
            found = audio_key(neighbours, self._controls, seed=self._seed, cell=cell)
            self._audio_keys[cell] = found
        return found

    def begin(self, cell: int) -> None:
        """Let the engine's threads begin with what `audio(cell)` will need; without threads, do nothing."""
        threads = self._engine.threads
        if threads is None or self._cache.get(self.key(cell)) is not None:
            return
        for index in windows_for_cell(cell, self._n_cells):
            key = self._window_key(index)
            if key not in self._ahead and self._cache.get(key) is None:
                self._ahead[key] = threads.submit(
                    self._sample, index, self._controls.window(index), self._called_off.is_set
                )

    def call_off(self) -> None:
        """Let go of whatever threads have begun and nobody has asked for yet; `begin` may be called again."""
        self._called_off.set()
        for begun in self._ahead.values():
            begun.cancel()
        self._ahead.clear()
        self._called_off = threading.Event()

    def audio(self, cell: int, should_stop: ShouldStop = never) -> Float32Array:
        """The cell's samples, before gain and pan -> [38400]. Raises Cancelled between sampler steps."""
        audio = self._cache.get(self.key(cell))
        if audio is not None:
            self._tally.from_cache += 1
            return audio
        windows = {index: self._latents(index, should_stop) for index in windows_for_cell(cell, self._n_cells)}
        started_s = time.perf_counter()
        audio = self._engine.decode_cell(
            assemble_latents(windows, cell),
            self._controls.pitch_note(cell),
            seed=self._seed,
            cell_index=cell,
            pitch_drift=self._controls.pitch_drift,
        )
        self._tally.decode_s += time.perf_counter() - started_s
        self._tally.decoded += 1
        self._keep(self.key(cell), audio)
        return audio

    def _window_key(self, cell: int) -> bytes:
        found = self._window_keys.get(cell)
        if found is None:
            found = window_key(self._stamp, self._controls.window(cell), seed=self._seed, cell=cell)
            self._window_keys[cell] = found
        return found

    def _latents(self, cell: int, should_stop: ShouldStop) -> Float32Array:
        """Latents of one window -> [latent_dim, 112]."""
        key = self._window_key(cell)
        latents = self._cache.get(key)
        if latents is not None:
            return latents
        begun = self._ahead.pop(key, None)
        if begun is None:
            latents, sample_s = self._sample(cell, self._controls.window(cell), should_stop)
        else:
            latents, sample_s = _result(begun, should_stop)
        self._tally.sample_s += sample_s
        self._tally.sampled += 1
        self._keep(key, latents)
        return latents

    def _keep(self, key: bytes, array: Float32Array) -> None:
        # An engine may have left its GPU meanwhile: what another device made has another name.
        if self._engine.device_name == self._stamp.device:
            self._cache.put(key, array)

    def _sample(self, cell: int, window: ControlFrames, should_stop: ShouldStop) -> tuple[Float32Array, float]:
        """Latents of one window and the seconds they took; touches nothing that changes, so threads may call it."""
        started_s = time.perf_counter()
        latents = self._engine.sample_cell(
            window,
            seed=self._seed,
            cell_index=cell,
            quality=self._quality,
            should_stop=should_stop,
        )
        return latents, time.perf_counter() - started_s


def _result(begun: Future[tuple[Float32Array, float]], should_stop: ShouldStop) -> tuple[Float32Array, float]:
    """Wait for a thread, asking meanwhile whether the work is still wanted. Raises Cancelled."""
    while not wait([begun], timeout=_PATIENCE_S).done:
        if should_stop():
            begun.cancel()
            raise Cancelled
    return begun.result()
