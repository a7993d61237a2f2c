"""What is asked of who judges: a note on a match, a name. Dialogs that never block."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QInputDialog, QWidget

from pathsearch.nouns import PatchKey

if TYPE_CHECKING:
    from napari_pathsearch.finder import Finder


def ask_note(finder: Finder, key: PatchKey, parent: QWidget) -> QInputDialog:
    """Ask for a note on a match."""
    book = finder.book
    dialog = _dialog(parent, "Note", "What should be remembered of this match?")
    dialog.setOption(QInputDialog.InputDialogOption.UsePlainTextEditForTextInput)
    dialog.setTextValue(book.notes().get(key, ""))
    dialog.textValueSelected.connect(lambda text: book.note(key, text))
    dialog.open()
    return dialog


def ask_reviewer(finder: Finder, parent: QWidget) -> QInputDialog:
    """Ask under which name verdicts are kept from now on."""
    from pathsearch.errors import PathsearchError
    from pathsearch.review import reviewer_name, set_reviewer_name

    dialog = _dialog(
        parent, "Your name", "Verdicts are kept under this name; empty keeps them unnamed."
    )
    dialog.setTextValue(reviewer_name())

    def given(name: str) -> None:
        try:
            set_reviewer_name(name)
        except PathsearchError as error:
            finder.session.say(error)
            return
        finder.book.call_reviewer(reviewer_name())
        finder.session.say(
            f"Verdicts are kept under the name {name}." if name else "Verdicts are unnamed."
        )

    dialog.textValueSelected.connect(given)
    dialog.open()
    return dialog


def _dialog(parent: QWidget, title: str, label: str) -> QInputDialog:
    dialog = QInputDialog(parent)
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.setWindowTitle(title)
    dialog.setLabelText(label)
    return dialog
