"""How the cores are shared out: the one place that says how many threads there are.

Encoding uses all cores, whatever the number of reading processes: the number of threads may
change the last bit of a sum, and a library must not depend on how it was made. Decoding uses
all cores too, divided over the reading processes: it runs ahead until its buffers are full and
then waits, so that encoding has the cores. Threads that wait must not spin: see
`CHILD_ENVIRONMENT`, and OMP_WAIT_POLICY, which the command line sets before anything is
imported.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from pathsearch.config import IndexSettings

#: For processes that read slides: none of the libraries there gains from threads of its own.
CHILD_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
}
#: More readers than this were never quicker where reading and encoding share the cores.
_MOST_WORKERS = 4


def cores() -> int:
    """Cores that this process may use: of a batch system, those of the job."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def workers(settings: IndexSettings) -> int:
    """Slides that are read at once; of a choice left open, a reader for each two cores."""
    return settings.workers or max(1, min(_MOST_WORKERS, cores() // 2))


def decoders(settings: IndexSettings) -> int:
    """Decoding threads of each reader, at least 1."""
    return max(1, -(-(settings.threads or cores()) // workers(settings)))


@contextmanager
def encoding_threads() -> Iterator[None]:
    """Within it torch uses the cores of this process; afterwards as many as before."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(cores())
    try:
        yield
    finally:
        torch.set_num_threads(before)
