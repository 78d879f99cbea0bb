"""What the sampler has been asked and has not yet taken up."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from app.render.messages import CancelRender, Command, Export, Extract, MakePreview, Quit, Render


@dataclass(slots=True)
class Inbox:
    """Commands that have arrived and wait."""

    renders: deque[Render | CancelRender] = field(default_factory=deque)
    exports: deque[Export] = field(default_factory=deque)
    extracts: deque[Extract] = field(default_factory=deque)
    previews: deque[MakePreview] = field(default_factory=deque)
    quit: bool = False

    def put(self, command: Command) -> None:
        match command:
            case Render() | CancelRender():
                self.renders.append(command)
            case Export():
                self.exports.append(command)
            case Extract():
                self.extracts.append(command)
            case MakePreview():
                self.previews.append(command)
            case Quit():
                self.quit = True
