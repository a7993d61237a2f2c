"""How to ask, apart from what: the form's values as a `Query`; no Qt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, Self

from pathsearch.errors import QueryError
from pathsearch.nouns import Combine, Example, Exclude, Query

#: Every slide, the one that is open, or those for which the filter holds.
Where = Literal["all", "slide", "filter"]
_CHOICES: dict[str, tuple[str, ...]] = {
    "place": ("all", "slide", "filter"),
    "exclude": ("overlap", "slide", "case"),
    "combine": ("mean", "max", "set"),
}
_RANGES: dict[str, tuple[float, float]] = {
    "k": (1, 2000),
    "per_slide": (0, 1000),
    "per_case": (0, 1000),
    "spacing": (0, 50),
    "diversity": (0, 1),
}


@dataclass(frozen=True)
class AskSettings:
    """The form.

    Attributes
    ----------
    place : {'all', 'slide', 'filter'}
    spec : str
        Magnification; empty for the library's first, 'all' for every one.
    k : int
        Matches wanted.
    exclude, combine, spacing, diversity, exact
        As in `pathsearch.Query`.
    filter : str
        `Query.where`; counts where `place` is 'filter'.
    per_slide, per_case : int
        0 for no limit.
    """

    place: Where = "all"
    spec: str = ""
    k: int = 40
    exclude: Exclude = "overlap"
    filter: str = ""
    per_slide: int = 0
    per_case: int = 0
    spacing: float = 0.0
    diversity: float = 0.0
    combine: Combine = "mean"
    exact: bool = False

    def query(
        self,
        like: Sequence[Example],
        unlike: Sequence[Example] = (),
        *,
        slide_id: str = "",
        specs: Sequence[str] = (),
    ) -> Query:
        """The question.

        Parameters
        ----------
        like, unlike : sequence of examples
        slide_id : str
            The open slide, for 'this slide only'.
        specs : sequence of str
            What the library has.

        Raises
        ------
        QueryError
            There is nothing to ask with, or no slide to stay in.
        """
        if not like:
            raise QueryError("Nothing is marked yet: draw around some tissue, or click on it.")
        return Query(
            like=tuple(like),
            unlike=tuple(unlike),
            exclude=self.exclude,
            where=self._where(slide_id),
            spec=self._spec(specs),
            k=self.k,
            per_slide=self.per_slide or None,
            per_case=self.per_case or None,
            spacing=self.spacing,
            diversity=self.diversity,
            combine=self.combine,
            exact=self.exact,
        )

    def _where(self, slide_id: str) -> str:
        if self.place == "filter":
            return self.filter
        if self.place == "all":
            return ""
        if not slide_id:
            raise QueryError("'This slide only' needs an open slide of the library.")
        return f"slide_id = {quoted(slide_id)}"

    def _spec(self, specs: Sequence[str]) -> str:
        if self.spec == "all" or self.spec in specs or not specs:
            return self.spec
        return specs[0]

    def to_json(self) -> dict[str, Any]:
        """What is remembered: no filter, which may hold names, and no single slide."""
        kept = replace(self, filter="", place="all")
        return asdict(kept)

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> Self:
        """What was remembered; a value that makes no sense is the default."""
        default, found = cls(), {}
        for field in fields(cls):
            usual = getattr(default, field.name)
            value = raw.get(field.name, usual)
            if isinstance(usual, float) and isinstance(value, int) and not isinstance(value, bool):
                value = float(value)
            good = type(value) is type(usual)
            if good and field.name in _CHOICES:
                good = value in _CHOICES[field.name]
            if good and field.name in _RANGES:
                low, high = _RANGES[field.name]
                good = low <= value <= high
            found[field.name] = value if good else usual
        return cls(**found)


def quoted(value: str) -> str:
    """A value for the filter language.

    Raises
    ------
    QueryError
        It holds both kinds of quotes.
    """
    for mark in "\"'":
        if mark not in value:
            return f"{mark}{value}{mark}"
    raise QueryError(f"{value}: a name with both kinds of quotes cannot be used in a filter.")
