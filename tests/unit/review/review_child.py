"""A reviewer in a process of its own: writes verdicts, or dies in the middle of one."""

from __future__ import annotations

import itertools
import os
import signal
import sys

import review_cases as cases

from pathsearch.library import Library
from pathsearch.review import Reviews


def main(mode, path, review, who, count):
    with Library.open(path) as library, Reviews(library, reviewer=who) as reviews:
        if mode == "judge":
            sys.stdout.write("ready\n")
            sys.stdout.flush()
            sys.stdin.readline()
            for number in range(int(count)):
                reviews.judge(review, cases.key(number), "accept", note=f"{who} {number}")
            return
        if mode == "endless":
            for number in itertools.count():
                reviews.judge(review, cases.key(number), "accept", note=f"{who} {number}")
                sys.stdout.write(f"{number}\n")
                sys.stdout.flush()
        for number in range(int(count)):
            reviews.judge(review, cases.key(number), "accept", note=f"{who} {number}")
        file = reviews.files.own()
        with file.appending() as (connection, at):
            # Let half of the transaction reach the disk, as a full memory would
            connection.execute("PRAGMA cache_size = 1")
            connection.execute("PRAGMA cache_spill = 1")
            for number in range(5000):
                row = (None, f"{who}-{number}", review, at, who, "a1", "s", 0, 0, "reject", "",
                       "half " * 20, 0, "")  # fmt: skip
                connection.execute(f"INSERT INTO verdicts VALUES ({', '.join('?' * 14)})", row)
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(*sys.argv[1:])
