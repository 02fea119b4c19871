# SPDX-License-Identifier: MIT
"""
A user at a terminal: starts a command on a pseudo-terminal of its own, types, and waits for output. The tests of
`tools/faultline shell` use it; each is one function of terminal.py.
"""

import fcntl
import os
import re
import select
import struct
import subprocess
import termios
import time

PATIENCE = 60.0  # seconds without output: enough for a loaded machine
ROWS, COLUMNS = 33, 99


class Missed(Exception):
    """The expected output did not appear."""


class Keyboard:
    """`seen` is the output since the last match."""

    def __init__(self, command: list[str]) -> None:
        self.ours, theirs = os.openpty()
        self.resize(ROWS, COLUMNS)
        self.before = termios.tcgetattr(theirs)
        self.process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        self.theirs = theirs  # kept open, so that the settings can be read after the command has ended
        self.seen = ""

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text: str) -> None:
        os.write(self.ours, text.encode())

    def wait_for(self, regex: str) -> re.Match[str]:
        """Returns the match; drops the output up to its end."""
        while True:
            match = re.search(regex, self.seen)
            if match:
                self.seen = self.seen[match.end():]
                return match
            if not self._read():
                raise Missed(f"“{regex}” has not appeared; instead: {self.seen[-800:]!r}")

    def insist(self, text: str, regex: str) -> re.Match[str]:
        """Types the text until it has an effect: a program that leaves raw mode between two keys can misread a key."""
        for _ in range(int(PATIENCE)):
            self.type(text)
            if self._read(1.0) and re.search(regex, self.seen):
                break
        return self.wait_for(regex)

    def line(self, command: str, regex: str) -> re.Match[str]:
        """Types a command at the prompt and waits for its output, after its own echo."""
        self.type(command + "\r")
        self.wait_for(re.escape(command[-20:]) + r"\s*\r\n")
        return self.wait_for(regex)

    def end(self) -> int:
        """Waits for the end of the command; returns its exit status."""
        while self.process.poll() is None:
            if not self._read() and self.process.poll() is None:
                raise Missed(f"the command has not ended; instead: {self.seen[-800:]!r}")
        status = self.process.returncode
        return status if status >= 0 else 128 - status

    def is_restored(self) -> bool:
        return termios.tcgetattr(self.theirs) == self.before

    def is_raw(self) -> bool:
        return not termios.tcgetattr(self.theirs)[3] & termios.ICANON

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.ours)
        os.close(self.theirs)

    def _read(self, patience: float = PATIENCE) -> bool:
        """Waits for output, and prints it, so that the runner sees progress. Returns False if none came in time."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            has_ended = self.process.poll() is not None
            if select.select([self.ours], [], [], 0 if has_ended else 1)[0]:
                text = os.read(self.ours, 65536).decode(errors="replace")
                self.seen += text
                print(repr(text), flush=True)
                return True
            if has_ended:
                return False
        return False
