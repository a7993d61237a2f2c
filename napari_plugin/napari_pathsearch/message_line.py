"""The line at the bottom of the panel: what happened, what to do, details on demand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QApplication,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QProgressBar,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

if TYPE_CHECKING:
    from napari_pathsearch.session import Session
    from napari_pathsearch.words import Message

_SIGNS = {"info": "", "warning": "⚠ ", "error": "✕ "}


class MessageLine(QWidget):
    """Shows the session's messages, the last one, and whether it works.

    Parameters
    ----------
    session : Session
    parent : QWidget, optional
    """

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.label = QLabel("", self)
        self.label.setWordWrap(True)
        self.label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.label.setAccessibleName("Last message")
        self._more = QToolButton(self)
        self._more.setText("Details")
        self._more.setCheckable(True)
        self._more.setToolTip("What exactly went wrong; for whoever helps you")
        self._more.toggled.connect(self._unfold)
        self._copy = QToolButton(self)
        self._copy.setText("Copy")
        self._copy.setToolTip("Copy the details")
        self._details = details = QPlainTextEdit(self)
        self._copy.clicked.connect(lambda: QApplication.clipboard().setText(details.toPlainText()))
        self._details.setReadOnly(True)
        self._details.setMaximumHeight(180)
        self._bar = QProgressBar(self)
        self._bar.setRange(0, 0)
        self._bar.setTextVisible(False)
        self._bar.setMaximumHeight(4)
        row = QHBoxLayout()
        row.addWidget(self.label, 1)
        row.addWidget(self._more)
        row.addWidget(self._copy)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._bar)
        layout.addLayout(row)
        layout.addWidget(self._details)
        self._show_details("")
        self._bar.setVisible(False)
        session.said.connect(self.show_message)
        session.busy_changed.connect(lambda count: self._bar.setVisible(count > 0))

    def show_message(self, message: Message) -> None:
        """Show a message in the place of the last one."""
        self.label.setText(_SIGNS[message.kind] + message.line)
        self._show_details(message.details)

    def _show_details(self, text: str) -> None:
        self._details.setPlainText(text)
        self._more.setChecked(False)
        self._more.setVisible(bool(text))
        self._unfold(False)

    def unfold(self) -> None:
        """Show the details, if there are any."""
        self._more.setChecked(self._more.isVisibleTo(self))

    def _unfold(self, unfolded: bool) -> None:
        self._details.setVisible(unfolded)
        self._copy.setVisible(unfolded)
