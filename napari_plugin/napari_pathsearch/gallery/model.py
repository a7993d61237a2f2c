"""The matches as a Qt model: rows in the user's order, verdicts, and what a card says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qtpy.QtCore import QAbstractListModel, QModelIndex, QObject, Qt

from napari_pathsearch.gallery.arrange import Heading, Order, Row, rows
from pathsearch.nouns import Match, PatchKey

RowRole = int(Qt.ItemDataRole.UserRole) + 1
VerdictRole = RowRole + 1
NoteRole = RowRole + 2
_SAID = int(Qt.ItemDataRole.DisplayRole)

_NOWHERE = QModelIndex()


class GalleryModel(QAbstractListModel):
    """Matches, arranged; headings between groups are rows that cannot be chosen."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._matches: tuple[Match, ...] = ()
        self._rows: list[Row] = []
        self._row_of: dict[PatchKey, int] = {}
        self._order = Order()
        self._verdicts: dict[PatchKey, str] = {}
        self._notes: dict[PatchKey, str] = {}

    # ------------------------------------------------------------------ what is shown

    @property
    def matches(self) -> tuple[Match, ...]:
        """All matches, best first."""
        return self._matches

    @property
    def order(self) -> Order:
        """How they are arranged."""
        return self._order

    def shown(self) -> list[Match]:
        """The matches in the order of the rows."""
        return [row for row in self._rows if isinstance(row, Match)]

    def show(self, matches: Sequence[Match]) -> None:
        """Replace everything."""
        self.beginResetModel()
        self._matches = tuple(matches)
        self._arrange()
        self.endResetModel()

    def append(self, matches: Sequence[Match]) -> None:
        """Add matches behind those there; ones that are there already are passed over.

        Where the order is that of the ranks, the rows before stay untouched.
        """
        fresh = tuple(m for m in matches if m.key not in self._row_of)
        if not fresh:
            return
        if self._order == Order():
            first = len(self._rows)
            self.beginInsertRows(_NOWHERE, first, first + len(fresh) - 1)
            self._matches += fresh
            self._arrange()
            self.endInsertRows()
        else:
            self.show(self._matches + fresh)

    def set_order(self, order: Order) -> None:
        """Arrange anew."""
        if order != self._order:
            self.beginResetModel()
            self._order = order
            self._arrange()
            self.endResetModel()

    def set_verdicts(self, verdicts: Mapping[PatchKey, str], notes: Mapping[PatchKey, str]) -> None:
        """Show verdicts and notes; rows stay where they are until they are arranged anew."""
        changed = {
            key
            for key in self._row_of
            if verdicts.get(key, "") != self._verdicts.get(key, "")
            or notes.get(key, "") != self._notes.get(key, "")
        }
        self._verdicts, self._notes = dict(verdicts), dict(notes)
        for key in changed:
            where = self.index(self._row_of[key])
            self.dataChanged.emit(where, where, [VerdictRole, NoteRole])

    def index_of(self, key: PatchKey) -> QModelIndex:
        """Where a match is; invalid where it is not shown."""
        row = self._row_of.get(key)
        return QModelIndex() if row is None else self.index(row)

    def _arrange(self) -> None:
        self._rows = rows(self._matches, self._order, lambda key: self._verdicts.get(key, ""))
        self._row_of = {
            row.key: number for number, row in enumerate(self._rows) if isinstance(row, Match)
        }

    # ------------------------------------------------------------------ Qt

    def rowCount(self, parent: QModelIndex = _NOWHERE) -> int:  # noqa: N802
        """Matches and headings."""
        return 0 if parent.isValid() else len(self._rows)

    def data(self, index: QModelIndex, role: int = _SAID) -> Any:
        """A row (`RowRole`), its verdict and its note; the display text is for screen readers."""
        if not index.isValid() or index.row() >= len(self._rows):
            return None
        row = self._rows[index.row()]
        if role == RowRole:
            return row
        if isinstance(row, Heading):
            return f"{row.text}: {row.count}" if role == _SAID else None
        verdict = self._verdicts.get(row.key, "")
        said = f"match {row.rank}" + (f", {verdict}" if verdict else "")
        values = {VerdictRole: verdict, NoteRole: self._notes.get(row.key, ""), _SAID: said}
        return values.get(role)

    def flags(self, index: QModelIndex) -> Qt.ItemFlag:
        """Headings can be seen but not chosen."""
        if index.isValid() and isinstance(self._rows[index.row()], Heading):
            return Qt.ItemFlag.ItemIsEnabled
        return Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
