"""Ways to spoil a pack or a preset: bytes, JSON trees, headers, names; hashes are made to fit again afterwards.

A mutation that a checksum would catch tests the checksum only, so most of these rebuild everything around what they
changed and reach the code behind it.
"""

from __future__ import annotations

import copy
import io
import json
import random
import struct
from typing import Any, Final

from app.store.packs.archive import read_directory, read_entry
from app.store.packs.manifest import File
from app.store.presets import format_preset
from tests.app.store.packs import forge

NUMBERS: Final[tuple[Any, ...]] = (
    0, -1, 1, 2, 127, 128, 255, 256, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**53, 2**63, 10**400,
    -(10**400), 0.5, -0.0, 1e-320, 1e308, -1e308, float("nan"), float("inf"), -float("inf"),
)  # fmt: skip
TEXTS: Final = (
    "", " ", "\0", "\n", "..", "../x", "/x", "a" * 300, "\ud800", "\u202e", "\u200b", "\ufeff", "é", "e\u0301", "NaN",
    "1", "true", "presets/a.json", "0" * 64, "\U0001f47f", "con", "A",
)  # fmt: skip
OTHERS: Final[tuple[Any, ...]] = (None, True, False, [], {}, [[]], [{}], {"": 1}, [0, 0], [1, 0])
NAMES: Final = (
    b"presets/../a.json", b"/a", b"presets/a.json", b"PRESETS/A.JSON", b"presets/\xff.json", b"", b"presets/a\0.json",
    b"adapters/0000000000000000.safetensors", b"manifest.json", b"signature.json", b"presets/con.json", b"\\\\a\\b",
    "presets/\u202ea.json".encode(), "presets/e\u0301.json".encode(), b"presets/" + b"a" * 100,
)  # fmt: skip


PRESET_ID: Final = "fuzzed"


