"""What must be true of a reader, whatever it is given."""

from __future__ import annotations

import hashlib
import io
import time
from dataclasses import replace
from pathlib import Path

from app.store.installed_packs import installed_path
from app.store.packs.install import Plan, Question, install, plan_installation
from app.store.packs.keys import Pins
from app.store.packs.names import kind_of
from app.store.packs.reader import Pack, PackReader
from app.store.packs.refusal import PackRefused
from app.store.presets import format_preset, parse_preset
from synth.errors import UserError
from tests.fuzz.mutation import PRESET_ID

MAX_CPU_S = 2.0


class Finding(Exception):
    """A reader did something that it must not do."""


def judge_pack(data: bytes) -> str:
    """Read a pack -> "read", or the code of the refusal. Raises Finding."""
    started_s = time.process_time()
    try:
        reader = PackReader(io.BytesIO(data))
        pack = reader.read()
    except PackRefused as refusal:
        if not str(refusal).isprintable() or len(refusal.message) > 300 or not refusal.code:
            raise Finding(f"a reason that is not one line: {refusal.message!r}") from refusal
        return refusal.code
    except Exception as fault:
        raise Finding(f"{type(fault).__name__}: {fault}") from fault
    finally:
        spent_s = time.process_time() - started_s
    if spent_s > MAX_CPU_S:
        raise Finding(f"{spent_s:.1f} s")
    _check_read(reader, pack)
    return "read"


def _check_read(reader: PackReader, pack: Pack) -> None:
    for file, content in reader.contents():
        if kind_of(file.path) is None or hashlib.sha256(content).hexdigest() != file.sha256:
            raise Finding(f"took {file.path!r}")
    for preset_id, preset in pack.presets.items():
        if parse_preset(format_preset(preset), f"{preset_id}.json") != preset:
            raise Finding(f"the preset {preset_id} does not come back as it was written")


def judge_installation(data: bytes, folder: Path) -> None:
    """Install a pack that was read, in an empty `folder`; nothing may lie anywhere but there. Raises Finding."""
    pack = PackReader(io.BytesIO(data)).read()
    plan: Plan = plan_installation(pack, folder=folder / "packs", pins=Pins())
    install(io.BytesIO(data), plan, agreed=frozenset(Question), folder=folder / "packs", keys=folder / "keys")
    found = [path for path in folder.rglob("*") if path.is_file()]
    allowed = {installed_path(folder / "packs"), folder / "packs" / ".lock", folder / "keys" / "pinned.json"}
    for path in found:
        parts = path.relative_to(folder).parts
        is_inside = len(parts) in (3, 4) and parts[0] == "packs" and "@" in parts[1]
        if path.is_symlink() or not (path in allowed or is_inside):
            raise Finding(f"wrote {path}")


def judge_preset(data: bytes) -> str:
    """Read a preset -> "read" or "refused". Raises Finding."""
    started_s = time.process_time()
    try:
        preset = parse_preset(data, f"{PRESET_ID}.json")
    except UserError:
        return "refused"
    except Exception as fault:
        raise Finding(f"{type(fault).__name__}: {fault}") from fault
    finally:
        spent_s = time.process_time() - started_s
    if spent_s > MAX_CPU_S:
        raise Finding(f"{spent_s:.1f} s")
    try:
        again = parse_preset(format_preset(preset), f"{PRESET_ID}.json")
    except Exception as fault:
        raise Finding(f"cannot be written again: {type(fault).__name__}: {fault}") from fault
    if again != preset or replace(preset) != preset:
        raise Finding("does not come back as it was written")
    return "read"
