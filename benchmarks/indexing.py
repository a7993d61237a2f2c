"""Indexing: its pace beside its two halves alone, its growth, and the cost of a large library.

    python -m benchmarks.indexing [--only pace|growth|library] [--million]

*pace*: patches a second of a whole run, beside reading alone (r) and encoding alone (e) in the
same run. Both halves use all cores, so a pipeline that wastes nothing makes 1/(1/r + 1/e). Real
slides (`--data` or PATHSEARCH_DATA); without them, a made-up one.
*growth*: seconds and memory against the number of patches. Made-up slides of 64 px patches and
an encoder that costs next to nothing: what is measured is everything else. --million adds the
last row, which takes some minutes.
*library*: `index` over unchanged slides, `list` and opening, as commands, imports included.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

# Threads that wait by spinning take the processor away from the others; before torch comes.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from benchmarks.indexing_growth import print_growth
from benchmarks.indexing_library import print_library
from benchmarks.indexing_pace import print_pace

PARTS = ("pace", "growth", "library")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=PARTS, nargs="+", default=PARTS)
    parser.add_argument("--data", type=Path, default=os.environ.get("PATHSEARCH_DATA") or None)
    parser.add_argument("--encoder", default="", help="of the pace [default: the built-in one]")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3, help="of the pace; the best counts")
    parser.add_argument("--million", action="store_true", help="grow to 10^6 patches")
    parser.add_argument("--slides", type=int, default=10_000, help="of the large library")
    parser.add_argument("--keep", type=Path, help="make the large library here, or use it again")
    words = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pathsearch-bench-") as name:
        place = Path(name)
        if "pace" in words.only:
            data = Path(words.data) if words.data else None
            print_pace(place / "pace", data, words.encoder, words.workers, words.rounds)
        if "growth" in words.only:
            print_growth(place / "growth", million=words.million)
        if "library" in words.only:
            print_library(words.keep or place / "library", words.slides)


if __name__ == "__main__":
    main()
