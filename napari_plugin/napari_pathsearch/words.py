"""The words on the screen: a pathologist's, with what to do next."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pathsearch.errors import (
    LibraryLockedError,
    LibraryNotFoundError,
    MppMissingError,
    PathsearchError,
    SlideNotFoundError,
)

Kind = Literal["info", "warning", "error"]

#: Objective and µm per pixel go together by habit: 40x is 0.25 µm per pixel.
_UM_AT_1X = 10.0


@dataclass(frozen=True, slots=True)
class Message:
    """A line for the user, and what is shown when they ask for more."""

    line: str
    details: str = ""
    kind: Kind = "info"


def magnification(mpp: float) -> str:
    """A resolution as a pathologist says it: ``about 20x, 0.5 µm/px``."""
    power = _UM_AT_1X / mpp
    rounded = f"{power:.0f}" if power >= 9.5 else f"{power:.2g}"
    return f"about {rounded}x, {mpp:.3g} µm/px"


def mpp_of_power(power: float) -> float:
    """µm per pixel of an objective: 0.5 for 20x."""
    return _UM_AT_1X / power


def message_of(error: BaseException) -> Message:
    """An error as one line, the traceback as its details."""
    details = "".join(traceback.format_exception(error)).strip()
    if not isinstance(error, PathsearchError):
        line = f"Something unexpected happened ({type(error).__name__}: {one_line(str(error))})."
        return Message(line, details, "error")
    return Message(_line(error), f"{error} [{error.code}]\n\n{details}", "error")


def _line(error: PathsearchError) -> str:
    """The message, where it names commands, in the viewer's own terms."""
    said = one_line(str(error))
    path = str(error.fields.get("path", ""))
    if len(path) > len(Path(path).name) > 0:
        said = said.replace(path, Path(path).name)  # the details have all of it
    if isinstance(error, SlideNotFoundError) and error.fields.get("path"):
        return (
            f"The slide's file is not at {error.fields['path']}. Use “Locate slides…” to say where."
        )
    if isinstance(error, LibraryLockedError):
        return f"Another program is writing to this library; try again later. {said}"
    if isinstance(error, LibraryNotFoundError):
        return f"There is no library there: {said}"
    if isinstance(error, MppMissingError):
        return "This file does not say how many µm a pixel is: enter it in the window that opens."
    return said


def one_line(text: str) -> str:
    """Without line breaks and doubled blanks."""
    return " ".join(text.split())
