"""Filters over the catalog's columns: a small language, parsed by hand, never evaluated as code.

::

    organ = lung and (age >= 50 or stage in (II, III)) and not scanner ~ hamamatsu

Columns are ``slide_id``, ``case_id``, ``vendor``, ``scanner``, ``objective``, ``mpp`` and the
manifest's own. ``=`` and ``!=`` compare numbers as numbers and words without regard to case;
``~`` asks whether the value contains the word; ``<  <=  >  >=`` need numbers; ``in`` takes a
list. A word with blanks or signs goes in quotes. A slide that lacks a column fails every
comparison with it but ``!=``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pathsearch.errors import QueryError

Row = Mapping[str, Any]
Test = Callable[[Row], bool]

_TOKEN = re.compile(
    r"""\s*(?: (?P<string>"[^"]*"|'[^']*')
             | (?P<op><=|>=|!=|==|[=<>~(),])
             | (?P<word>[^\s"'=<>~!(),]+) )""",
    re.VERBOSE,
)
_WORDS = ("and", "or", "not", "in")
_MAX_LENGTH = 4000
_MAX_DEPTH = 50


@dataclass(frozen=True)
class _Token:
    kind: str  # string, op, word, end
    text: str
    at: int


def parse_where(text: str, columns: Iterable[str]) -> Test:
    """A filter as a function of a slide's row.

    Parameters
    ----------
    text : str
        Empty allows every slide.
    columns : iterable of str
        Names that may be used.

    Returns
    -------
    callable
        Takes a mapping from column to value (absent where unknown) and tells whether the
        slide is allowed.

    Raises
    ------
    QueryError
        The text does not parse, or names a column that is not there; the message says where.
    """
    if not text.strip():
        return lambda _: True
    if len(text) > _MAX_LENGTH:
        raise QueryError(f"the filter is longer than {_MAX_LENGTH} characters.")
    return _Parser(text, frozenset(columns)).parse()


class _Parser:
    """Recursive descent: or < and < not < comparison."""

    def __init__(self, text: str, columns: frozenset[str]) -> None:
        self._text = text
        self._columns = columns
        self._tokens = _tokens(text)
        self._at = 0
        self._depth = 0

    def parse(self) -> Test:
        test = self._either()
        if self._peek().kind != "end":
            raise self._wrong(f"did not expect '{self._peek().text}'")
        return test

    def _either(self) -> Test:
        tests = [self._both()]
        while self._take_word("or"):
            tests.append(self._both())
        return tests[0] if len(tests) == 1 else lambda row: any(test(row) for test in tests)

    def _both(self) -> Test:
        tests = [self._negation()]
        while self._take_word("and"):
            tests.append(self._negation())
        return tests[0] if len(tests) == 1 else lambda row: all(test(row) for test in tests)

    def _negation(self) -> Test:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise self._wrong("is nested too deeply")
        try:
            if self._take_word("not"):
                test = self._negation()
                return lambda row: not test(row)
            if self._take_op("("):
                inside = self._either()
                self._need(")")
                return inside
            return self._comparison()
        finally:
            self._depth -= 1

    def _comparison(self) -> Test:
        column = self._column()
        if self._take_word("in"):
            return _one_of(column, self._values())
        token = self._peek()
        if token.kind != "op" or token.text in "(),":
            raise self._wrong(f"expected =, !=, <, <=, >, >=, ~ or in after '{column}'")
        self._at += 1
        value = self._value()
        if token.text in ("=", "=="):
            return _one_of(column, [value])
        if token.text == "!=":
            same = _one_of(column, [value])
            return lambda row: not same(row)
        if token.text == "~":
            return lambda row: value.casefold() in str(row.get(column, "")).casefold()
        return self._ordered(column, token, value)

    def _ordered(self, column: str, token: _Token, value: str) -> Test:
        limit = _as_number(value)
        if limit is None:
            raise self._wrong(f"'{token.text}' needs a number, got '{value}'")
        compare = _ORDER[token.text]

        def test(row: Row) -> bool:
            have = _as_number(row.get(column))
            return have is not None and compare(have, limit)

        return test

    def _column(self) -> str:
        token = self._peek()
        if token.kind not in ("word", "string") or token.text.casefold() in _WORDS:
            raise self._wrong("expected a column's name")
        self._at += 1
        name = _unquoted(token)
        if name not in self._columns:
            known = ", ".join(sorted(self._columns))
            raise QueryError(f"the filter names '{name}', which is no column here ({known}).")
        return name

    def _values(self) -> list[str]:
        self._need("(")
        values = [self._value()]
        while self._take_op(","):
            values.append(self._value())
        self._need(")")
        return values

    def _value(self) -> str:
        token = self._peek()
        if token.kind not in ("word", "string"):
            raise self._wrong("expected a value (put it in quotes if it has signs)")
        self._at += 1
        return _unquoted(token)

    def _peek(self) -> _Token:
        return self._tokens[self._at]

    def _take_word(self, word: str) -> bool:
        token = self._peek()
        hit = token.kind == "word" and token.text.casefold() == word
        self._at += hit
        return hit

    def _take_op(self, text: str) -> bool:
        token = self._peek()
        hit = token.kind == "op" and token.text == text
        self._at += hit
        return hit

    def _need(self, text: str) -> None:
        if not self._take_op(text):
            raise self._wrong(f"expected '{text}'")

    def _wrong(self, what: str) -> QueryError:
        token = self._peek()
        near = self._text[token.at : token.at + 20].strip() or "the end"
        return QueryError(f"the filter '{self._text}' {what} at '{near}'.")


_ORDER: dict[str, Callable[[float, float], bool]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def _tokens(text: str) -> list[_Token]:
    tokens, at = [], 0
    stripped = text.rstrip()
    while at < len(stripped):
        match = _TOKEN.match(stripped, at)
        if match is None or match.lastgroup is None:
            raise QueryError(
                f"the filter '{text}' cannot be read at '{text[at : at + 20].strip()}'."
            )
        tokens.append(_Token(match.lastgroup, match.group(match.lastgroup), match.start()))
        at = match.end()
    return [*tokens, _Token("end", "", len(text))]


def _unquoted(token: _Token) -> str:
    return token.text[1:-1] if token.kind == "string" else token.text


def _as_number(value: Any) -> float | None:
    if value is None or isinstance(value, bool):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _one_of(column: str, values: list[str]) -> Test:
    words = {value.casefold() for value in values}
    numbers = {number for number in map(_as_number, values) if number is not None}

    def test(row: Row) -> bool:
        have = row.get(column)
        if have is None or have == "":
            return False
        if not isinstance(have, str):
            return _as_number(have) in numbers
        return have.casefold() in words

    return test
