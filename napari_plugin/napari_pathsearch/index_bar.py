"""Indexing that goes on beside the work: how far it is, pause, go on."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_pathsearch.command_run import CommandRun
from napari_pathsearch.index_run import Order, time_in_words

if TYPE_CHECKING:
    from napari_pathsearch.session import Session

#: How often the folder is looked for until the library is there, ms.
_LOOK_MS = 500


class IndexBar(QWidget):
    """Shown while slides are being indexed, or a run is paused.

    Parameters
    ----------
    session : Session
    parent : QWidget, optional
    """

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.run: CommandRun | None = None
        self.order: Order | None = None
        self._expected = 0
        self._before = 0
        self._began = 0.0
        self.label = QLabel("", self)
        self.label.setWordWrap(True)
        self._progress = QProgressBar(self)
        self._progress.setMaximumHeight(8)
        self._progress.setTextVisible(False)
        self.button = QPushButton("Pause", self)
        self.button.clicked.connect(self._pressed)
        row = QHBoxLayout()
        row.addWidget(self.label, 1)
        row.addWidget(self.button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row)
        layout.addWidget(self._progress)
        self._look = QTimer(self)
        self._look.setInterval(_LOOK_MS)
        self._look.timeout.connect(self._open_when_there)
        session.slides_changed.connect(self._show)
        session.closing.connect(self.end)
        self.hide()

    @property
    def running(self) -> bool:
        """Whether slides are being indexed now."""
        return self.run is not None and self.run.running

    def begin(self, order: Order, expected: int) -> None:
        """Index; the library opens as soon as it is there, and can be searched meanwhile.

        Parameters
        ----------
        order : Order
        expected : int
            Slides that have to be read, for the bar; 0 where that is not known.
        """
        self._expected = expected
        self._before = self._settled() if self._is_open(order.library) else 0
        self._began = time.monotonic()
        self.order = order
        self.run = CommandRun(order.words(), self)
        self.run.finished.connect(self._finished)
        self.run.stopped.connect(self._stopped)
        self.run.failed.connect(self._failed)
        self.run.start()
        self.button.setText("Pause")
        self.button.setEnabled(True)
        self.button.setToolTip("Stop after what is kept; going on begins where it was")
        self.show()
        self._show()
        self._look.start()

    def end(self) -> None:
        """Stop, when the viewer closes."""
        self._look.stop()
        if self.run is not None:
            self.run.end()

    def _is_open(self, path: Path) -> bool:
        library = self._session.library
        return library is not None and library.path == path.absolute()

    def _settled(self) -> int:
        return len(self._session.slides)

    def _open_when_there(self) -> None:
        assert self.order is not None
        path = self.order.library
        if self._is_open(path):
            self._look.stop()
        elif (path / "catalog.db").exists() and not self._session.running:
            self._session.open_library(path)

    def _show(self) -> None:
        if not self.running:
            return
        assert self.order is not None
        done = self._settled() - self._before if self._is_open(self.order.library) else 0
        self._progress.setRange(0, self._expected)  # without a number: it only moves
        self._progress.setValue(min(done, self._expected))
        words = f"Indexing: {done:,}"
        if self._expected:
            words += f" of {self._expected:,}"
        words += " slides. You can search meanwhile."
        if 0 < done < self._expected:
            left = (time.monotonic() - self._began) / done * (self._expected - done)
            words += f" About {time_in_words(left)} left."
        self.label.setText(words)

    def _pressed(self) -> None:
        assert self.run is not None
        assert self.order is not None
        if self.running:
            self.button.setEnabled(False)
            self.label.setText("Pausing …")
            self.run.stop()
        else:
            done = self._settled() - self._before
            self.begin(self.order, max(0, self._expected - done))

    def _stopped(self) -> None:
        self._look.stop()
        self._session.look_for_changes()
        self.label.setText("Paused. What is indexed can be searched.")
        self.button.setText("Go on")
        self.button.setEnabled(True)

    def _finished(self, report: dict[str, Any]) -> None:
        self._settle()
        failed = report.get("failed", [])
        line = f"Indexed {report['indexed']:,} slides, {report['patches']:,} patches"
        details = "\n".join(f"{f['slide_id']}: {f['message']} [{f['code']}]" for f in failed)
        if failed:
            line += f"; {len(failed):,} could not be read"
        self._session.say(f"{line}.", details, "warning" if failed else "info")

    def _failed(self, line: str, details: str) -> None:
        self._settle()
        self._session.say(line, details, "error")

    def _settle(self) -> None:
        assert self.order is not None
        self._look.stop()
        self.hide()
        path = self.order.library
        if self._is_open(path):
            self._session.look_for_changes()
        elif (path / "catalog.db").exists():
            self._session.open_library(path)
