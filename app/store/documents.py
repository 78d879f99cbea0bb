"""Reading JSON strictly and writing it so that a person can read and compare it."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from app.state.places import PlacedError, join_place
from app.store.atomic import make_folder, read_bytes, write_atomically
from synth.errors import UserError

Document = dict[str, Any]
Migration = Callable[[Document], Document]  # from one revision to the next; must not change its argument
LINE_LENGTH: Final = 110
_MISSING: Final = object()


def read_document(path: Path, *, what: str) -> Document:
    """The JSON object in `path`. `what` names the kind of file in errors: "passage". Raises UserError."""
    return parse_document(read_bytes(path), str(path), what=what)


def parse_document(content: bytes, name: str, *, what: str) -> Document:
    """A JSON object from bytes: UTF-8, no NaN, no key twice. Raises UserError that names file, line and column."""
    remedy = f"Choose a Stridor {what} file."
    if not content.strip():
        raise UserError(f"{name} is empty.", remedy=remedy)
    try:
        document = json.loads(
            content.decode("utf-8-sig"), parse_constant=_refuse_constant, object_pairs_hook=_refuse_twice
        )
        if b"\\ud" in content.lower():  # half a surrogate pair is no character, and could not be written again
            json.dumps(document, ensure_ascii=False).encode("utf-8")
    except UnicodeDecodeError as fault:
        raise UserError(f"{name} is not a {what}: it is not text.", remedy=remedy) from fault
    except json.JSONDecodeError as fault:
        place = f"line {fault.lineno}, column {fault.colno}"
        raise UserError(f"{name} is not a whole {what}: {fault.msg} at {place}.", remedy=remedy) from fault
    except UnicodeEncodeError as fault:
        raise UserError(f"{name} is not a {what}: it holds half a character.", remedy=remedy) from fault
    except RecursionError as fault:
        raise UserError(f"{name} is not a {what}: it is nested too deeply.", remedy=remedy) from fault
    except PlacedError as fault:
        raise UserError(f"{name}: {fault.message}", remedy=fault.remedy) from fault
    except ValueError as fault:
        raise UserError(f"{name} is not a {what}: {fault}.", remedy=remedy) from fault
    if not isinstance(document, dict):
        raise UserError(f"{name} is not a {what}: it holds no JSON object.", remedy=remedy)
    return document


def save_document(path: Path, document: Document, *, remedy: str = "Check its parent.") -> None:
    """Write `document` in place of what is at `path`, its folder made where it is not there. Raises UserError."""
    make_folder(path.parent, remedy=remedy)
    write_atomically(path, (format_document(document) + "\n").encode("utf-8"))


def set_aside(path: Path) -> str:
    """Keep a file that cannot be used as `<name>.broken`, so that it can be mended -> what to tell of it."""
    aside = path.with_name(f"{path.name}.broken")
    try:
        path.replace(aside)
    except OSError as obstacle:
        return f"The old file stays at {path} ({obstacle.strerror})."
    return f"The old file is kept as {aside}."


def migrate(document: Document, current: int, migrations: Mapping[int, Migration], *, what: str) -> Document:
    """Bring a document of an older `revision` to `current`, one revision at a time. The argument stays as it was.

    Raises PlacedError for a missing, foreign or newer revision.
    """
    revision = document.get("revision")
    if revision is None:
        raise PlacedError("revision", "missing.", remedy=f'Every {what} begins with "revision": {current}.')
    if isinstance(revision, bool) or not isinstance(revision, int) or revision < min({current, *migrations}):
        raise PlacedError("revision", f"{revision!r} is no revision of a {what}.", remedy=f"Use {current}.")
    if revision > current:
        raise PlacedError(
            "revision",
            f"{revision} is newer than this Stridor knows ({current}).",
            remedy="Update Stridor to open it; the file was not touched.",
        )
    for step in range(revision, current):
        document = {**migrations[step](document), "revision": step + 1}
    return document


class Fields:
    """Takes an object's keys one by one; what is left at the end is unknown, and an error."""

    def __init__(self, value: object, place: str) -> None:
        if not isinstance(value, dict):
            raise PlacedError(place, f"{_shown(value)} where an object belongs.")
        self._left = dict(value)
        self._place = place
        self._known: list[str] = []

    def take(self, key: str, default: object = _MISSING) -> Any:
        """The value of `key`, any type; `default` where it is absent, or an error without one."""
        self._known.append(key)
        if key in self._left:
            return self._left.pop(key)
        if default is _MISSING:
            raise PlacedError(join_place(self._place, key), "missing.")
        return default

    def number(self, key: str, default: object = _MISSING) -> float:
        return self._typed(key, default, (int, float), "a number")

    def integer(self, key: str, default: object = _MISSING) -> int:
        return self._typed(key, default, (int,), "a whole number")

    def text(self, key: str, default: object = _MISSING) -> str:
        return self._typed(key, default, (str,), "text")

    def text_or_none(self, key: str) -> str | None:
        return self._typed(key, None, (str, type(None)), "text or null")

    def items(self, key: str, default: object = _MISSING) -> list[Any]:
        return self._typed(key, default, (list,), "a list")

    def object(self, key: str, default: object = _MISSING) -> Document:
        return self._typed(key, default, (dict,), "an object")

    def has(self, key: str) -> bool:
        """Whether `key` is there and not yet taken."""
        return key in self._left

    def finish(self) -> None:
        """Raise PlacedError for the first key nobody took."""
        for key in self._left:
            near = difflib.get_close_matches(key, self._known, n=1)
            remedy = f"Did you mean {near[0]}?" if near else f"Known here: {', '.join(sorted(self._known))}."
            raise PlacedError(join_place(self._place, key), "unknown key.", remedy=remedy)

    def _typed(self, key: str, default: object, kinds: tuple[type, ...], wanted: str) -> Any:
        value = self.take(key, default)
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise PlacedError(join_place(self._place, key), f"{_shown(value)} where {wanted} belongs.")
        return value