class Mutator:
    """Spoils what it is given, as a random generator says."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.packs = [forge.good_pack(), forge.good_pack(None), forge.small_pack(), forge.small_pack(None)]
        self.files = [_files(pack) for pack in self.packs]
        bodies = [body for files in self.files for path, body in files if path.startswith("presets/")]
        self.presets = [json.dumps({**json.loads(body), "id": PRESET_ID}).encode() for body in bodies]
        self.presets += [_rich_preset()]
        self.adapters = [forge.ADAPTER]

    def pack(self) -> bytes:
        """A spoilt pack."""
        return self.random.choices(
            (self._bytes, self._content, self._manifest, self._directory, self._names, self._several),
            (3, 6, 4, 3, 1, 2),
        )[0]()

    def preset(self) -> bytes:
        """A spoilt preset file."""
        body = self.random.choice(self.presets)
        if self.random.random() < 0.25:
            return self.spoil_bytes(body)
        return self.spoil_json(body)

    def spoil_bytes(self, data: bytes) -> bytes:
        """A few bytes changed, moved, doubled or lost."""
        changed = bytearray(data)
        for _ in range(self.random.choice((1, 1, 1, 2, 4, 16))):
            if not changed:
                changed += self.random.randbytes(8)
            at = self.random.randrange(len(changed))
            length = self.random.choice((1, 2, 4, 8, 64, 1024))
            match self.random.randrange(8):
                case 0:
                    changed[at] ^= 1 << self.random.randrange(8)
                case 1:
                    changed[at : at + length] = self.random.randbytes(length)
                case 2:
                    del changed[at : at + length]
                case 3:
                    changed[at:at] = changed[at : at + length]
                case 4:
                    changed[at:at] = self.random.randbytes(length)
                case 5:
                    other = self.random.randrange(len(changed))
                    changed[at : at + length] = changed[other : other + length]
                case 6:
                    form = self.random.choice(("<H", "<I", "<Q", ">I"))
                    mask = (1 << 8 * struct.calcsize(form)) - 1
                    value = self.random.choice([n for n in NUMBERS if isinstance(n, int)]) & mask
                    changed[at : at + struct.calcsize(form)] = struct.pack(form, value)
                case _:
                    del changed[at:]
        return bytes(changed)

    def spoil_json(self, data: bytes) -> bytes:
        """A JSON tree with some of its nodes replaced, renamed, doubled or lost."""
        document = json.loads(data)
        for _ in range(self.random.choice((1, 1, 2, 3))):
            document = self._spoil_node(document)
        text = json.dumps(document, ensure_ascii=self.random.random() < 0.9)
        if self.random.random() < 0.05:
            text = text.replace(": ", f": {'[' * self.random.choice((10, 3000, 100_000))}", 1)
        return text.encode("utf-8", "surrogatepass")

    def value(self) -> Any:
        """Something that is unlikely to belong there."""
        chosen: Any = self.random.choice((NUMBERS, TEXTS, OTHERS))
        return copy.deepcopy(self.random.choice(chosen))

    def _spoil_node(self, document: Any) -> Any:
        places: list[tuple[Any, Any]] = []
        waiting = [document]
        while waiting:
            node = waiting.pop()
            children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
            for key, child in children:
                places.append((node, key))
                waiting.append(child)
        if not places or self.random.random() < 0.01:
            return self.value()
        node, key = self.random.choice(places)
        match self.random.randrange(5):
            case 0:
                del node[key]
            case 1 if isinstance(node, dict):
                node[self.random.choice((*TEXTS, "timbre", "model", "adapters", "gestures", "lane_ranges"))] = (
                    self.value()
                )
            case 1 if isinstance(node, list):
                node.insert(key, copy.deepcopy(node[key]))
            case 2 if isinstance(node[key], int | float) and not isinstance(node[key], bool):
                node[key] = self.random.choice((-node[key], node[key] + 1, node[key] * 2, 1e6, 1e300))
            case 3 if isinstance(node[key], str):
                node[key] += self.random.choice(TEXTS)
            case _:
                node[key] = self.value()
        return document

    def _bytes(self) -> bytes:
        return self.spoil_bytes(self.random.choice(self.packs))

    def _content(self) -> bytes:
        """One file's content spoilt, in a pack whose hashes fit it."""
        files = list(self.random.choice(self.files))
        index = self.random.randrange(len(files))
        path, body = files[index]
        if path.endswith(".json") and self.random.random() < 0.8:
            body = self.spoil_json(body)
        elif path.endswith(".safetensors") and self.random.random() < 0.7:
            body = self._adapter()
        else:
            body = self.spoil_bytes(body)
        if path.endswith(".safetensors") and self.random.random() < 0.9:
            path = f"adapters/{forge.hashlib.sha256(body).hexdigest()[:16]}.safetensors"
        files[index] = (path, body)
        return self._forged(files)

    def _adapter(self) -> bytes:
        """A safetensors file whose header is spoilt."""
        body = self.random.choice(self.adapters)
        length = int.from_bytes(body[:8], "little")
        header = self.spoil_json(body[8 : 8 + length])
        said = len(header) if self.random.random() < 0.95 else self.random.choice((0, 1, 2**40, len(body)))
        return said.to_bytes(8, "little") + header + body[8 + length :]

    def _manifest(self) -> bytes:
        """A spoilt manifest, signed by its author as if nothing were wrong with it."""
        files = self.random.choice(self.files)

        def spoil(document: dict[str, Any]) -> None:
            spoilt = document
            for _ in range(self.random.choice((1, 1, 2))):
                spoilt = self._spoil_node(spoilt)
                if not isinstance(spoilt, dict):
                    return

        try:
            return self._forged(files, manifest=spoil)
        except ValueError:  # what is no JSON cannot be written as a document
            return self._bytes()

    def _directory(self) -> bytes:
        """One field of the archive's records changed, in both places that tell it or in one."""
        pack = bytearray(self.random.choice(self.packs))
        magics = [b"PK\1\2", b"PK\3\4", b"PK\5\6"]
        places = [at for magic in magics for at in _all_of(bytes(pack), magic)]
        for _ in range(self.random.choice((1, 1, 2, 3))):
            at = self.random.choice(places) + self.random.randrange(4, 46)
            width = self.random.choice((1, 2, 4))
            value = self.random.choice([n for n in NUMBERS if isinstance(n, int)]) & ((1 << 8 * width) - 1)
            pack[at : at + width] = value.to_bytes(width, "little")
        return bytes(pack)

    def _names(self) -> bytes:
        """A name in the archive replaced by one that must not be there, everywhere it stands."""
        pack = self.random.choice(self.packs)
        entries = read_directory(io.BytesIO(pack))
        name = self.random.choice(entries).raw_name
        other = self.random.choice(NAMES) if self.random.random() < 0.7 else self.spoil_bytes(name)
        same_length = (other + name[len(other) :])[: len(name)]
        return pack.replace(name, same_length)

    def _several(self) -> bytes:
        """Parts of two packs behind each other."""
        one, other = self.random.choice(self.packs), self.random.choice(self.packs)
        return one[: self.random.randrange(len(one))] + other[self.random.randrange(len(other)) :]

    def _forged(self, files: list[tuple[str, bytes]], **settings: Any) -> bytes:
        key = forge.KEY if self.random.random() < 0.1 else None
        listed: list[File] | None = None
        return forge.forged(files, key=key, listed=listed, **settings)


def _rich_preset() -> bytes:
    """A preset that fills in every key."""
    preset = forge.preset(
        PRESET_ID,
        timbre=(0.5,) * 16,
        lane_ranges={"fry": (0.1, 0.9)},
        lane_defaults={"roughness": 0.3, "adapter.orc.late": 0.5},
        gestures={"roughness": ((0.0, 0.1), (0.5, 0.4)), "technique.scream": ((0.1, 0.2),)},
        adapters=forge.contents().presets[0].adapters,
        model=forge.contents().presets[0].model,
        playing="mono",
        midi_map="Seaboard",
        level_db=-3.0,
        notes="Two\nlines.",
        edition=4,
    )
    return format_preset(preset)


def _files(pack: bytes) -> list[tuple[str, bytes]]:
    file = io.BytesIO(pack)
    entries = read_directory(file)
    named = [(entry.raw_name.decode("ascii"), read_entry(file, entry)) for entry in entries]
    return [(name, body) for name, body in named if "/" in name]


def _all_of(data: bytes, part: bytes) -> list[int]:
    places, at = [], data.find(part)
    while at >= 0:
        places.append(at)
        at = data.find(part, at + 1)
    return places
