"""What the viewer remembers between sessions: a small JSON file of the user's own; no Qt.

It never holds a slide's or a case's name. A file that cannot be read or written is no reason
to stop: then the defaults hold.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

from pathsearch.library.roots import SETTINGS_VARIABLE


def settings_file() -> Path:
    """The file: beside pathsearch's own settings."""
    named = os.environ.get(SETTINGS_VARIABLE)
    if named:
        return Path(named) / "viewer.json"
    import platformdirs

    return platformdirs.user_config_path("pathsearch", appauthor=False) / "viewer.json"


def recall(name: str, default: Any) -> Any:
    """What was remembered under a name, if it is of the default's type; else the default."""
    value = _read().get(name, default)
    return value if isinstance(value, type(default)) else default


def remember(name: str, value: Any) -> None:
    """Keep a JSON value under a name."""
    everything = _read()
    everything[name] = value
    path = settings_file()
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.{os.getpid()}.part")
        partial.write_text(json.dumps(everything, indent=2), encoding="utf-8")
        partial.replace(path)


def _read() -> dict[str, Any]:
    try:
        raw = json.loads(settings_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return raw if isinstance(raw, dict) else {}
