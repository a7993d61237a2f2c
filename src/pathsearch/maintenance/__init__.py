"""The life of a library besides indexing: import, move, compact, erase, repair, merge, back up.

Every function takes an open `pathsearch.library.Library` (or a path where it cannot be
open), takes the writer's lock itself, and leaves the library whole when it is killed.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathsearch.maintenance.backup import back_up
    from pathsearch.maintenance.compaction import Compaction, compact
    from pathsearch.maintenance.encoder_check import Agreement
    from pathsearch.maintenance.erasure import Receipt, purge
    from pathsearch.maintenance.feature_plans import Given
    from pathsearch.maintenance.feature_slides import Task, find_tasks
    from pathsearch.maintenance.importing import (
        ImportEncoder,
        ImportReport,
        import_features,
    )
    from pathsearch.maintenance.merge import Merge, merge_parts
    from pathsearch.maintenance.migration import migrate
    from pathsearch.maintenance.reencoding import Reencoding, reencode_sample
    from pathsearch.maintenance.relocation import Relocation, relocate
    from pathsearch.maintenance.repairs import Repair, repair

__all__ = [
    "Agreement",
    "Compaction",
    "Given",
    "ImportEncoder",
    "ImportReport",
    "Merge",
    "Receipt",
    "Reencoding",
    "Relocation",
    "Repair",
    "Task",
    "back_up",
    "compact",
    "find_tasks",
    "import_features",
    "merge_parts",
    "migrate",
    "purge",
    "reencode_sample",
    "relocate",
    "repair",
]

_HOMES = {
    "Agreement": "encoder_check",
    "Compaction": "compaction",
    "Given": "feature_plans",
    "ImportEncoder": "importing",
    "ImportReport": "importing",
    "Task": "feature_slides",
    "find_tasks": "feature_slides",
    "import_features": "importing",
    "Merge": "merge",
    "Receipt": "erasure",
    "Reencoding": "reencoding",
    "Relocation": "relocation",
    "Repair": "repairs",
    "back_up": "backup",
    "compact": "compaction",
    "merge_parts": "merge",
    "migrate": "migration",
    "purge": "erasure",
    "reencode_sample": "reencoding",
    "relocate": "relocation",
    "repair": "repairs",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
