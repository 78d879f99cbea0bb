"""Packs that come with Stridor: installed once, by their key only, and gone when a person removes them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.store.documents import format_document
from app.store.installed_packs import read_installed
from app.store.packs.factory import KEY_FILE, factory_key, install_factory_packs
from app.store.packs.install import remove
from app.store.packs.keys import Trust, read_pins
from app.store.packs.signing import public_key_of
from app.store.packs.writer import build_pack
from app.store.presets import load_preset
from synth.errors import UserError
from tests.app.store.packs import forge


def shipped(folder: Path, pack: bytes, key: Ed25519PrivateKey = forge.KEY) -> Path:
    """A folder of one pack and a key, as Stridor comes with one."""
    folder.mkdir(exist_ok=True)
    (folder / "orcs.stridorpack").write_bytes(pack)
    document = {"revision": 1, "public_key": public_key_of(key).raw.hex()}
    (folder / KEY_FILE).write_text(format_document(document))
    return folder


def signed(version: str = "1.0") -> bytes:
    return build_pack(replace(forge.MANIFEST, version=version), forge.contents(), forge.KEY)


def test_a_pack_is_installed_once_and_its_key_is_pinned(tmp_path: Path) -> None:
    source = shipped(tmp_path / "source", signed())
    assert install_factory_packs(source) == ("orcs",)
    assert load_preset("orc_growl").name == "Orc growl"
    assert read_pins().trust("Ann Singer", public_key_of(forge.KEY)) is Trust.KNOWN
    assert install_factory_packs(source) == ()


def test_what_was_removed_stays_away_until_a_newer_edition_comes(tmp_path: Path) -> None:
    source = shipped(tmp_path / "source", signed())
    install_factory_packs(source)
    remove("orcs")
    assert install_factory_packs(source) == ()
    assert read_installed().find("orcs") is None
    shipped(source, signed("1.1"))
    assert install_factory_packs(source) == ("orcs",)
    shipped(source, signed("1.2"))  # an older edition that is there makes way
    assert install_factory_packs(source) == ("orcs",)
    pack = read_installed().find("orcs")
    assert pack is not None
    assert pack.version == "1.2"


@pytest.mark.expects_log("not signed by the key")
@pytest.mark.parametrize("key", [forge.OTHER_KEY, None])
def test_another_key_or_none_is_left_alone(tmp_path: Path, key: Ed25519PrivateKey | None) -> None:
    source = shipped(tmp_path / "source", build_pack(forge.MANIFEST, forge.contents(), key))
    assert install_factory_packs(source) == ()
    assert read_installed().packs == ()


@pytest.mark.expects_log("cut short")
def test_a_spoilt_pack_is_told_and_nothing_else(tmp_path: Path) -> None:
    assert install_factory_packs(shipped(tmp_path / "source", signed()[:-40])) == ()


@pytest.mark.expects_log("holds no key")
def test_a_spoilt_key_is_told_and_nothing_else(tmp_path: Path) -> None:
    source = shipped(tmp_path / "source", signed())
    (source / KEY_FILE).write_text("{}")
    assert install_factory_packs(source) == ()
    with pytest.raises(UserError, match="holds no key"):
        factory_key(source)


def test_without_packs_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert install_factory_packs(tmp_path / "empty", folder=tmp_path / "packs") == ()
    assert not (tmp_path / "packs").exists()
