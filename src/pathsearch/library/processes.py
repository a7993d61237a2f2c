"""Which machine this is, and whether a process of it is alive; Linux, macOS, Windows."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

# Windows: OpenProcess with the right to wait and to ask for times.
_SYNCHRONIZE, _QUERY, _WAIT_TIMEOUT = 0x100000, 0x1000, 0x102


def host_name() -> str:
    """The machine's name, for people."""
    return socket.gethostname()


def host_id() -> str:
    """Identity of the space in which a process id means something.

    Two containers may share a host name and not see each other's processes, and after
    a restart the ids start again: on Linux the boot and the process namespace count too.
    """
    parts = [socket.gethostname()]
    if Path("/proc/self/ns/pid").is_symlink():
        try:
            boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
            parts += [boot.strip(), str(Path("/proc/self/ns/pid").readlink())]
        except OSError:
            pass
    return "|".join(parts)


def is_alive(pid: int, started: str) -> bool:
    """Whether the process that had `pid` when it was written down still runs.

    Parameters
    ----------
    pid : int
        On this machine.
    started : str
        What `start_mark` gave for it; another mark means that the id was used again.
    """
    if not _exists(pid):
        return False
    current = start_mark(pid)
    return not started or not current or current == started


def start_mark(pid: int) -> str:
    """When a process started, in the platform's own ticks; empty where it is not told.

    Not a time of day: it must not move when the clock is set.
    """
    return _start(pid)


if sys.platform == "win32":

    def _exists(pid: int) -> bool:
        import ctypes

        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.OpenProcess.restype = ctypes.c_void_p
        handle = kernel.OpenProcess(_SYNCHRONIZE | _QUERY, False, pid)
        if not handle:
            # 5: it exists and belongs to someone else.
            return bool(ctypes.get_last_error() == 5)
        try:
            waited = kernel.WaitForSingleObject(ctypes.c_void_p(handle), 0)
            return bool(waited == _WAIT_TIMEOUT)
        finally:
            kernel.CloseHandle(ctypes.c_void_p(handle))

    def _start(pid: int) -> str:
        import ctypes

        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.OpenProcess.restype = ctypes.c_void_p
        handle = kernel.OpenProcess(_QUERY, False, pid)
        if not handle:
            return ""
        times = [ctypes.c_ulonglong() for _ in range(4)]
        try:
            pointers = [ctypes.byref(t) for t in times]
            done = kernel.GetProcessTimes(ctypes.c_void_p(handle), *pointers)
            return str(times[0].value) if done else ""
        finally:
            kernel.CloseHandle(ctypes.c_void_p(handle))

else:

    def _exists(pid: int) -> bool:
        if pid <= 0:
            return False
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        # A zombie is gone, but keeps its id until its parent asks for it.
        return _proc_stat(pid)[:1] not in (["Z"], ["X"])

    def _start(pid: int) -> str:
        fields = _proc_stat(pid)
        return fields[19] if len(fields) > 19 else ""

    def _proc_stat(pid: int) -> list[str]:
        """proc(5), from the third field on; nothing where there is no /proc (macOS)."""
        try:
            text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return []
        # The name in the second field may hold spaces and brackets.
        return text.rpartition(")")[2].split()
