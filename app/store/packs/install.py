"""Installing packs: planned and shown first, then done as one step that can be undone.

A plan is made without writing anything. Carrying it out reads the pack once more, checks it again as it writes, and
puts its files into a folder that nothing looks at until app.store.installed_packs names it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, Final

from app.store.installed_packs import (
    InstalledPack,
    InstalledPacks,
    packs_folder,
    read_installed,
    write_installed,
)
from app.store.packs.compatibility import Weights, differences
from app.store.packs.keys import QUESTIONABLE, Pin, Pins, Trust, read_pins, write_pins
from app.store.packs.names import MANIFEST, Kind, kind_of, stem_of
from app.store.packs.reader import Pack, PackReader
from app.store.packs.refusal import PackRefused
from app.store.presets import FACTORY_COLLECTION, FACTORY_FOLDER, format_preset, user_preset_folder
from synth.errors import UserError

_STAGING: Final = ".staging-"
_LONGEST_ID: Final = 64


class Question(StrEnum):
    """What a person must say yes to before a pack is installed."""

    REPLACE = "replace"  # another version of the pack is installed
    RENAME = "rename"  # presets of the same ids are there: the pack's get other ids
    KEY = "key"  # the author's name is not vouched for as it was before


@dataclass(frozen=True, slots=True)
class Plan:
    """What installing a pack would do.

    replaces     the installed version of the same pack
    renamed      preset id in the pack -> the id it would get, where its own is taken
    questions    must be answered with yes
    remarks      what will differ or cannot work here
    """

    pack: Pack
    trust: Trust
    replaces: InstalledPack | None
    renamed: Mapping[str, str]
    questions: frozenset[Question]
    remarks: tuple[str, ...]

    @property
    def preset_ids(self) -> tuple[str, ...]:
        """As they would be installed."""
        return tuple(self.renamed.get(preset_id, preset_id) for preset_id in self.pack.presets)


def plan_installation(
    pack: Pack, *, folder: Path | None = None, pins: Pins | None = None, weights: Weights | None = None
) -> Plan:
    """What would happen; nothing is written. Raises UserError where the lists of packs or keys cannot be read."""
    installed = read_installed(packs_folder() if folder is None else folder)
    replaces = installed.find(pack.manifest.id)
    taken = _taken_ids(installed, pack.manifest.id)
    renamed: dict[str, str] = {}
    for preset_id in pack.presets:
        if preset_id in taken:
            renamed[preset_id] = _free_id(
                preset_id, pack.manifest.id, taken | pack.presets.keys() | {*renamed.values()}
            )
    trust = (read_pins() if pins is None else pins).trust(pack.manifest.author, pack.signer)
    asked = {
        Question.REPLACE: replaces is not None,
        Question.RENAME: bool(renamed),
        Question.KEY: trust in QUESTIONABLE,
    }
    questions = frozenset(question for question, is_asked in asked.items() if is_asked)
    return Plan(pack, trust, replaces, renamed, questions, differences(pack, weights))


def install(
    file: BinaryIO,
    plan: Plan,
    *,
    agreed: frozenset[Question] = frozenset(),
    folder: Path | None = None,
    keys: Path | None = None,
) -> InstalledPack:
    """Carry `plan` out with the pack it was made from, open at `file`. All of it or nothing.

    agreed    the questions that were answered with yes
    Raises UserError for a question not answered, a pack that has changed meanwhile, or a disk that refuses.
    """
    open_questions = plan.questions - agreed
    if open_questions:
        raise UserError(_asking(plan, min(open_questions)), remedy="Agree to it, or leave the pack out.")
    folder = packs_folder() if folder is None else folder
    reader = PackReader(file)
    if hashlib.sha256(reader.manifest_bytes).hexdigest() != plan.pack.manifest_sha256:
        raise PackRefused("changed", "The pack has changed since it was looked at.", remedy="Look at it again.")
    pins = read_pins(keys)  # before anything is done: a list that cannot be read ends it here
    with _locked(folder):
        before = read_installed(folder)
        if before.find(plan.pack.manifest.id) != plan.replaces or _taken_ids(before, plan.pack.manifest.id) & {
            *plan.preset_ids
        }:
            raise UserError("Other packs were installed meanwhile.", remedy="Look at the pack again.")
        entry = _entry(plan)
        _write_folder(reader, plan, folder, entry.folder)
        others = tuple(pack for pack in before.packs if pack.id != entry.id)
        step = f"{'Replace' if plan.replaces else 'Install'} {entry.name}"
        after = before.after(step, (*others, entry))
        write_installed(after, folder)
        _sweep(folder, after)
    if plan.pack.signer is not None and plan.trust is not Trust.KNOWN:
        write_pins(pins.with_pin(Pin(plan.pack.manifest.author, plan.pack.signer)), keys)
    return entry


def remove(pack_id: str, *, folder: Path | None = None) -> InstalledPack:
    """Take a pack out of force; `undo` brings it back. -> what it was. Raises UserError where it is not installed."""
    folder = packs_folder() if folder is None else folder
    if not folder.is_dir() or read_installed(folder).find(pack_id) is None:
        raise UserError(f"There is no pack {pack_id!r}.", remedy="`stridor presets list --packs` shows them.")
    with _locked(folder):
        before = read_installed(folder)
        pack = before.find(pack_id)
        if pack is None:
            raise UserError(f"There is no pack {pack_id!r}.", remedy="`stridor presets list --packs` shows them.")
        after = before.after(f"Remove {pack.name}", tuple(other for other in before.packs if other.id != pack_id))
        write_installed(after, folder)
        _sweep(folder, after)
    return pack


def undo(*, folder: Path | None = None) -> str:
    """Take the newest installation or removal back -> what it was called. Raises UserError where there is none."""
    folder = packs_folder() if folder is None else folder
    if not folder.is_dir():
        raise UserError("There is nothing to undo.", remedy="No pack was installed or removed.")
    with _locked(folder):
        before = read_installed(folder)
        after = before.undone()
        write_installed(after, folder)
        _sweep(folder, after)
    return before.steps[-1].name


def _entry(plan: Plan) -> InstalledPack:
    manifest = plan.pack.manifest
    return InstalledPack(
        id=manifest.id,
        name=manifest.name,
        version=manifest.version,
        author=manifest.author,
        licence=manifest.licence,
        folder=f"{manifest.id}@{uuid.uuid4().hex[:16]}",
        sha256=plan.pack.manifest_sha256,
        fingerprint="" if plan.pack.signer is None else plan.pack.signer.fingerprint,
        presets=plan.preset_ids,
    )


def _write_folder(reader: PackReader, plan: Plan, folder: Path, name: str) -> None:
    """The pack's files, whole and on disk, in `folder / name`; on any failure nothing is left."""
    staging = folder / f"{_STAGING}{uuid.uuid4().hex}"
    try:
        staging.mkdir(mode=0o700)
        _write_file(staging / MANIFEST, reader.manifest_bytes)
        for file, content in reader.contents():
            target, kept = file.path, content
            if kind_of(file.path) is Kind.PRESET:
                preset = plan.pack.presets[stem_of(file.path)]
                new_id = plan.renamed.get(preset.id, preset.id)
                target, kept = f"presets/{new_id}.json", format_preset(replace(preset, id=new_id))
            elif kind_of(file.path) is Kind.PREVIEW:
                sung_id = stem_of(file.path)
                target = f"previews/{plan.renamed.get(sung_id, sung_id)}.flac"
            _write_file(staging / target, kept)
        staging.rename(folder / name)
    except OSError as fault:
        problem = f"The pack was not installed: {fault.strerror or fault}."
        raise UserError(problem, remedy=f"Look at {folder}, then try again.") from fault
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _write_file(path: Path, content: bytes) -> None:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _taken_ids(installed: InstalledPacks, pack_id: str) -> set[str]:
    """Preset ids of the user, of the factory and of other packs."""
    taken = {preset_id for pack in installed.packs if pack.id != pack_id for preset_id in pack.presets}
    for presets in (user_preset_folder(), FACTORY_FOLDER, FACTORY_COLLECTION):
        taken |= {path.stem for path in presets.glob("*.json")}
    return taken | {"neutral"}


