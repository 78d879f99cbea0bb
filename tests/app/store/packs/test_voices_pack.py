"""The pack of voices that comes with Stridor: whole, signed, installed, and heard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from app.commands.presets_check import LOUDNESS_RANGE_DB, PresetSinger, hear
from app.state.preset import Preset
from app.store.adapters import find_adapter
from app.store.packs.factory import FACTORY_PACKS, factory_key, install_factory_packs
from app.store.packs.keys import Trust, read_pins
from app.store.packs.reader import Pack, read_pack
from app.store.presets import FACTORY_FOLDER, load_preset
from synth.adapters.file import read_adapter
from synth.codec.weights import content_hash
from synth.evaluate.distances import Sound, log_mel_distance

PACK = FACTORY_PACKS / "voices.stridorpack"
TECHNIQUES = {"growler_of_the_merry_orks": "growl", "whisperer": "whisper", "martin_sings": "modal"}
MOST_BYTES, MOST_ADAPTER_BYTES = 3_000_000, 1_000_000


@pytest.fixture(scope="module")
def pack() -> Pack:
    return read_pack(PACK)


def test_it_is_whole_signed_and_small(pack: Pack) -> None:
    assert pack.signer == factory_key()
    assert PACK.stat().st_size < MOST_BYTES
    assert {name: max(p.technique, key=p.technique.__getitem__) for name, p in pack.presets.items()} == TECHNIQUES
    assert set(pack.previews_s) == set(TECHNIQUES)
    assert pack.missing_adapters == ()


def test_it_names_licences_and_who_is_to_be_named(pack: Pack) -> None:
    assert "CC0-1.0" in pack.manifest.licence
    assert "MIT" in pack.manifest.licence
    assert pack.presets["martin_sings"].licence == "MIT"
    assert "Copyright (c) 2014 vocobox" in pack.texts["attribution"].text
    for preset in pack.presets.values():
        assert preset.author
        assert preset.consent


def test_its_adapters_are_small_and_say_what_they_are(pack: Pack) -> None:
    install_factory_packs()
    for preset in pack.presets.values():
        (named,) = preset.adapters
        adapter = read_adapter(find_adapter(named.id))
        assert adapter.sha256 == named.sha256
        assert adapter.info.share < 0.02
        assert adapter.info.technique == TECHNIQUES[preset.id]
        assert (adapter.info.licence, adapter.info.consent) == (preset.licence, preset.consent)
        assert find_adapter(named.id).stat().st_size < MOST_ADAPTER_BYTES


def _sung(singer: PresetSinger, preset: Preset) -> Sound:
    return Sound.of(singer.sing(preset))


@pytest.mark.weights
@pytest.mark.leaves("sampler_")  # an engine's threads end with it
def test_every_voice_is_heard_and_is_not_the_base(pack: Pack, expected_logs: Any) -> None:
    own = content_hash(FACTORY_FOLDER / "models" / "default" / "denoiser.safetensors")
    assert install_factory_packs() == ("stridor-voices",)
    assert read_pins().trust(pack.manifest.author, pack.signer) is Trust.KNOWN
    hashes = {read_adapter(find_adapter(p.adapters[0].id)).info.base_hash for p in pack.presets.values()}
    if hashes != {own}:
        expected_logs.expect("was made for another voice")
    singer = PresetSinger()
    apart_db: Mapping[str, float] = {}
    for name in TECHNIQUES:
        preset = load_preset(name)
        with_it, without = _sung(singer, preset), _sung(singer, replace(preset, adapters=()))
        heard = hear(preset, [with_it.audio])
        assert LOUDNESS_RANGE_DB[0] <= heard.loudness_db <= LOUDNESS_RANGE_DB[1]
        sung = with_it.analysis.lanes["presence"] > 0.5
        assert sung.mean() > 0.5
        apart_db = {**apart_db, name: log_mel_distance(with_it.log_mel_db, without.log_mel_db, sung)}
    assert np.min(list(apart_db.values())) > 1.0, apart_db
