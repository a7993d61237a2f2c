"""The command line, run by the viewer in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import QObject, QProcess, QProcessEnvironment, Signal

#: Runs the command line of this very installation.
_COMMAND = ["-c", "from pathsearch.cli import main; main()"]
_DONE, _SOME_FAILED, _INTERRUPTED = 0, 3, 130
#: ms that a process may take to end once it is asked to.
_GRACE_MS = 8000


class CommandRun(QObject):
    """One run of ``pathsearch`` with ``--json``.

    Parameters
    ----------
    words : sequence of str
        The command and its arguments.
    parent : QObject, optional
    """

    #: The JSON that the command ended with; some slides may have failed.
    finished = Signal(dict)
    #: It was stopped; what was done is kept.
    stopped = Signal()
    #: It could not be done: one line, and everything that it said.
    failed = Signal(str, str)

    def __init__(self, words: Sequence[str], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._stopping = False
        self._process = QProcess(self)
        self._process.setProgram(sys.executable)
        self._process.setArguments([*_COMMAND, *words, "--json"])
        environment = QProcessEnvironment.systemEnvironment()
        environment.insert("PYTHONPATH", os.pathsep.join(p for p in sys.path if p))
        self._process.setProcessEnvironment(environment)
        self._process.finished.connect(self._ended)
        self._process.errorOccurred.connect(self._faulty)

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return bool(self._process.state() != QProcess.ProcessState.NotRunning)

    def start(self) -> None:
        """Begin."""
        self._process.start()

    def stop(self) -> None:
        """Ask it to end; `stopped` tells when it has."""
        if not self.running or self._stopping:
            return
        self._stopping = True
        if os.name == "posix" and self._process.processId():
            os.kill(self._process.processId(), signal.SIGINT)  # as Ctrl-C in a terminal
        else:
            self._process.kill()  # killed in mid-slide, that slide is begun again

    def end(self) -> None:
        """Stop it now, when the viewer closes; waits a little."""
        if not self.running:
            return
        self._process.finished.disconnect(self._ended)
        self._process.errorOccurred.disconnect(self._faulty)
        self.stop()
        if not self._process.waitForFinished(_GRACE_MS):
            self._process.kill()
            self._process.waitForFinished(_GRACE_MS)

    def _ended(self, status: int, *_: object) -> None:
        said = bytes(self._process.readAllStandardError().data()).decode("utf-8", "replace")
        if self._stopping or status == _INTERRUPTED:
            self.stopped.emit()
            return
        answer = _last_object(bytes(self._process.readAllStandardOutput().data()))
        if status in (_DONE, _SOME_FAILED) and answer is not None:
            self.finished.emit(answer)
            return
        lines = [line for line in said.splitlines() if line.strip()]
        last = lines[-1].removeprefix("pathsearch: ") if lines else f"it ended with status {status}"
        self.failed.emit(last, said)

    def _faulty(self, error: QProcess.ProcessError) -> None:
        if error == QProcess.ProcessError.FailedToStart:
            self.failed.emit("Another process could not be started.", self._process.errorString())


def _last_object(output: bytes) -> dict[str, Any] | None:
    for line in reversed(output.decode("utf-8", "replace").splitlines()):
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            return value
    return None