def _free_id(preset_id: str, pack_id: str, taken: set[str]) -> str:
    """`growl` of the pack `orcs` -> `growl-orcs`, numbered where that is taken too."""
    number = 1
    while True:
        tail = f"-{pack_id[:24]}" if number == 1 else f"-{pack_id[:24]}-{number}"
        found = preset_id[: _LONGEST_ID - len(tail)] + tail
        if found not in taken:
            return found
        number += 1


def _asking(plan: Plan, question: Question) -> str:
    manifest = plan.pack.manifest
    match question:
        case Question.REPLACE:
            assert plan.replaces is not None
            return f"{manifest.name} {plan.replaces.version} is installed; this is {manifest.version}."
        case Question.RENAME:
            named = ", ".join(f"{old} (would be {new})" for old, new in plan.renamed.items())
            return f"Presets of these ids are there already: {named}."
        case Question.KEY if plan.trust is Trust.CHANGED:
            return f"{manifest.author} has signed with another key until now."
        case Question.KEY:
            return f"{manifest.author} has signed until now, and this pack is not signed."


def _sweep(folder: Path, installed: InstalledPacks) -> None:
    """Delete folders that are neither in force nor on the way back, and what a power cut left half written."""
    in_use = installed.folders_in_use()
    for path in folder.iterdir():
        is_ours = path.name.startswith(_STAGING) or "@" in path.name
        if is_ours and path.name not in in_use and path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One installation at a time, whichever process."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as fault:
        problem = f"{folder} cannot be written to: {fault.strerror or fault}."
        raise UserError(problem, remedy="Check its owner and the disk.") from fault
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
