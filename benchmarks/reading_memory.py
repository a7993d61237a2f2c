"""Peak memory on a made-up slide of 100,000 x 100,000 pixels without a pyramid."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.big_slide import write_repeated_tile

SIDE = 100_000

#: Each runs in a fresh interpreter and prints its growth and its seconds.
_PROGRAM = """
import sys, threading, time
import numpy as np
from benchmarks.reading_memory import peak_bytes
import openslide, simplejpeg, tifffile, imagecodecs
from PIL import Image
from pathsearch.slides import open_slide, stream_patches
before = peak_bytes()
start = time.perf_counter()
count = 0
with open_slide(sys.argv[1]) as slide:
    rows = range(0, int(sys.argv[4]) * int(sys.argv[3]) * 224, int(sys.argv[3]) * 224)
    if sys.argv[2] == "overview":
        count = slide.read(0, 0, 2000, 2000, slide.mpp * 50).shape[0]
    else:
        step = int(sys.argv[3]) * 224
        xy = np.array([(x, y) for y in rows for x in range(0, 100_000 - step, step)])
        for batch in stream_patches(slide, xy, 224, slide.mpp * int(sys.argv[3]), threads=2):
            count += len(batch.ok)
print(peak_bytes() - before, before, count, time.perf_counter() - start)
"""


def peak_bytes() -> int:
    """The most memory that this process has held so far."""
    if sys.platform == "win32":
        import ctypes
        from ctypes import wintypes

        class Counters(ctypes.Structure):
            _fields_ = (
                ("cb", wintypes.DWORD),
                ("PageFaultCount", wintypes.DWORD),
                *((name, ctypes.c_size_t) for name in ("Peak", "Now", *"abcdef")),
            )

        counters = Counters()
        counters.cb = ctypes.sizeof(counters)
        process = ctypes.windll.kernel32.GetCurrentProcess()
        ctypes.windll.psapi.GetProcessMemoryInfo(process, ctypes.byref(counters), counters.cb)
        return int(counters.Peak)
    status = Path("/proc/self/status")
    if status.exists():  # Linux: what `resource` says there is inherited from the parent
        line = next(line for line in status.read_text().splitlines() if "VmHWM" in line)
        return int(line.split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts bytes


def print_memory(folder: Path) -> None:
    """Write the slide and read it in several ways."""
    path = write_repeated_tile(folder / "big.tiff", SIDE)
    print(f"\nmade-up slide of {SIDE:,} x {SIDE:,}, one level, 2 threads")
    print(f"  {'':38} {'peak over imports':>18} {'seconds':>8}")
    cases = [
        ("10 rows of patches at the finest mpp", "stream", 1, 10),
        ("10 rows of patches at 2x", "stream", 2, 10),
        ("5 rows of patches at 3x", "stream", 3, 5),
        ("3 rows of patches at 20x", "stream", 20, 3),
        ("the whole as 2,000 x 2,000", "overview", 50, 0),
    ]
    for name, kind, factor, rows in cases:
        command = [sys.executable, "-c", _PROGRAM, str(path), kind, str(factor), str(rows)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"  {name:38} failed: {done.stderr.strip().splitlines()[-1]}")
            continue
        growth, _, _, seconds = (float(value) for value in done.stdout.split())
        print(f"  {name:38} {growth / 2**20:14.0f} MiB {seconds:8.1f}")
