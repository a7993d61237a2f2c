"""A process that holds a library's lock: `lock_child.py LIBRARY SECONDS`."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from pathsearch.library import Library

if __name__ == "__main__":
    with Library.open(Path(sys.argv[1])) as library, library.writer(wait=30):
        sys.stdout.write("held\n")
        sys.stdout.flush()
        time.sleep(float(sys.argv[2]))
