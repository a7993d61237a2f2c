"""Indexing from the viewer: ``pathsearch index`` in a process of its own.

What it commits is seen in the library at once, slide by slide. Stopping it loses nothing: the
same command goes on where it was; so pausing is stopping, and going on is starting again.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qtpy.QtCore import QObject, QProcess, QProcessEnvironment, Signal

#: Runs the command line of this very installation.
_COMMAND = ["-c", "from pathsearch.cli import main; main()", "index"]
_DONE, _SOME_FAILED, _INTERRUPTED = 0, 3, 130
#: ms that a process may take to end once it is asked to.
_GRACE_MS = 8000


@dataclass(frozen=True)
class Order:
    """What is to be indexed.

    Attributes
    ----------
    slides : tuple of Path
        Folders and files.
    library : Path
        Made where it is missing.
    spec_mpp : float or None
        µm per pixel to search at; None for a library that is there.
    manifest : Path or None
    """

    slides: tuple[Path, ...]
    library: Path
    spec_mpp: float | None = None
    manifest: Path | None = None

    def words(self) -> list[str]:
        """The command's arguments."""
        words = [str(path) for path in self.slides]
        words += ["--library", str(self.library), "--json"]
        if self.spec_mpp is not None:
            words += ["--spec-mpp", f"{self.spec_mpp:g}"]
        if self.manifest is not None:
            words += ["--manifest", str(self.manifest)]
        return words


class IndexRun(QObject):
    """One run of the command, or one look ahead (``--plan``).

    Parameters
    ----------
    order : Order
    plan : bool
        Only say what a run would do.
    parent : QObject, optional
    """

    #: The JSON that the command ended with; some slides may have failed.
    finished = Signal(dict)
    #: It was stopped; what was done is kept.
    stopped = Signal()
    #: It could not be done: one line, and everything that it said.
    failed = Signal(str, str)

    def __init__(self, order: Order, *, plan: bool = False, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.order = order
        self._stopping = False
        self._process = QProcess(self)
        self._process.setProgram(sys.executable)
        self._process.setArguments([*_COMMAND, *order.words(), *(["--plan"] if plan else [])])
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
            self.failed.emit("Indexing could not be started.", self._process.errorString())


def _last_object(output: bytes) -> dict[str, Any] | None:
    for line in reversed(output.decode("utf-8", "replace").splitlines()):
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            return value
    return None


def plan_in_words(plan: dict[str, Any]) -> str:
    """What ``--plan`` measured, in lines for the user."""
    failed = plan.get("failed", [])
    lines = [
        f"{plan['found']:,} slides found: {plan['to_read']:,} to index, "
        f"{plan['unchanged']:,} in the library already, {len(failed):,} unreadable."
    ]
    if plan["to_read"]:
        lines.append(
            f"About {plan['patches']:,} patches (counted on {plan['counted_on']:,} slides), "
            f"{size_in_words(plan['bytes'])} of disk ({size_in_words(plan['free_bytes'])} free)."
        )
    if plan["seconds"]:
        lines.append(
            f"About {time_in_words(plan['seconds'])}, at the {plan['patches_per_second']:.0f} "
            "patches a second that this machine just did."
        )
    lines += [f"✕ {f['slide_id']}: {f['message']}" for f in failed[:20]]
    if len(failed) > 20:
        lines.append(f"… and {len(failed) - 20} more.")
    return "\n".join(lines)


def size_in_words(count: float) -> str:
    """Bytes as people say them."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            digits = 0 if count >= 10 or unit == "bytes" else 1
            return f"{count:.{digits}f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def time_in_words(seconds: float) -> str:
    """A duration as people say it."""
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
