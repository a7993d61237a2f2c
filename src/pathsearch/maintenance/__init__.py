"""The life of a library after indexing: move, compact, erase, repair, merge, back up.

Every function takes an open `pathsearch.library.Library` (or a path where it cannot be
open), takes the writer's lock itself, and leaves the library whole when it is killed.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathsearch.maintenance.backup import back_up
    from pathsearch.maintenance.compact import Compaction, compact
    from pathsearch.maintenance.merge import Merge, merge_parts
    from pathsearch.maintenance.migrate import migrate
    from pathsearch.maintenance.purge import Receipt, purge
    from pathsearch.maintenance.relocate import Relocation, relocate
    from pathsearch.maintenance.repair import Repair, repair

__all__ = [
    "Compaction",
    "Merge",
    "Receipt",
    "Relocation",
    "Repair",
    "back_up",
    "compact",
    "merge_parts",
    "migrate",
    "purge",
    "relocate",
    "repair",
]

_HOMES = {
    "Compaction": "compact",
    "Merge": "merge",
    "Receipt": "purge",
    "Relocation": "relocate",
    "Repair": "repair",
    "back_up": "backup",
    "merge_parts": "merge",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # A module and its function may share a name: the function is what is meant.
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES.get(name, name)}"), name)
    globals()[name] = value
    return value
