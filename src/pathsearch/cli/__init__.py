"""The command line: parse, call, print. stdout is data, stderr is talk.

Exit status: 0 done, 1 failed, 2 wrong usage, 3 done but some slides failed,
130 interrupted.
"""

from __future__ import annotations

from pathsearch.cli.main import main

__all__ = ["main"]
