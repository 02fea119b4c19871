# SPDX-License-Identifier: MIT
"""
Copies bytes between QEMU's channels and this process's stdin, stdout and stderr, unchanged and unbuffered. One loop in
one thread does it. The kernel's log goes to a file and through a watcher that picks out the control records.
"""

import collections
import collections.abc
import contextlib
import os
import re
import select
import socket
import stat
import sys
import time
import typing

from . import terminal
from .entry import read_some, write_all
from .status import naming

CHUNK = 1 << 16
STUFFED_EOF = b"\xff\x00"
STUFFED_OFF = b"\xff\x02"
GATHER = 0.001  # seconds between two polls: the guest writes byte by byte, and one read should take many
GRACE_AFTER_VERDICT = 5.0  # seconds for QEMU to power off after the kernel's last record
KEPT_LINES = 15  # of the log, shown when a check fails
GRACE_AFTER_PANIC = 20.0  # seconds for the backtraces of all CPUs
PROMPT_PATIENCE = 20.0  # seconds without output before the user is told so
END_PATIENCE = 10.0  # seconds without progress that a machine gets when it was asked to end
NMI_PATIENCE = 3.0  # seconds between NMIs: a kernel that had just started may have missed the first


class LogWatcher:
    """Writes the kernel's log to its file and extracts the verdict from it."""

    RECORD = re.compile(rb"FAULTLINE-(STDIN|EXIT|EXPLAIN|WORD|SHARE|PANIC-END|PANIC|HANG-END|HANG)\b ?(.*)")

    def __init__(self, file: typing.IO[bytes], mirror: typing.IO[bytes] | None) -> None:
        self.file = file
        self.mirror = mirror
        # reports a hang at once, on a terminal; otherwise only on a time-out or an interrupt
        self.tells_hangs = mirror is None and os.isatty(2)
        self.raw = False  # whether the host terminal is in raw mode and needs \r before each \n
        self.partial = b""
        self.has_begun = False
        self.stdin_ready = False
        self.exit_record: str | None = None
        self.last_lines: collections.deque[bytes] = collections.deque(maxlen=KEPT_LINES)
        self.panic_lines: list[bytes] = []
        self.panic_done = False
        self.hang_lines: list[bytes] = []  # of the last report
        self.in_hang = False

    def feed(self, data: bytes) -> None:
        self.has_begun = True
        with naming(f"cannot write the kernel's log {self.file.name}"):
            self.file.write(data)
        if self.mirror is not None:
            self.mirror.write(data.replace(b"\n", b"\r\n") if self.raw else data)
        *lines, self.partial = (self.partial + data).split(b"\n")
        for line in lines:
            self._line(line)

    def in_panic(self) -> bool:
        return bool(self.panic_lines)

    def finished(self) -> bool:
        return self.exit_record is not None or self.panic_done

    def _line(self, line: bytes) -> None:
        record = self.RECORD.search(line)
        kind = record[1] if record else None
        text = record[2] if record else b""
        self.last_lines.append(line)
        self._hang_line(kind, line)
        if self.panic_lines and not self.panic_done:
            self.panic_lines.append(line)
            self.panic_done = kind == b"PANIC-END"
        elif kind == b"PANIC":
            self.panic_lines.append(line)
        elif kind == b"EXIT":
            self.exit_record = text.decode("ascii", "replace")
        elif kind in (b"EXPLAIN", b"WORD", b"SHARE"):
            self.tell([b"faultline: " + text])
        elif kind == b"STDIN":
            self.stdin_ready = True

    def _hang_line(self, kind: bytes | None, line: bytes) -> None:
        if kind == b"HANG":
            self.hang_lines, self.in_hang = [], True
        if self.in_hang:
            self.hang_lines.append(line)
        if kind == b"HANG-END":
            self.in_hang = False
            if self.tells_hangs:
                self.tell(self.hang_lines)

    def tell(self, lines: collections.abc.Iterable[bytes]) -> None:
        sys.stderr.buffer.write(b"".join(line + (b"\r\n" if self.raw else b"\n") for line in lines))