def pairs(value: object, length: int, place: str) -> list[tuple[Any, ...]]:
    """A list of lists of `length` numbers -> tuples. Raises PlacedError naming the first that is not."""
    if not isinstance(value, list):
        raise PlacedError(place, f"{_shown(value)} where a list belongs.")
    for index, item in enumerate(value):
        whole = isinstance(item, list) and len(item) == length
        if not whole or any(isinstance(n, bool) or not isinstance(n, int | float) for n in item):
            raise PlacedError(f"{place}[{index}]", f"{_shown(item)} where a list of {length} numbers belongs.")
    return [tuple(item) for item in value]


def format_document(value: object, *, indent: int = 0) -> str:
    """JSON that breaks lines only where one would be too long, and packs short lists several to a line."""
    line = json.dumps(value, ensure_ascii=False, allow_nan=False)
    if len(line) + indent <= LINE_LENGTH and not (indent == 0 and isinstance(value, dict)):
        return line
    inner = indent + 2
    if isinstance(value, dict):
        entries = [f"{json.dumps(k, ensure_ascii=False)}: {format_document(v, indent=inner)}" for k, v in value.items()]
        return _bracketed("{", entries, "}", indent)
    if isinstance(value, list):
        if all(isinstance(item, list | int | float) for item in value):
            return _bracketed("[", _packed([json.dumps(item) for item in value], inner), "]", indent)
        return _bracketed("[", [format_document(item, indent=inner) for item in value], "]", indent)
    return line


def _bracketed(opening: str, entries: list[str], closing: str, indent: int) -> str:
    pad = " " * (indent + 2)
    return f"{opening}\n{pad}" + f",\n{pad}".join(entries) + f"\n{' ' * indent}{closing}"


def _packed(items: list[str], indent: int) -> list[str]:
    lines: list[str] = []
    for item in items:
        if lines and indent + len(lines[-1]) + len(item) + 3 <= LINE_LENGTH:
            lines[-1] += f", {item}"
        else:
            lines.append(item)
    return lines


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number a file may hold")


def _refuse_twice(entries: list[tuple[str, Any]]) -> Document:
    document: Document = {}
    for key, value in entries:
        if key in document:
            raise PlacedError(key, "stands twice in the same object.", remedy="Remove one of them.")
        document[key] = value
    return document


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 40 else f"{text[:37]}..."
