"""What the sampler has been asked and has not yet taken up."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from app.render.messages import CancelRender, Command, DropLive, Export, Extract, LiveCell, Quit, Render


@dataclass(slots=True)
class Inbox:
    """Commands that have arrived and wait."""

    live: deque[LiveCell] = field(default_factory=deque)
    dropped: list[DropLive] = field(default_factory=list)
    renders: deque[Render | CancelRender] = field(default_factory=deque)
    exports: deque[Export] = field(default_factory=deque)
    extracts: deque[Extract] = field(default_factory=deque)
    quit: bool = False

    def put(self, command: Command) -> None:
        match command:
            case LiveCell():
                self.live.append(command)
            case DropLive():
                kept = [] if command.ticket is None else [cell for cell in self.live if cell.ticket != command.ticket]
                self.live = deque(kept)
                self.dropped.append(command)
            case Render() | CancelRender():
                self.renders.append(command)
            case Export():
                self.exports.append(command)
            case Extract():
                self.extracts.append(command)
            case Quit():
                self.quit = True