class Console:
    """The host ends of the four channels and of QEMU's monitor. `for_qemu` are the ends that QEMU inherits."""

    def __init__(self, stdin: int | None, log_file: typing.IO[bytes], verbose: bool, is_terminal: bool = False,
                 is_shell: bool = False) -> None:
        self.readers = {}
        self.for_qemu = {}
        for name in ("log", "stdout", "stderr"):
            ours, theirs = os.pipe()
            self.readers[name] = ours
            self.for_qemu[name] = theirs
        self.serial, far_end = socket.socketpair()
        self.serial.setblocking(False)
        self.for_qemu["stdin"] = far_end.detach()
        self.monitor, far_end = socket.socketpair()
        self.for_qemu["monitor"] = far_end.detach()
        self.stdin = stdin
        self.to_serial = b""
        self.serial_open = True
        self.is_muted = False
        self.log = LogWatcher(log_file, sys.stderr.buffer if verbose else None)
        self.terminal = terminal.Terminal(self._send_window) if is_terminal and stdin is not None else None
        self.prompt_due = time.monotonic() + PROMPT_PATIENCE if self.terminal and is_shell else None

    def qemu_started(self) -> None:
        """Closes the copies of the ends that QEMU has inherited: otherwise the pipes would never reach their end."""
        for fd in self.for_qemu.values():
            os.close(fd)

    def carry(self, deadline: float | None) -> bool:
        """
        Copies until QEMU has closed all channels. Returns False if the deadline passed, or QEMU stayed after the last
        record.
        """
        self.deadline = deadline
        while self.readers:
            remaining = self._remaining()
            if remaining is not None and remaining <= 0:
                return False
            self._step(min((left for left in (remaining, self._until_prompt()) if left is not None), default=None))
            time.sleep(GATHER)
        return True

    def ask_where(self) -> None:
        """Sends an NMI to the CPUs: the kernel then reports where each CPU is, writes the recorded events, and ends."""
        patience = time.monotonic() + GRACE_AFTER_PANIC
        while self.readers and not self.log.in_panic() and time.monotonic() < patience:
            with contextlib.suppress(OSError):
                self.monitor.send(b"nmi\n")
            self.carry(time.monotonic() + NMI_PATIENCE)
        if self.log.in_panic():
            self.carry(time.monotonic() + GRACE_AFTER_PANIC)

    def end_machine(self, progress: collections.abc.Callable[[], int]) -> bool:
        """
        Asks a running machine to end, as reboot(2) does; further output of its programs is dropped. `progress` returns
        a number: as long as it changes, the wait goes on. Returns True if the machine has ended.
        """
        self.is_muted = True
        if self.log.stdin_ready and not progress():
            self.to_serial += STUFFED_OFF
        before = None
        while self.readers and self.log.stdin_ready and not self.log.in_panic() and before != (before := progress()):
            self.carry(time.monotonic() + END_PATIENCE)
        return self.log.exit_record is not None

    def close(self) -> None:
        if self.terminal:
            self.terminal.give_back()
        for fd in self.readers.values():
            os.close(fd)
        self.readers.clear()
        self.serial.close()
        self.monitor.close()
        self.log.file.close()

    def _until_prompt(self) -> float | None:
        """Returns the seconds left, or None if no prompt is awaited. Tells the user once that nothing has appeared."""
        if self.prompt_due is None:
            return None
        left = self.prompt_due - time.monotonic()
        if left > 0:
            return left
        self.prompt_due = None
        self.log.tell(line.encode() for line in (
            (f"faultline: nothing has appeared on the terminal for {PROMPT_PATIENCE:g} s. Either this machine is slow, "
             "or no program"),
            ("knows that it is at a terminal, or the kernel hangs; Ctrl-] three times within a second (or Ctrl-C, "
             "while it boots)"),
            f"ends it. The kernel's log: {self.log.file.name}"))
        return None

    def _remaining(self) -> float | None:
        return None if self.deadline is None else self.deadline - time.monotonic()

    def _step(self, timeout: float | None) -> None:
        poll = select.poll()
        names = {fd: name for name, fd in self.readers.items()}
        for fd in names:
            poll.register(fd, select.POLLIN)
        if self.serial_open:
            poll.register(self.serial, select.POLLIN | (select.POLLOUT if self.to_serial else 0))
        if self.stdin is not None and self._wants_input():
            poll.register(self.stdin, select.POLLIN)
        for fd, event in poll.poll(None if timeout is None else timeout * 1000):
            if fd in names:
                self._output(names[fd], fd)
            elif fd == self.serial.fileno():
                self._serial(event)
            else:
                self._input()

    def _wants_input(self) -> bool:
        # Input waits until the kernel's serial driver is up: firmware would swallow the first bytes.
        return self.log.stdin_ready and not self.to_serial

    def _output(self, name: str, fd: int) -> None:
        data = os.read(fd, CHUNK)
        if not data:
            os.close(self.readers.pop(name))
        elif name == "log":
            self._log(data)
        elif not self.is_muted:
            self.prompt_due = None
            write_all(1 if name == "stdout" else 2, data)

    def _send_window(self) -> None:
        self.to_serial += terminal.window_record()
        if self.serial_open:
            self._send()

    def _log(self, data: bytes) -> None:
        was_panic, was_finished = self.log.in_panic(), self.log.finished()
        was_ready = self.log.stdin_ready
        self.log.feed(data)
        if self.terminal and self.log.stdin_ready and not was_ready:
            self.terminal.take()
            self.log.raw = self.terminal.is_raw()
            self._send_window()
        if self.log.finished() and not was_finished:
            self._limit(GRACE_AFTER_VERDICT)
        elif self.log.in_panic() and not was_panic:
            self._limit(GRACE_AFTER_PANIC)

    def _limit(self, grace: float) -> None:
        limit = time.monotonic() + grace
        self.deadline = limit if self.deadline is None else min(self.deadline, limit)

    def _serial(self, event: int) -> None:
        try:
            if event & select.POLLOUT:
                self._send()
            if event & (select.POLLIN | select.POLLHUP):
                self.serial.recv(CHUNK)  # the kernel writes nothing here; firmware may
        except (BlockingIOError, ConnectionError):
            pass
        if event & (select.POLLHUP | select.POLLERR):
            self.to_serial = b""
            self.stdin = None
            self.serial_open = False

    def _send(self) -> None:
        try:
            self.to_serial = self.to_serial[self.serial.send(self.to_serial):]
        except BlockingIOError:
            pass

    def _input(self) -> None:
        assert self.stdin is not None  # or it would not have been polled
        data = read_some(self.stdin, CHUNK)
        if self.terminal and (not data or self.terminal.wants_out(data)):
            raise KeyboardInterrupt
        self.to_serial = stuff(data) if data else STUFFED_EOF
        if not data:
            self.stdin = None


def stuff(data: bytes) -> bytes:
    return data.replace(b"\xff", b"\xff\xff")


def known_input(deterministic: bool) -> bytes | None:
    """
    Returns the bytes of stdin if they are known before the start (a file, or /dev/null) or must be (a deterministic
    run), None if the input is sent as it arrives.
    """
    status = os.fstat(0)
    is_null = stat.S_ISCHR(status.st_mode) and status.st_rdev == os.makedev(1, 3)
    if is_null:
        return b""
    if deterministic or stat.S_ISREG(status.st_mode):
        return read_to_end(0)
    return None


def read_to_end(fd: int) -> bytes:
    parts = []
    while data := read_some(fd, CHUNK):
        parts.append(data)
    return b"".join(parts)
