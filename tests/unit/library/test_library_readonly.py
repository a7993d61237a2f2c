"""A folder that cannot be written: it opens, and nothing of it is changed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from library_cases import put, slide

from pathsearch.errors import LibraryReadOnlyError
from pathsearch.library import Library
from pathsearch.library.catalog import Catalog

#: Opens a library as a user who may not write it, and says what was found.
LOOK = """
import os, sys
from pathsearch.library import Library
with Library.open(sys.argv[1], read_only=True) as library:
    library.verify()  # everything is imported while we still may read the interpreter
if os.getuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
with Library.open(sys.argv[1]) as library:
    rows = [len(library.read_segment(s)) for s in library.segments()]
    print(library.read_only, [s.slide_id for s in library.slides()], rows, len(library.verify()))
try:
    Library.open(sys.argv[1], read_only=False)
except Exception as error:
    print(type(error).__name__)
"""


@pytest.mark.skipif(os.name == "nt", reason="permissions are set the POSIX way")
def test_a_folder_without_write_permission(library: Library, tmp_path: Path) -> None:
    with library.writer() as writer:
        put(writer, slide("s"), 7)
    files = [library.path, *library.path.rglob("*")]
    for path in files:
        path.chmod(0o555 if path.is_dir() else 0o444)
    for parent in library.path.parents[:3]:
        parent.chmod(0o755)
    before = {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in files}
    try:
        command = [sys.executable, "-c", LOOK, str(library.path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    finally:
        for path in files:
            path.chmod(0o755)
    assert done.stdout.splitlines() == ["True ['s'] [7] 0", "LibraryReadOnlyError"], done.stderr
    assert {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in files} == before


def test_a_writer_is_refused(library: Library) -> None:
    opened = Library.open(library.path, read_only=True)
    with opened, pytest.raises(LibraryReadOnlyError, match="copy it"):
        opened.writer()


def test_without_locks_the_file_is_taken_as_it_is(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file system on which SQLite cannot lock: immutable=1 reads all the same."""
    import sqlite3

    from pathsearch.library import database as room

    with library.writer() as writer:
        put(writer, slide("s"))
    tried = []
    real = room.connect

    def connect(path: Path, mode: str) -> sqlite3.Connection:
        tried.append(mode)
        if mode == "mode=ro":
            raise sqlite3.OperationalError("unable to open database file")
        return real(path, mode)

    monkeypatch.setattr(room, "connect", connect)
    with Library.open(library.path, read_only=True) as opened:
        assert [s.slide_id for s in opened.slides()] == ["s"]
    assert tried == ["mode=ro", "immutable=1"]


#: Dies in the middle of a transaction, with half of it on the disk already.
DIE = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA cache_size = 1")
connection.execute("PRAGMA cache_spill = 1")
connection.execute("BEGIN IMMEDIATE")
connection.execute("UPDATE slides SET case_id = 'half-changed'")
for n in range(3000):
    connection.execute("INSERT INTO log VALUES (1, 'now', 's', ?)", ("x" * 200,))
assert os.path.getsize(sys.argv[1] + "-journal") > 0
os._exit(9)
"""


@pytest.mark.parametrize("read_only", [True, False])
def test_a_transaction_that_was_cut_off_is_undone(library: Library, read_only: bool) -> None:
    """Read-only it is undone in a copy: ignoring the journal would show half of it."""
    with library.writer() as writer:
        writer.start_run("index")
        for number in range(300):
            writer.put_slide(slide(f"s{number:03}", metadata={"note": "y" * 300}))
    place = library.path
    library.close()
    done = subprocess.run([sys.executable, "-c", DIE, str(place / "catalog.db")], check=False)
    assert done.returncode == 9
    journal = place / "catalog.db-journal"
    assert journal.stat().st_size > 0
    half = place / "catalog.db"
    assert b"half-changed" in half.read_bytes()  # the danger is real
    catalog = Catalog(half, read_only=read_only)
    assert {s.case_id for s in catalog.slides()} == {""}
    assert catalog.log(1) == []
    catalog.close()
    assert journal.exists() is read_only  # nothing is changed where nothing may be
