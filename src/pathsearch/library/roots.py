"""Where the slides of a library are on this machine.

A library names its roots and remembers where they were. Another machine maps them in
the user's own settings, so that a colleague's library is never changed by it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path, PurePosixPath

from pathsearch.errors import ConfigError, LibraryError
from pathsearch.library.durable import write_file

#: Environment variable that names another folder for the user's settings.
SETTINGS_VARIABLE = "PATHSEARCH_CONFIG_DIR"


def settings_file() -> Path:
    """The file of mappings: the user's own, never in a library."""
    named = os.environ.get(SETTINGS_VARIABLE)
    if named:
        return Path(named) / "roots.json"
    import platformdirs

    return platformdirs.user_config_path("pathsearch", appauthor=False) / "roots.json"


def mapped_roots(library_id: str) -> dict[str, str]:
    """Root name to folder on this machine, for one library."""
    return _read().get(library_id, {})


def map_root(library_id: str, name: str, folder: Path | None) -> None:
    """Remember where a root is on this machine; None forgets it."""
    everything = _read()
    mine = dict(everything.get(library_id, {}))
    mine.pop(name, None)
    if folder is not None:
        mine[name] = str(folder.absolute())
    everything[library_id] = mine
    if not mine:
        del everything[library_id]
    path = settings_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(everything, indent=2, ensure_ascii=False) + "\n"
        write_file(path, text.encode("utf-8", "surrogatepass"))
    except OSError as error:
        raise LibraryError(
            f"{path}: the mapping cannot be saved ({error.strerror}); set {SETTINGS_VARIABLE} "
            "to a folder that can be written.",
            path=str(path),
        ) from error


def _read() -> dict[str, dict[str, str]]:
    path = settings_file()
    try:
        raw = json.loads(path.read_text(encoding="utf-8", errors="surrogatepass"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(
            f"{path}: cannot be read ({reason}); mend or delete it.", path=str(path)
        ) from None
    if not isinstance(raw, dict) or not all(isinstance(v, dict) for v in raw.values()):
        raise ConfigError(f"{path}: is not a table of roots; mend or delete it.", path=str(path))
    return raw


def join(folder: str | Path, relative: str) -> Path:
    """A slide's place below a root."""
    return Path(folder).joinpath(*PurePosixPath(relative).parts)


def relative_to(path: Path, folder: str | Path) -> str | None:
    """`path` below `folder` in POSIX form; None where it is not below it."""
    try:
        return path.relative_to(folder).as_posix()
    except ValueError:
        return None
