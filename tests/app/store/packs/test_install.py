"""Installing, replacing, removing and undoing packs; keys that are pinned on first use."""

from __future__ import annotations

import io
import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.store.installed_packs import (
    InstalledPack,
    installed_preset_folders,
    packs_folder,
    read_installed,
    recording_beside,
)
from app.store.packs import install as install_module
from app.store.packs.install import Plan, Question, install, plan_installation, remove, undo
from app.store.packs.keys import (
    Pin,
    Trust,
    keys_folder,
    make_author_key,
    read_author_key,
    read_pins,
    write_pins,
)
from app.store.packs.reader import PackReader
from app.store.packs.refusal import PackRefused
from app.store.packs.signing import public_key_of
from app.store.packs.writer import PackContents, build_pack, save_pack
from app.store.presets import load_preset, preset_folders, read_shelf, save_preset, user_preset_folder
from synth.errors import UserError
from tests.app.store.packs import forge

ALL = frozenset(Question)


def plan_for(pack: bytes) -> Plan:
    return plan_installation(PackReader(io.BytesIO(pack)).read())


def put(pack: bytes, agreed: frozenset[Question] = frozenset()) -> InstalledPack:
    return install(io.BytesIO(pack), plan_for(pack), agreed=agreed)


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file below `folder`."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_an_installed_pack_is_on_the_shelf_and_can_be_undone_and_removed() -> None:
    before = set(read_shelf().presets)
    put(forge.good_pack())
    assert set(read_shelf().presets) - before == {"orc_growl", "orc_sigh"}
    assert load_preset("orc_growl") == forge.contents().presets[0]
    folder = packs_folder() / read_installed().packs[0].folder
    assert (folder / "adapters" / f"{forge.ADAPTER_ID}.safetensors").read_bytes() == forge.ADAPTER
    assert undo() == "Install Orcs"
    assert set(read_shelf().presets) == before
    assert not folder.exists()
    put(forge.good_pack())
    assert remove("orcs").version == "1.0"
    assert set(read_shelf().presets) == before
    assert undo() == "Remove Orcs"
    assert set(read_shelf().presets) - before == {"orc_growl", "orc_sigh"}


def test_planning_writes_nothing(tmp_path_factory: pytest.TempPathFactory) -> None:
    home = packs_folder().parents[1]
    before = snapshot(home)
    plan_for(forge.good_pack())
    assert snapshot(home) == before
    assert not packs_folder().exists()


def test_nothing_is_replaced_without_asking() -> None:
    put(forge.good_pack())
    newer = forge.good_pack(version="2.0")
    plan = plan_for(newer)
    assert plan.questions == {Question.REPLACE}
    with pytest.raises(UserError, match=r"Orcs 1\.0 is installed; this is 2\.0"):
        put(newer)
    assert read_installed().packs[0].version == "1.0"
    put(newer, agreed=frozenset({Question.REPLACE}))
    assert [pack.version for pack in read_installed().packs] == ["2.0"]
    assert undo() == "Replace Orcs"
    assert [pack.version for pack in read_installed().packs] == ["1.0"]
    assert load_preset("orc_sigh").name == "Orc sigh"


def test_presets_never_hide_others() -> None:
    mine = forge.preset("orc_growl", name="Mine")
    save_preset(mine)
    pack = forge.good_pack()
    plan = plan_for(pack)
    assert plan.renamed == {"orc_growl": "orc_growl-orcs"}
    with pytest.raises(UserError, match=r"orc_growl \(would be orc_growl-orcs\)"):
        put(pack)
    put(pack, agreed=frozenset({Question.RENAME}))
    assert load_preset("orc_growl") == mine
    assert load_preset("orc_growl-orcs") == replace(forge.contents().presets[0], id="orc_growl-orcs")
    presets = packs_folder() / read_installed().packs[0].folder / "presets"
    recording = recording_beside(presets / "orc_growl-orcs.json")
    assert recording is not None, "a preview goes with its preset"
    assert recording.read_bytes() == forge.flac()
    assert recording_beside(presets / "orc_sigh.json") is None
    assert recording_beside(user_preset_folder() / "orc_growl.json") is None
    other = build_pack(replace(forge.MANIFEST, id="elves"), PackContents(presets=(forge.preset("growl"),)), forge.KEY)
    assert plan_for(other).renamed == {"growl": "growl-elves"}, "the factory has a growl"


