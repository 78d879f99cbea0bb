"""What somebody asks of an adaptation, as it is kept in the run's folder: enough to go on after a crash."""

from __future__ import annotations

from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

from app.state.places import PlacedError
from app.store.atomic import write_atomically
from app.store.documents import Fields, format_document, read_document
from synth.errors import UserError
from synth.spec.lanes import TECHNIQUES

REQUEST_REVISION: Final = 1
REQUEST_FILE: Final = "request.json"
METHODS: Final = ("lora", "rslora", "dora", "loha", "lokr", "sara", "full")
REGIONS: Final = ("early", "middle", "late")
DEFAULT_MINUTES: Final = 8.0
PREVIEW_EVERY_S: Final = 60.0
# For the wizard's list; any other words will do as well.
LICENCES: Final = (
    "CC-BY-4.0", "CC-BY-SA-4.0", "CC-BY-NC-4.0", "CC-BY-NC-SA-4.0", "CC0-1.0", "LicenseRef-All-Rights-Reserved",
)  # fmt: skip
INJURING_TECHNIQUES: Final = ("growl", "scream", "shout")


@dataclass(frozen=True, slots=True)
class AdaptRequest:
    """One adaptation.

    paths             folders or files of recordings, absolute
    name              of adapter and preset; "": as the recordings
    licence, consent  in words; neither may be empty when it trains
    minutes           of training
    material_minutes  learn from so much at most; None: from all
    preview_every_s   None: no previews
    previews          folder for them; None: in the run's
    install           put adapter and preset among the user's own at the end
    """

    paths: tuple[Path, ...]
    technique: str
    name: str = ""
    author: str = ""
    licence: str = ""
    consent: str = ""
    method: str = "lora"
    regions: tuple[str, ...] = REGIONS
    minutes: float = DEFAULT_MINUTES
    material_minutes: float | None = None
    weights: Path | None = None
    rank: int = 4
    share: float = 0.018
    threshold: float | None = None
    seed: int = 0
    device: str = "auto"
    threads: int = 2
    workers: int = 2
    bf16: bool = True
    clock: str = "wall"
    preview_every_s: float | None = None
    previews: Path | None = None
    install: bool = False

    def as_document(self) -> dict[str, Any]:
        """Plain values for JSON."""
        values = asdict(self)
        for key in ("paths", "regions"):
            values[key] = [str(value) for value in values[key]]
        for key in ("weights", "previews"):
            values[key] = None if values[key] is None else str(values[key])
        return {"revision": REQUEST_REVISION, **values}


def save_request(run: Path, request: AdaptRequest) -> None:
    """Keep it in the run's folder, which is made. Raises UserError."""
    try:
        run.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise UserError(f"{run} cannot be made: {fault.strerror or fault}.", remedy="Choose another folder.") from fault
    write_atomically(run / REQUEST_FILE, (format_document(request.as_document()) + "\n").encode("utf-8"))


def load_request(run: Path) -> AdaptRequest:
    """What a run was asked for. Raises UserError where nothing was, or it cannot be read."""
    path = run / REQUEST_FILE
    if not path.is_file():
        raise UserError(f"Nothing was begun in {run}.", remedy="Name recordings and --technique, without --resume.")
    document = read_document(path, what="request for an adaptation")
    try:
        return _parsed(Fields(document, ""))
    except PlacedError as fault:
        raise UserError(f"{path}: {fault.message}", remedy="Begin anew in another folder.") from fault


def _parsed(entries: Fields) -> AdaptRequest:
    if entries.integer("revision") != REQUEST_REVISION:
        raise PlacedError("revision", "unknown.")
    values = {field.name: entries.take(field.name, None if field.default is MISSING else field.default)
              for field in fields(AdaptRequest)}  # fmt: skip
    entries.finish()
    for key in ("paths", "regions"):
        if not isinstance(values[key], list | tuple) or not all(isinstance(value, str) for value in values[key]):
            raise PlacedError(key, "not a list of texts.")
    for key in ("technique", "name", "author", "licence", "consent", "method", "device", "clock"):
        if not isinstance(values[key], str):
            raise PlacedError(key, "not a text.")
    for key in ("minutes", "material_minutes", "rank", "share", "threshold", "seed", "threads", "workers",
                "preview_every_s"):  # fmt: skip
        number = values[key]
        may_lack = key in ("material_minutes", "threshold", "preview_every_s")
        if (number is not None or not may_lack) and (isinstance(number, bool) or not isinstance(number, int | float)):
            raise PlacedError(key, "not a number.")
    for key, known in (("technique", TECHNIQUES), ("method", METHODS), ("clock", ("wall", "processor"))):
        if values[key] not in known:
            raise PlacedError(key, f"{values[key]!r} is not one of {', '.join(known)}.")
    for key in ("weights", "previews"):
        if values[key] is not None and not isinstance(values[key], str):
            raise PlacedError(key, "not a path.")
        values[key] = None if values[key] is None else Path(values[key])
    values["paths"] = tuple(Path(path) for path in values["paths"])
    values["regions"] = tuple(values["regions"])
    return AdaptRequest(**values)
