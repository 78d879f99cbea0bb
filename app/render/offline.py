"""Rendering in this process, from a passage to a file or an array: what the command line does."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from app.render.cache import CellCache, Trouble, default_folder
from app.render.clip import Clip
from app.render.export import ClipExport
from app.render.files import check_target
from app.render.grid import n_samples_of
from app.render.loading import EngineLoader, PresetLoader, load_engine, presets_of
from app.render.renderer import Progress, Renderer, RenderRequest
from app.render.report import RenderReport
from app.render.voice import ShouldStop, never
from app.state.passage import Passage
from app.state.preset import Preset
from app.store.presets import load_preset
from synth.errors import Cancelled, UserError
from synth.spec import Float32Array

# An array of a longer passage would not fit beside everything else in a small machine's memory.
_MAX_ARRAY_S = 1800.0


class OfflineRenderer:
    """An engine and a cache that several renders share. Everything happens in the calling thread."""

    def __init__(
        self,
        *,
        device: str = "auto",
        n_threads: int | None = None,
        cache_folder: Path | None = None,
        on_trouble: Trouble | None = None,
        engine_loader: EngineLoader = load_engine,
        preset_loader: PresetLoader = load_preset,
    ) -> None:
        """Load the model. cache_folder None: the user's own. Raises UserError when there is no model or device."""
        started_s = time.perf_counter()
        self._engine = engine_loader(device, n_threads)
        if on_trouble is not None:
            self._engine.on_trouble = on_trouble
        self.load_s = time.perf_counter() - started_s
        self._preset_loader = preset_loader
        self._renderer = Renderer(self._engine, CellCache(cache_folder or default_folder(), on_trouble=on_trouble))

    def to_file(
        self,
        passage: Passage,
        out_path: Path,
        *,
        quality: str = "draft",
        stems: bool = False,
        subtype: str | None = None,
        presets: Mapping[str, Preset] | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        should_stop: ShouldStop = never,
    ) -> RenderReport:
        """Render and write a .wav or .flac; with `stems` one file a voice beside it. Raises UserError, Cancelled."""
        check_target(out_path, subtype)
        with tempfile.TemporaryDirectory(prefix="stridor-") as folder:
            clip = _new_clip(Path(folder), passage, n_stems=len(passage.voices) if stems else 0)
            report = self._render(passage, clip, quality, presets, on_progress, should_stop)
            export = ClipExport(clip, passage.voices, out_path, stems=stems, subtype=subtype)
            for _ in export.steps():
                if should_stop():
                    raise Cancelled
        return replace(report, attenuation_db=export.attenuation_db)

    def to_array(
        self,
        passage: Passage,
        *,
        quality: str = "draft",
        presets: Mapping[str, Preset] | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        should_stop: ShouldStop = never,
    ) -> tuple[Float32Array, RenderReport]:
        """Render -> (mix [n_samples, 2], report). For passages up to half an hour. Raises UserError, Cancelled."""
        if passage.duration_s > _MAX_ARRAY_S:
            raise UserError("The passage is too long to be held in memory.", remedy="Render it to a file.")
        with tempfile.TemporaryDirectory(prefix="stridor-") as folder:
            clip = _new_clip(Path(folder), passage, n_stems=0)
            report = self._render(passage, clip, quality, presets, on_progress, should_stop)
            return clip.read_mix(0, clip.n_samples), report

    def _render(
        self,
        passage: Passage,
        clip: Clip,
        quality: str,
        presets: Mapping[str, Preset] | None,
        on_progress: Callable[[Progress], None] | None,
        should_stop: ShouldStop,
    ) -> RenderReport:
        found = presets_of(passage, self._preset_loader) if presets is None else presets
        request = RenderRequest(passage, found, quality)
        report = self._renderer.render(request, clip, on_progress=on_progress, should_stop=should_stop)
        return replace(report, load_s=self.load_s)


def with_overrides(passage: Passage, preset: str | Preset | None, seed: int | None) -> Passage:
    """The passage with every voice on another preset or seed; voices after the first count on from `seed`."""
    voices = passage.voices
    if preset is not None:
        name = preset if isinstance(preset, str) else preset.id
        voices = tuple(replace(voice, preset=name) for voice in voices)
    if seed is not None:
        voices = tuple(replace(voice, seed=seed + index) for index, voice in enumerate(voices))
    return replace(passage, voices=voices)


def render_to_file(
    passage: Passage,
    out_path: Path,
    *,
    quality: str = "draft",
    device: str = "auto",
    preset_override: str | Preset | None = None,
    seed_override: int | None = None,
    stems: bool = False,
    subtype: str | None = None,
    n_threads: int | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    on_trouble: Trouble | None = None,
    should_stop: ShouldStop = never,
    engine_loader: EngineLoader = load_engine,
) -> RenderReport:
    """Load the model, render `passage` and write it. What can be known to fail fails before the model is loaded."""
    check_target(out_path, subtype)
    passage = with_overrides(passage, preset_override, seed_override)
    presets = {preset_override.id: preset_override} if isinstance(preset_override, Preset) else presets_of(passage)
    RenderRequest(passage, presets, quality)
    renderer = OfflineRenderer(device=device, n_threads=n_threads, on_trouble=on_trouble, engine_loader=engine_loader)
    return renderer.to_file(
        passage,
        out_path,
        quality=quality,
        stems=stems,
        subtype=subtype,
        presets=presets,
        on_progress=on_progress,
        should_stop=should_stop,
    )


def render_passage_to_array(
    passage: Passage,
    *,
    quality: str = "draft",
    device: str = "auto",
    preset_override: str | Preset | None = None,
    seed_override: int | None = None,
    n_threads: int | None = None,
    should_stop: ShouldStop = never,
    engine_loader: EngineLoader = load_engine,
) -> tuple[Float32Array, RenderReport]:
    """Load the model and render `passage` -> (mix [n_samples, 2], report)."""
    passage = with_overrides(passage, preset_override, seed_override)
    presets = {preset_override.id: preset_override} if isinstance(preset_override, Preset) else presets_of(passage)
    renderer = OfflineRenderer(device=device, n_threads=n_threads, engine_loader=engine_loader)
    return renderer.to_array(passage, quality=quality, presets=presets, should_stop=should_stop)


def _new_clip(folder: Path, passage: Passage, *, n_stems: int) -> Clip:
    return Clip(folder, n_samples_of(passage.duration_s), n_stems)