def test_long_and_crowded_ids_find_a_free_one() -> None:
    taken = {"a" * 64, f"{'a' * 59}-orcs"}
    assert install_module._free_id("a" * 64, "orcs", taken) == f"{'a' * 57}-orcs-2"


def test_a_pack_that_changed_after_it_was_shown_is_refused() -> None:
    plan = plan_for(forge.good_pack())
    with pytest.raises(PackRefused) as refusal:
        install(io.BytesIO(forge.good_pack(version="6.6")), plan, agreed=ALL)
    assert refusal.value.code == "changed"
    swapped = bytearray(forge.good_pack())
    swapped[bytes(swapped).index(b"fLaC") + 60] ^= 1
    with pytest.raises(PackRefused):
        install(io.BytesIO(bytes(swapped)), plan, agreed=ALL)
    assert read_installed().packs == ()
    assert [path.name for path in packs_folder().iterdir()] == [".lock"]


@pytest.mark.parametrize("fails_at", [0, 1, 3, 8])
def test_a_disk_that_fails_leaves_everything_as_it_was(fails_at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    put(forge.small_pack())
    before = snapshot(packs_folder())
    count = [0]
    sync = os.fsync

    def failing(handle: int) -> None:
        count[0] += 1
        if count[0] > fails_at:
            raise OSError(28, "No space left on device")
        sync(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing)
        with pytest.raises(UserError, match="No space left"):
            put(forge.good_pack(version="2.0"), agreed=ALL)
    undone = {name: body for name, body in snapshot(packs_folder()).items() if not name.startswith("orcs@")}
    kept = {name: body for name, body in before.items() if not name.startswith("orcs@")}
    assert undone == kept
    assert read_installed().packs[0].version == "1.0"


def test_only_the_packs_folder_is_written_to_and_only_by_its_user() -> None:
    home = packs_folder().parents[2]
    before = set(snapshot(home))
    put(forge.good_pack())
    new = set(snapshot(home)) - before
    allowed = (str(packs_folder().relative_to(home)), str(keys_folder().relative_to(home)))
    assert new
    assert all(name.startswith(allowed) for name in new)
    for path in packs_folder().rglob("*"):
        assert not path.is_symlink()
        if path.is_file() and "@" in str(path):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, "never executable"


def test_a_link_in_the_packs_folder_is_not_followed_when_it_is_swept(tmp_path: Path) -> None:
    put(forge.small_pack())
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("mine")
    (packs_folder() / "evil@0000000000000000").symlink_to(precious)
    put(forge.good_pack(version="2.0"), agreed=ALL)
    assert (precious / "file").read_text() == "mine"


def test_a_half_written_folder_is_swept_with_the_next_step() -> None:
    put(forge.small_pack())
    (packs_folder() / ".staging-dead").mkdir()
    remove("orcs")
    assert not (packs_folder() / ".staging-dead").exists()


@pytest.mark.expects_log("Packs left out")
def test_a_broken_list_of_packs_hides_no_other_preset() -> None:
    put(forge.small_pack())
    (packs_folder() / "installed.json").write_text("{")
    assert installed_preset_folders() == ()
    with pytest.raises(UserError, match="not a whole list of packs"):
        put(forge.good_pack())


def test_the_list_of_packs_names_no_other_folder() -> None:
    put(forge.small_pack())
    listed = packs_folder() / "installed.json"
    listed.write_text(listed.read_text().replace("orcs@", "../../orcs@"))
    with pytest.raises(UserError, match="is no folder of a pack"):
        read_installed()


def test_presets_stand_before_those_of_packs() -> None:
    put(forge.small_pack())
    assert preset_folders()[0] == user_preset_folder()
    assert preset_folders()[-1].parent.name.startswith("orcs@")


def test_nothing_to_undo_or_remove_is_said() -> None:
    with pytest.raises(UserError, match="nothing to undo"):
        undo()
    with pytest.raises(UserError, match="no pack 'orcs'"):
        remove("orcs")


def test_keys_are_pinned_on_first_use_and_another_key_is_a_question() -> None:
    plan = plan_for(forge.good_pack())
    assert plan.trust is Trust.NEW
    put(forge.good_pack())
    assert plan_for(forge.good_pack(version="2.0")).trust is Trust.KNOWN
    stranger = forge.good_pack(forge.OTHER_KEY, id="others", author="ANN  Singer")
    assert plan_for(stranger).trust is Trust.CHANGED
    with pytest.raises(UserError, match="signed with another key until now"):
        put(stranger, agreed=frozenset({Question.RENAME}))
    unsigned = forge.good_pack(None, id="others")
    assert plan_for(unsigned).trust is Trust.UNSIGNED_KNOWN
    with pytest.raises(UserError, match="this pack is not signed"):
        put(unsigned, agreed=frozenset({Question.RENAME}))
    assert plan_for(forge.good_pack(None, author="Bob")).trust is Trust.UNSIGNED
    assert plan_for(forge.good_pack(author="Bob")).trust is Trust.OTHER_NAME
    put(stranger, agreed=ALL)
    assert plan_for(stranger).trust is Trust.KNOWN


def test_pinned_keys_can_be_forgotten() -> None:
    write_pins(read_pins().with_pin(Pin("Ann", public_key_of(forge.KEY))))
    pins = read_pins()
    assert len(pins.pins[0].key.fingerprint.split()) == 8
    write_pins(pins.without(pins.pins[0].key.fingerprint))
    assert read_pins().pins == ()
    with pytest.raises(UserError, match="No key with this fingerprint"):
        pins.without("0000")


def test_a_list_of_keys_that_cannot_be_read_stops_an_installation() -> None:
    keys_folder().mkdir(parents=True)
    (keys_folder() / "pinned.json").write_text('{"revision": 1, "keys": [{"author": "a", "public_key": "00"}]}')
    with pytest.raises(UserError, match="public_key: not 64 digits"):
        put(forge.good_pack())
    assert not packs_folder().exists()


def test_the_authors_key_stays_here_and_in_no_pack(tmp_path: Path) -> None:
    assert read_author_key() is None
    key = make_author_key()
    path = keys_folder() / "author.pem"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = read_author_key()
    assert isinstance(again, Ed25519PrivateKey)
    assert public_key_of(again) == public_key_of(key)
    with pytest.raises(UserError, match="have a key already"):
        make_author_key()
    save_pack(tmp_path / "a.stridorpack", forge.good_pack(key))
    pack = (tmp_path / "a.stridorpack").read_bytes()
    assert key.private_bytes_raw() not in pack
    assert key.private_bytes_raw().hex().encode() not in pack
    assert b"PRIVATE" not in pack
    with pytest.raises(UserError, match=r"ends? in \.stridorpack"):
        save_pack(tmp_path / "a.zip", pack)
    path.chmod(0o644)
    with pytest.raises(UserError, match="Others may read"):
        read_author_key()


def test_a_pack_that_could_not_be_installed_is_not_made() -> None:
    contents = replace(forge.contents(), adapters=())
    with pytest.raises(UserError, match="adapters that are not given"):
        build_pack(forge.MANIFEST, contents)
    with pytest.raises(UserError, match="does not say its licence"):
        build_pack(forge.MANIFEST, PackContents(presets=(forge.preset(licence=""),)))
    with pytest.raises(PackRefused, match="cut short"):
        build_pack(forge.MANIFEST, PackContents(presets=(forge.preset(),), previews={"a": b"fLaC"}))
