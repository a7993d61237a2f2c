"""All benchmarks, one after the other: `python -m benchmarks [name...]`.

Each runs in a process of its own, so that none is slowed by what another left behind.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
_IS_ONE = re.compile(r'^if __name__ == "__main__":', re.MULTILINE)


def found() -> list[str]:
    """Names of the benchmarks in this folder: what can be run by itself."""
    return sorted(
        path.stem
        for path in HERE.glob("*.py")
        if not path.stem.startswith("_") and _IS_ONE.search(path.read_text(encoding="utf-8"))
    )


def main() -> int:
    """Run the named benchmarks, or all; the number of those that failed."""
    names = sys.argv[1:] or found()
    unknown = sorted(set(names) - set(found()))
    if unknown:
        print(f"No benchmark {', '.join(unknown)}; there are: {', '.join(found())}.")
        return 2
    failed = []
    for name in names:
        print(f"\n=== {name}", flush=True)
        start = time.perf_counter()
        done = subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False)
        print(f"--- {name}: {time.perf_counter() - start:.0f} s", flush=True)
        if done.returncode:
            failed.append(name)
    if failed:
        print(f"Failed: {', '.join(failed)}.")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
