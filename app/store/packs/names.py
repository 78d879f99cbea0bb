"""Names of files in a pack: a short list of allowed forms, and a reason of its own for every known trick.

What passes is lower-case ASCII, so it means one file on every file system, whatever that folds or normalises.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from app.store.packs.refusal import PackRefused

MANIFEST: Final = "manifest.json"
SIGNATURE: Final = "signature.json"
MAX_NAME_BYTES: Final = 160
_STEM: Final = r"[a-z0-9][a-z0-9_-]{0,63}"
_BIDI: Final = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
# Windows opens a device by these names, whatever suffix follows.
_DEVICES: Final = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
_DRIVE: Final = re.compile(r"[A-Za-z]:")


class Kind(StrEnum):
    """What a file of a pack is, by its folder."""

    PRESET = "preset"
    ADAPTER = "adapter"
    GESTURE = "gesture"
    PREVIEW = "preview"
    PICTURE = "picture"
    TEXT = "text"


_FORMS: Final = {
    Kind.PRESET: re.compile(rf"presets/({_STEM})\.json"),
    Kind.ADAPTER: re.compile(rf"adapters/({_STEM})\.safetensors"),
    Kind.GESTURE: re.compile(rf"gestures/({_STEM})\.json"),
    Kind.PREVIEW: re.compile(rf"previews/({_STEM})\.flac"),
    Kind.PICTURE: re.compile(rf"pictures/({_STEM})\.png"),
    Kind.TEXT: re.compile(rf"texts/({_STEM})\.json"),
}


def kind_of(name: str) -> Kind | None:
    """The kind of a file in a pack; None for manifest, signature and what does not belong there."""
    return next((kind for kind, form in _FORMS.items() if form.fullmatch(name)), None)


def stem_of(name: str) -> str:
    """`presets/growl.json` -> `growl`."""
    return name.rpartition("/")[2].partition(".")[0]


def check_names(raw_names: Sequence[bytes]) -> tuple[str, ...]:
    """The names as text, in order. Raises PackRefused with the reason of the first that cannot stay."""
    names = [_decoded(raw) for raw in raw_names]
    seen: dict[str, str] = {}
    for name in names:
        folded = unicodedata.normalize("NFKC", name).casefold()
        if folded in seen:
            if seen[folded] == name:
                raise PackRefused("duplicate", f"Two files in the pack are called {name!r}.")
            raise PackRefused("case-collision", f"{seen[folded]!r} and {name!r} would be one file on some systems.")
        seen[folded] = name
    for name in names:
        _check_name(name)
    return tuple(names)


def _decoded(raw: bytes) -> str:
    if not raw:
        raise PackRefused("name-empty", "A file in the pack has no name.")
    if len(raw) > MAX_NAME_BYTES:
        raise PackRefused("name-too-long", f"A file's name in the pack has {len(raw)} bytes.")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as fault:
        raise PackRefused("name-not-utf8", f"A file's name in the pack is not text: {raw[:40]!r}.") from fault


def _check_name(name: str) -> None:
    fault = _trick(name) or _wrong_path(name)
    if fault is not None:
        raise PackRefused(fault[0], f"{name!r} {fault[1]}.")
    if name not in (MANIFEST, SIGNATURE) and kind_of(name) is None:
        raise PackRefused("unknown-file", f"{name!r} is no file that a pack may hold.")


def _trick(name: str) -> tuple[str, str] | None:
    """What is wrong with the characters of a name: (code, words)."""
    if any(unicodedata.category(mark) == "Cc" for mark in name):
        return "name-control", "holds control characters"
    if any(mark in _BIDI for mark in name):
        return "name-bidi", "turns round the direction of its letters"
    if any(unicodedata.category(mark) == "Cf" for mark in name):
        return "name-invisible", "holds characters that nobody sees"
    if unicodedata.normalize("NFC", name) != name:
        return "name-not-nfc", "is written in two ways that look the same"
    if unicodedata.normalize("NFKC", name) != name:
        return "name-not-nfkc", "holds characters that stand for others"
    return None


def _wrong_path(name: str) -> tuple[str, str] | None:
    """What is wrong with a name as a path: (code, words)."""
    if _DRIVE.match(name):
        return "name-drive", "names a drive"
    if "\\" in name:
        return "name-backslash", "holds a backslash"
    if name.startswith("/"):
        return "name-absolute", "is an absolute path"
    segments = name.split("/")
    if ".." in segments:
        return "name-traversal", "leads out of the pack's folder"
    if name.endswith("/"):
        return "folder", "is a folder, and packs hold files only"
    if any(segment in ("", ".") for segment in segments):
        return "name-segment", "holds an empty step"
    if not name.isascii():
        return "name-not-ascii", "holds other than plain letters"
    if name != name.lower():
        return "name-upper-case", "holds capital letters"
    if any(_DEVICES.fullmatch(segment) for segment in segments):
        return "name-device", "is a device on some systems"
    if any(segment[-1] in ". " for segment in segments):
        return "name-trailing", "ends in a dot or a space"
    return None
