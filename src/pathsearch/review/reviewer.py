"""Who is judging: asked once, kept in the user's own settings, never in a library."""

from __future__ import annotations

import json

from pathsearch.errors import ReviewError
from pathsearch.library.durable import write_file
from pathsearch.library.roots import SETTINGS_VARIABLE, settings_file

_LONGEST = 100


def reviewer_name() -> str:
    """The name under which this user judges; empty where none was given."""
    path = settings_file().with_name("reviewer.json")
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ReviewError(
            f"{path}: cannot be read ({reason}); mend or delete it.", path=str(path)
        ) from None
    name = raw.get("name", "") if isinstance(raw, dict) else ""
    return checked_name(name) if isinstance(name, str) else ""


def set_reviewer_name(name: str) -> None:
    """Remember the name for all libraries; empty forgets it.

    Raises
    ------
    ReviewError
        The settings cannot be written, or the name is longer than 100 characters.
    """
    path = settings_file().with_name("reviewer.json")
    text = json.dumps({"name": checked_name(name)}, ensure_ascii=False) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, text.encode("utf-8"))
    except OSError as error:
        raise ReviewError(
            f"{path}: the name cannot be saved ({error.strerror}); set {SETTINGS_VARIABLE} to a "
            "folder that can be written.",
            path=str(path),
        ) from error


def checked_name(name: str) -> str:
    """The name on one line, without blanks at its ends."""
    clean = " ".join(name.split())
    if len(clean) > _LONGEST:
        raise ReviewError(f"a reviewer's name has at most {_LONGEST} characters.")
    return clean
