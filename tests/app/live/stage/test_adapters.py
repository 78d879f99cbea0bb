"""Adapters while notes sound: loaded beside them, moved by hands, and left out where they cannot be had."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from app.live.performance.gestures import LaneMoved
from app.live.stage import meter as fields
from app.live.stage.adapter_columns import AdapterColumns, named_id, stored_id
from app.live.stage.memory import N_ADAPTERS, N_LANES, StageMemory
from app.live.stage.messages import PresetChosen, StageNotice
from app.midi.messages import ControlChange, NoteOn, ProgramChange
from app.state.controller_profile import Binding, ControllerProfile
from app.state.preset import Preset
from app.state.preset_parts import AdapterReference
from synth.diffusion.packed import PackedDenoiser
from synth.engine import Engine
from tests.app.live.stage.rig import BANK, StageRig
from tests.synth.adapters.test_rack import installed
from tests.tiny_weights import save_tiny_weights

PATIENCE_S = 30.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("adapters")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Engine:
    return Engine.load(save_tiny_weights(tmp_path_factory.mktemp("weights")), "cpu", 1, lambda: [folder])


@pytest.fixture(scope="module")
def hers(engine: Engine, folder: Path) -> str:
    return installed(engine, folder)


@pytest.fixture
def rig(engine: Engine) -> Iterator[StageRig]:
    made = StageRig(engine, n_onsets=2)
    yield made
    made.close()


def adapted(adapter_id: str, **strengths: float) -> Preset:
    reference = AdapterReference(adapter_id, adapter_id.ljust(64, "0"), strengths)
    return Preset("hers", "Hers", attack_s=0.0, pitch_drift=0.0, release_s=0.05, adapters=(reference,))


def until(rig: StageRig, wanted: Callable[[], bool]) -> None:
    """Let blocks pass, in real time, until something has happened."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not wanted():
        assert time.monotonic() < deadline_s, rig.said
        rig.play(0.003)
        time.sleep(0.002)


def has_chosen(rig: StageRig, preset_id: str) -> Callable[[], bool]:
    return lambda: PresetChosen(preset_id) in rig.said


def strengths_of(rig: StageRig) -> list[list[float]]:
    """What the sampler has heard of: the strengths of every voice's last frame drawn."""
    assert rig.sampler is not None
    voices = rig.sampler._sampler._voices
    slots = [voice.slot for voice in rig.instrument.sounding]
    return [voices[slot].condition[-1, -3:].tolist() for slot in slots]


