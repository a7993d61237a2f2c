"""The life of a library after indexing: move, compact, erase, repair, merge, back up.

Every function takes an open `pathsearch.library.Library` (or a path where it cannot be
open), takes the writer's lock itself, and leaves the library whole when it is killed.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathsearch.maintenance.backup import back_up
    from pathsearch.maintenance.compaction import Compaction, compact
    from pathsearch.maintenance.erasure import Receipt, purge
    from pathsearch.maintenance.merge import Merge, merge_parts
    from pathsearch.maintenance.migration import migrate
    from pathsearch.maintenance.relocation import Relocation, relocate
    from pathsearch.maintenance.repairs import Repair, repair

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
    "Compaction": "compaction",
    "Merge": "merge",
    "Receipt": "erasure",
    "Relocation": "relocation",
    "Repair": "repairs",
    "back_up": "backup",
    "compact": "compaction",
    "merge_parts": "merge",
    "migrate": "migration",
    "purge": "erasure",
    "relocate": "relocation",
    "repair": "repairs",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
