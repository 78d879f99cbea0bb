"""Where renders get their engine and presets from. Named functions, so that another process can be told to use them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from app.render.voice import EngineLike
from app.state.passage import Passage
from app.state.preset import Preset
from app.store.adapters import adapter_folders
from app.store.presets import load_preset

EngineLoader = Callable[[str, int | None], EngineLike]  # (device, threads)
PresetLoader = Callable[[str], Preset]


def load_engine(device: str, n_threads: int | None) -> EngineLike:
    """The installed model on "auto", "cpu" or "cuda"; all cores when n_threads is None. Raises UserError."""
    from synth.engine import Engine  # imports torch, which takes seconds and only renders need

    return Engine.load(device=device, n_threads=n_threads, adapter_folders=adapter_folders)


def presets_of(passage: Passage, loader: PresetLoader = load_preset) -> Mapping[str, Preset]:
    """Every preset that a voice of the passage names, by id. Raises UserError for one that is not installed."""
    names = {voice.preset for voice in passage.voices if voice.preset is not None}
    return {name: loader(name) for name in sorted(names)}