def test_a_preset_with_an_adapter_is_sung_once_that_is_there(rig: StageRig, hers: str) -> None:
    rig.feed(NoteOn(0.0, 0, 50, 96))
    rig.play(0.1)
    rig.instrument.use_preset(adapted(hers, late=1.0, early=0.25), rig.now_s)
    assert PresetChosen("hers") not in rig.said, "it is being loaded"
    until(rig, has_chosen(rig, "hers"))
    rig.feed(NoteOn(0.0, 0, 57, 96))
    audio = rig.play(0.3)
    assert strengths_of(rig) == [[0.0, 0.0, 0.0], [0.25, 0.0, 1.0]]
    windows = np.abs(audio[: len(audio) // 240 * 240]).reshape(-1, 240).max(axis=1)
    assert windows.min() > 0, "what sounded was not interrupted"
    assert int(rig.meter.ints[fields.LATE_FRAMES]) == 0


def test_the_adapter_is_heard(engine: Engine, hers: str) -> None:
    heard = []
    for strength in (0.0, 1.5):
        rig = StageRig(engine, n_onsets=1)
        rig.instrument.use_preset(adapted(hers, early=strength, middle=strength, late=strength), rig.now_s)
        until(rig, has_chosen(rig, "hers"))
        rig.instrument._seed = 5
        rig.feed(NoteOn(0.0, 0, 57, 96))
        heard.append(rig.play(0.4))
        rig.close()
    n_samples = min(map(len, heard))
    apart = np.abs(heard[0][:n_samples] - heard[1][:n_samples])
    assert apart.max() > 0.02 * np.abs(heard[0]).max()


def test_a_strength_is_moved_by_a_fader_and_by_a_control(rig: StageRig, hers: str) -> None:
    lane_id = f"adapter.{hers}.middle"
    rig.instrument.use_profile(ControllerProfile("box", (Binding("cc20", lane_id, 0.0, 1.5),)), rig.now_s)
    rig.feed(NoteOn(0.0, 0, 57, 96))
    column = N_LANES + 1
    until(rig, lambda: int(rig.memory.adapter_loaded[0]) > 0)
    adapted_before = rig.sampler._adapters._adapted  # type: ignore[union-attr]
    rig.feed(LaneMoved(0.0, lane_id, 0.9))
    rig.play(0.3)
    slot = rig.instrument.sounding[0].slot
    assert rig.memory.lanes[slot, column] == pytest.approx(0.9)
    assert strengths_of(rig)[0] == pytest.approx([0.0, 0.9, 0.0])
    assert int(rig.meter.ints[fields.REDRAWN]) > 0
    rig.feed(ControlChange(0.0, 0, 20, 127))
    rig.play(0.3)
    assert strengths_of(rig)[0] == pytest.approx([0.0, 1.5, 0.0])
    assert rig.sampler._adapters._adapted is adapted_before, "nothing was rebuilt"  # type: ignore[union-attr]
    assert int(rig.meter.ints[fields.LATE_FRAMES]) == 0


def test_strengths_that_stand_still_are_packed_and_sound_the_same(rig: StageRig, hers: str) -> None:
    rig.instrument.use_preset(adapted(hers, middle=0.5), rig.now_s)
    until(rig, has_chosen(rig, "hers"))
    rig.feed(NoteOn(0.0, 0, 57, 96))
    assert rig.sampler is not None
    packed = rig.sampler._adapters._packed
    until(rig, lambda: (0.0, 0.5, 0.0) in packed)
    assert isinstance(packed[0.0, 0.5, 0.0], PackedDenoiser)
    before = rig.memory.position.max()
    rig.play(0.3)
    assert rig.memory.position.max() > before


def test_onsets_are_made_for_strengths_and_kept_apart_by_them(rig: StageRig, hers: str) -> None:
    rig.instrument.use_preset(adapted(hers, late=1.0), rig.now_s)
    until(rig, has_chosen(rig, "hers"))
    rig.make_onsets()
    assert rig.sampler is not None
    recipes = list(rig.sampler._ahead._recipes.values())
    assert {recipe.lanes.get(f"adapter.{hers}.late") for recipe in recipes} == {1.0}
    rig.feed(NoteOn(0.0, 0, 57, 96))
    rig.play(0.02)
    assert int(rig.meter.ints[fields.HITS]) == 1
    rig.feed(LaneMoved(0.0, f"adapter.{hers}.late", 0.2))
    rig.play(0.05)
    rig.feed(NoteOn(0.0, 0, 58, 96))
    assert int(rig.meter.ints[fields.MISSES]) == 1


def test_an_adapter_that_is_nowhere_leaves_the_old_preset_and_says_why(engine: Engine) -> None:
    told: list[str] = []
    rig = StageRig(engine, n_onsets=1, bank=(*BANK, adapted("0123456789abcdef", late=1.0)), tell=told.append)
    try:
        rig.feed(NoteOn(0.0, 0, 50, 96))
        rig.play(0.05)
        rig.feed(ProgramChange(0.0, 0, 2))
        until(rig, lambda: any(isinstance(news, StageNotice) for news in rig.said))
        (notice,) = [news for news in rig.said if isinstance(news, StageNotice)]
        assert "'Hers'" in notice.message
        assert "'Plain' stays" in notice.message
        assert "not installed" in told[0]
        rig.feed(NoteOn(0.0, 0, 57, 96))
        rig.play(0.1)
        assert {voice.singer.preset.id for voice in rig.instrument.sounding} == {"plain"}
    finally:
        rig.close()


def test_a_file_that_is_no_adapter_is_told_and_harms_nobody(engine: Engine, folder: Path, hers: str) -> None:
    broken = "00000000deadbeef"
    (folder / f"{broken}.safetensors").write_bytes(b"no adapter")
    told: list[str] = []
    rig = StageRig(engine, n_onsets=1, bank=(adapted(broken, late=1.0), *BANK), tell=told.append)
    try:
        until(rig, lambda: bool(told))
        assert str(folder) in told[0] or broken in told[0]
        rig.instrument.use_preset(adapted(hers, late=1.0), rig.now_s)
        until(rig, lambda: rig.instrument._singing.adapters == [hers])
    finally:
        rig.close()


def test_a_new_sampler_loads_what_is_wanted(rig: StageRig, hers: str) -> None:
    rig.instrument.use_preset(adapted(hers, late=1.0), rig.now_s)
    until(rig, has_chosen(rig, "hers"))
    rig.replace_sampler()
    assert not rig.memory.adapter_loaded.any()
    until(rig, lambda: bool(rig.memory.adapter_loaded.any()))


def test_columns_go_to_who_needs_them_and_stay_with_who_sounds() -> None:
    memory = StageMemory.create("stridor-test-columns", 1)
    try:
        columns = AdapterColumns(memory)
        ids = [f"{number:016x}" for number in range(1, N_ADAPTERS + 2)]
        columns.want(ids)  # one too many: it is left out
        assert [columns.has_place(adapter_id) for adapter_id in ids] == [True] * N_ADAPTERS + [False]
        memory.serial[0] = 1
        memory.lanes[0, columns.index(f"adapter.{ids[0]}.early")] = 0.5
        columns.want([ids[-1]], spared=[ids[1]])
        assert not columns.has_place(ids[2])
        assert columns.index(f"adapter.{ids[-1]}.late") == N_LANES + 3 * 2 + 2
        row = np.ones(memory.lanes.shape[1], dtype=np.float32)
        columns.fill({f"adapter.{ids[-1]}.late": 0.7, "adapter.unknown.late": 1.0}, row)
        assert row[N_LANES:].sum() == pytest.approx(0.7)
        assert columns.has_failed("no-such-form")
    finally:
        memory.close()


@pytest.mark.parametrize("adapter_id", ["0" * 15 + "1", "f" * 16, "8000000000000000", "7fffffffffffffff"])
def test_names_pass_through_shared_memory(adapter_id: str) -> None:
    assert named_id(int(np.int64(stored_id(adapter_id)))) == adapter_id
