# SPDX-License-Identifier: MIT
"""
The host terminal in raw mode, while the machine uses it. Each key goes to the kernel's line discipline at once, and
the old mode is restored however the tool ends. Pressing Ctrl-] three times within a second ends the machine.
"""

import collections.abc
import contextlib
import fcntl
import os
import signal
import struct
import termios
import time
import tty
import typing

STUFFED_WINDOW = b"\xff\x01"
ESCAPE = b"\x1d"
ESCAPE_COUNT = 3
ESCAPE_SECONDS = 1.0


class Terminal:
    """Standard input, if it is a terminal that programs may use. `resized` is called after the window has changed."""

    def __init__(self, resized: collections.abc.Callable[[], None]) -> None:
        self.resized = resized
        self.saved: list[typing.Any] | None = None  # what tcgetattr returns
        self.escapes: list[float] = []

    def take(self) -> None:
        """
        Enters raw mode: from here on, keys arrive as they are pressed. Until then Ctrl-C ends the tool, as it does any
        program.
        """
        try:
            self.saved = termios.tcgetattr(0)
            tty.setraw(0, termios.TCSADRAIN)
        except termios.error:
            self.saved = None
            return
        signal.signal(signal.SIGWINCH, lambda number, frame: self.resized())
        signal.signal(signal.SIGCONT, lambda number, frame: self._take_again())

    def give_back(self) -> None:
        if self.saved is None:
            return
        signal.signal(signal.SIGWINCH, signal.SIG_DFL)
        signal.signal(signal.SIGCONT, signal.SIG_DFL)
        # the process may be in the background, and restores the mode all the same
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        with contextlib.suppress(termios.error):  # the terminal may be closed, and SIGHUP has ended the tool
            termios.tcsetattr(0, termios.TCSADRAIN, self.saved)
        signal.signal(signal.SIGTTOU, signal.SIG_DFL)
        self.saved = None

    def _take_again(self) -> None:
        with contextlib.suppress(termios.error):
            tty.setraw(0, termios.TCSADRAIN)

    def is_raw(self) -> bool:
        return self.saved is not None

    def wants_out(self, data: bytes) -> bool:
        """Returns whether these keys complete the sequence that ends the machine."""
        now = time.monotonic()
        for key in data:
            if bytes([key]) != ESCAPE:
                self.escapes.clear()
                continue
            self.escapes = [then for then in self.escapes if now - then < ESCAPE_SECONDS] + [now]
            if len(self.escapes) == ESCAPE_COUNT:
                return True
        return False


def window_record() -> bytes:
    """Returns the size of the host window in the format of the kernel's console; nothing if it is not known."""
    try:
        rows, columns = struct.unpack("HHHH", fcntl.ioctl(0, termios.TIOCGWINSZ, bytes(8)))[:2]
    except OSError:
        return b""
    return STUFFED_WINDOW + struct.pack("<HH", rows, columns) if rows and columns else b""


def is_usable() -> bool:
    """Returns whether standard input and output are a terminal, so that the machine gets one."""
    return os.isatty(0) and os.isatty(1)
