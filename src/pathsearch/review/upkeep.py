"""Purge, backup and check of the files of reviews."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pathsearch.errors import LibraryError
from pathsearch.review.files import Files, ReviewFile

if TYPE_CHECKING:
    from pathsearch.library import Library

ERASED = "(erased)"
#: Words of this length are looked for within texts, rather one too many; shorter ones only
#: as whole values.
_IN_TEXT = 3
#: Columns in which people write what they like.
_TEXTS = (
    ("reviews", "title"),
    ("verdicts", "label"),
    ("verdicts", "note"),
    ("collections", "name"),
    ("places", "caption"),
    ("places", "label"),
    ("exports", "target"),
)
_TABLES = ("matches", "verdicts", "places")
_EXAMPLES = ("like", "unlike")
_KEYS = ("accepted", "rejected", "shown")


def erase_from_reviews(
    library: Library, slide_ids: Sequence[str], case_ids: Sequence[str], words: Sequence[str]
) -> int:
    """Erase slides and cases from all reviews of a library, and write the files anew.

    Matches, verdicts and places on these slides go; so do examples and patches in stored
    questions; what was written by hand is blanked where it names one of the words.

    Parameters
    ----------
    library : Library
    slide_ids, case_ids : sequences of str
        Rows of these go.
    words : sequence of str
        Ids, paths and cases that may remain in no text.

    Returns
    -------
    int
        Rows that were erased or blanked.

    Raises
    ------
    LibraryError
        A file cannot be read or written; nothing more was erased then.
    """
    count = 0
    with contextlib.closing(Files(library)) as files:
        for path in files.paths():
            with contextlib.closing(ReviewFile(path, read_only=False)) as file:
                with file.transaction() as connection:
                    count += _erase(connection, set(slide_ids), set(case_ids), list(words))
                file.execute_alone("VACUUM")
    return count


def reviews_with(library: Library, words: Sequence[bytes]) -> list[str]:
    """Names of the files of reviews that hold one of some words."""
    found = []
    with contextlib.closing(Files(library)) as files:
        for path in files.paths():
            with contextlib.closing(ReviewFile(path, read_only=True)) as file:
                image = file.image()
            if any(word in image for word in words):
                found.append(f"reviews/{path.name}")
    return found


def back_up_reviews(library: Library, folder: Path) -> None:
    """Copy the library's own files of reviews into a new folder, each as of one moment."""
    with contextlib.closing(Files(library)) as files:
        ours = [path for path in files.paths() if library.path in path.parents]
        if not ours:
            return
        folder.mkdir()
        for path in ours:
            with contextlib.closing(ReviewFile(path, read_only=library.read_only)) as file:
                file.backup_to(folder / path.name)


def check_reviews(library: Library) -> list[str]:
    """What is wrong with the files of reviews, one line each; empty where they are whole."""
    found = []
    with contextlib.closing(Files(library)) as files:
        for _, file in files.all():
            try:
                lines = [row[0] for row in file.rows("PRAGMA integrity_check(3)")]
            except LibraryError as error:
                lines = [str(error)]
            if lines != ["ok"]:
                found.append(f"{file.path}: damaged ({lines[0]}); restore it from a backup.")
        return [*files.problems, *found]


def _erase(
    connection: sqlite3.Connection, slides: set[str], cases: set[str], words: list[str]
) -> int:
    # Longest first, so that no piece of a longer word is left
    words = sorted({w for w in words if w} | slides | cases, key=len, reverse=True)
    touched = _rounds_of(connection, slides, cases)
    count = 0
    for table in _TABLES:
        for slide_id in slides:
            sql = f"DELETE FROM {table} WHERE slide_id = ?"  # noqa: S608
            count += connection.execute(sql, (slide_id,)).rowcount
    for table in ("matches", "places"):
        for case in cases:
            count += connection.execute(f"DELETE FROM {table} WHERE case_id = ?", (case,)).rowcount  # noqa: S608
    for table, column in _TEXTS:
        count += _blank(connection, (table, column), lambda text: _without(text, words))
    for table in ("matches", "places"):
        count += _blank(connection, (table, "metadata"), lambda t: _clean_json(t, words))
    count += _blank(connection, ("rounds", "notes"), lambda text: _clean_json(text, words))
    for number, text in connection.execute("SELECT number, query FROM rounds").fetchall():
        clean = _clean_query(text, slides, words)
        if clean != text:
            sql = "UPDATE rounds SET query = ?, erased = 1 WHERE number = ?"
            count += connection.execute(sql, (clean, number)).rowcount
    for one in touched:
        connection.execute("UPDATE rounds SET erased = 1 WHERE round = ?", (one,))
    return count


def _rounds_of(connection: sqlite3.Connection, slides: set[str], cases: set[str]) -> set[str]:
    rows = connection.execute("SELECT DISTINCT round, slide_id, case_id FROM matches")
    return {one for one, slide, case in rows if slide in slides or case in cases}


def _blank(
    connection: sqlite3.Connection, place: tuple[str, str], clean: Callable[[str], str]
) -> int:
    table, column = place
    # `matches` has no row numbers: its metadata are changed by their text
    rows = connection.execute(f"SELECT DISTINCT {column} FROM {table}").fetchall()  # noqa: S608
    count = 0
    for (text,) in rows:
        new = clean(text)
        if new != text:
            sql = f"UPDATE {table} SET {column} = ? WHERE {column} = ?"  # noqa: S608
            count += connection.execute(sql, (new, text)).rowcount
    return count


def _names(text: str, words: Sequence[str]) -> bool:
    return any(text == word or (len(word) >= _IN_TEXT and word in text) for word in words)


def _without(text: str, words: Sequence[str]) -> str:
    return ERASED if text and _names(text, words) else text


def _clean_json(text: str, words: Sequence[str]) -> str:
    held = json.loads(text)
    clean = _clean(held, words)
    return text if clean == held else json.dumps(clean, ensure_ascii=False)


def _clean(value: Any, words: Sequence[str]) -> Any:
    """A JSON value with every text that names a word blanked."""
    if isinstance(value, str):
        return _without(value, words)
    if isinstance(value, list):
        return [_clean(item, words) for item in value]
    if isinstance(value, dict):
        return {_without(key, words): _clean(item, words) for key, item in value.items()}
    return value


def _clean_query(text: str, slides: set[str], words: Sequence[str]) -> str:
    """A stored question without examples and patches of the slides."""
    raw = json.loads(text)
    clean = dict(raw)
    for name in _EXAMPLES:
        clean[name] = [
            example
            for example in raw.get(name, [])
            if not _names(str(example.get("slide", "")), words)
            and not _names(str(example.get("image", "")), words)
        ]
    for name in _KEYS:
        clean[name] = [item for item in raw.get(name, []) if item[0] not in slides]
    if _names(clean.get("where", ""), words):
        clean["where"] = ""
    return text if clean == raw else json.dumps(clean, ensure_ascii=False)
