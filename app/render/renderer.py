"""From a passage to sound: cells sampled, decoded, mixed and written, the ones nearest the playhead first.

Torch-free and without threads: whoever owns the engine calls `step` until it is done. A job that was interrupted by
`should_stop` goes on at the next call; only the cell in hand is lost.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from app.render.cache import CellCache, content_key
from app.render.clip import Clip, mix_voices, pan_gains
from app.render.controls import VoiceControls
from app.render.grid import CELL_S, by_nearness, cell_at, n_samples_of, sample_range
from app.render.report import RenderReport
from app.render.voice import EngineLike, ShouldStop, Tally, VoiceCells, never
from app.state.passage import Passage, Voice
from app.state.preset import NEUTRAL_PRESET, Preset
from synth.errors import Cancelled, UserError
from synth.spec import SAMPLE_RATE_HZ, Float32Array

QUALITIES = ("live", "draft", "final")
# Cells whose sampling is begun, if the engine has threads, while the most urgent one is made: two threads draw four
# windows at a time and find as many waiting when they are done; one cell is being decoded.
_CELLS_AHEAD = 17


@dataclass(frozen=True, slots=True)
class RenderRequest:
    """What to render. `presets` holds every preset that a voice names."""

    passage: Passage
    presets: Mapping[str, Preset]
    quality: str = "draft"
    playhead_s: float = 0.0

    def __post_init__(self) -> None:
        if self.quality not in QUALITIES:
            raise UserError(f"There is no quality {self.quality!r}.", remedy=f"Use one of {', '.join(QUALITIES)}.")

    def preset_of(self, voice: Voice) -> Preset:
        """The voice's preset. Raises UserError when it is unknown."""
        if voice.preset is None:
            return NEUTRAL_PRESET
        if voice.preset not in self.presets:
            raise UserError(
                f"Voice {voice.name!r} asks for the preset {voice.preset!r}, which is not installed.",
                remedy="`stridor presets list` shows those that are; choose one of them or install it.",
            )
        return self.presets[voice.preset]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a render is. Cells that did not change count neither as done nor in the total."""

    done_cells: int
    total_cells: int
    eta_s: float
    realtime_factor: float  # seconds of passage rendered per second so far; 0 while unknown


class RenderJob:
    """One request being rendered into one clip. `plan` first, then `step` until `is_done`."""

    def __init__(self, engine: EngineLike, cache: CellCache, request: RenderRequest, clip: Clip) -> None:
        passage = request.passage
        if clip.n_samples != n_samples_of(passage.duration_s) or clip.n_stems not in (0, len(passage.voices)):
            raise ValueError("the clip has not the shape of the passage")
        self.clip = clip
        self.request = request
        self.todo: list[int] = []  # cells not yet written, the most urgent last
        self.changed: frozenset[int] = frozenset()  # every cell that this job writes
        self._engine = engine
        self._tally = Tally()
        self._gains = [
            pan_gains(voice.gain_db + request.preset_of(voice).level_db, voice.pan) for voice in passage.voices
        ]
        self._voices = [
            VoiceCells(
                engine,
                cache,
                VoiceControls(passage, voice, request.preset_of(voice)),
                seed=voice.seed,
                quality=request.quality,
                n_cells=clip.n_cells,
                tally=self._tally,
            )
            for voice in passage.voices
        ]
        self._mix_keys: list[bytes] = []
        self._made_s = 0.0  # seconds of voice decoded

    @property
    def is_planned(self) -> bool:
        return len(self._mix_keys) == self.clip.n_cells

    @property
    def is_done(self) -> bool:
        return self.is_planned and not self.todo

    def plan(self, should_stop: ShouldStop = never) -> None:
        """Find out which cells of the clip are not what the request asks for. Raises Cancelled; call again to go on."""
        started_s = time.perf_counter()
        gains = repr(self._gains)
        try:
            while not self.is_planned:
                if should_stop():
                    raise Cancelled
                cell = len(self._mix_keys)
                self._mix_keys.append(content_key("mix", gains, *(voice.key(cell) for voice in self._voices)))
        finally:
            self._tally.plan_s += time.perf_counter() - started_s
            self._tally.work_s += time.perf_counter() - started_s
        stale = [cell for cell, key in enumerate(self._mix_keys) if self.clip.mix_keys[cell] != key]
        self.changed = frozenset(stale)
        self._tally.kept = (self.clip.n_cells - len(stale)) * len(self._voices)
        self.todo = by_nearness(stale, cell_at(self.request.playhead_s))[::-1]

    def step(self, should_stop: ShouldStop = never) -> int:
        """Render the most urgent cell of all voices and write it -> the cell. Raises Cancelled, UserError."""
        started_s = time.perf_counter()
        cell = self.todo[-1]
        try:
            self._begin()
            stems = [self._stem(index, cell, should_stop) for index in range(len(self._voices))]
            self.clip.write_mix(cell, mix_voices(stems, self._gains), self._mix_keys[cell])
        except BaseException:  # Ctrl-C too: nobody waits for what the threads are at
            self.call_off()
            raise
        finally:
            self._tally.work_s += time.perf_counter() - started_s
        self.todo.pop()
        self._tally.first_s = self._tally.first_s or self._tally.work_s
        return cell

    def _begin(self) -> None:
        """Have the engine's threads sample ahead: the cell in hand for every voice, then the next ones."""
        ahead = self.todo[: -_CELLS_AHEAD - 1 : -1]
        for place, cell in enumerate(ahead):
            for voice in self._voices:
                voice.begin(cell, is_urgent=place == 0)
        if len(ahead) == len(self.todo):
            for voice in self._voices:
                voice.begin_rest()

    def call_off(self) -> None:
        """Let the engine's threads leave what they have begun of later cells. `step` may be called again."""
        for voice in self._voices:
            voice.call_off()

    def _stem(self, index: int, cell: int, should_stop: ShouldStop) -> Float32Array:
        """One voice's samples of the cell, put into the clip if it keeps stems -> [n]; the passage's last is short."""
        voice = self._voices[index]
        start, end = sample_range(cell, self.clip.n_samples)
        keeps_stems = self.clip.n_stems > 0
        if keeps_stems and self.clip.stem_keys[index][cell] == voice.key(cell):
            self._tally.kept += 1
            return self.clip.read_stem(index, start, end)
        n_decoded = self._tally.decoded
        stem = voice.audio(cell, should_stop)[: end - start]
        if self._tally.decoded > n_decoded:
            self._made_s += (end - start) / SAMPLE_RATE_HZ
        if keeps_stems:
            self.clip.write_stem(index, cell, stem, voice.key(cell))
        return stem

    def progress(self) -> Progress:
        """How far the job is, and when it will be done if it goes on as until now."""
        total = len(self.changed)
        done = total - len(self.todo)
        work_s = self._tally.work_s - self._tally.plan_s
        if done == 0 or work_s <= 0:
            return Progress(done, total, 0.0, 0.0)
        eta_s = work_s / done * len(self.todo)
        return Progress(done, total, eta_s, done * CELL_S / work_s)

    def report(self) -> RenderReport:
        """Figures of the finished job."""
        tally = self._tally
        return RenderReport(
            quality=self.request.quality,
            device=self._engine.device_name,
            weights_hash=self._engine.weights_hash,
            duration_s=self.request.passage.duration_s,
            n_voices=len(self._voices),
            cells_total=self.clip.n_cells * len(self._voices),
            cells_kept=tally.kept,
            cells_from_cache=tally.from_cache,
            cells_decoded=tally.decoded,
            cells_sampled=tally.sampled,
            seconds_sampled=tally.sampled * CELL_S,
            plan_s=tally.plan_s,
            sample_s=tally.sample_s,
            decode_s=tally.decode_s,
            total_s=tally.work_s,
            first_sample_s=tally.first_s,
            realtime_factor=self._made_s / tally.work_s if tally.work_s > 0 else 0.0,
            peak_db=self.clip.peak_db(),
        )


class Renderer:
    """Renders whole passages; use RenderJob directly where other work has to come in between."""

    def __init__(self, engine: EngineLike, cache: CellCache) -> None:
        self.engine = engine
        self.cache = cache

    def render(
        self,
        request: RenderRequest,
        clip: Clip,
        *,
        on_progress: Callable[[Progress], None] | None = None,
        should_stop: ShouldStop = never,
    ) -> RenderReport:
        """Bring `clip` up to date with `request`. Raises Cancelled within one sampler step, UserError."""
        job = RenderJob(self.engine, self.cache, request, clip)
        job.plan(should_stop)
        try:
            while not job.is_done:
                if should_stop():
                    raise Cancelled
                job.step(should_stop)
                if on_progress is not None:
                    on_progress(job.progress())
        finally:
            job.call_off()
        return job.report()
