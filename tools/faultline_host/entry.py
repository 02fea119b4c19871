# SPDX-License-Identifier: MIT
"""
Runs the commands of the host side. Whatever fails, in the caller's environment or on the host, the command ends with a
message and a status that is not the program's, and never with a traceback.
"""

import collections.abc
import io
import os
import select
import signal
import sys
import traceback
import typing

from . import status
from .status import HostError, UsageError


def guarded(name: str, body: collections.abc.Callable[[list[str]], int], argv: list[str]) -> int:
    """Runs body(argv); returns its status, or the status of the failure. `name` is the prefix of the messages."""
    open_streams()
    try:
        if signal.getsignal(signal.SIGINT) == signal.SIG_DFL:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        return body(argv)
    except UsageError as error:
        say(name, error)
        return status.USAGE
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:  # the reader of the output has exited (| head)
        return 128 + signal.SIGPIPE
    except HostError as error:
        say(name, error)
    except OSError as error:
        what = f"{error.filename}: " if error.filename else ""
        say(name, f"{what}{error.strerror or error}")
    except MemoryError:
        say(name, "this host has no memory left")
    except Exception as error:  # pylint: disable=broad-except
        place = traceback.extract_tb(error.__traceback__)[-1]
        say(name, f"an error of its own, in {os.path.basename(place.filename)}:{place.lineno}: "
            f"{type(error).__name__}: {error}")
    return status.HOST_FAILED


def say(name: str, text: object) -> None:
    print(f"{name}: {text}", file=sys.stderr)


def open_streams() -> None:
    """
    Opens descriptors 0, 1 and 2 if they are closed, so that nothing else gets their numbers. For one that was closed:
    reading finds the end of the file, writing to standard output fails with EBADF as before, and messages to standard
    error are lost.
    """
    for number, mode in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, mode), True)
    sys.stdout, sys.stderr = text_stream(1, is_needed=True), text_stream(2, is_needed=False)


def text_stream(number: int, is_needed: bool) -> io.TextIOWrapper:
    """Returns a UTF-8 stream, whatever the locale; bytes of arguments that are not UTF-8 are written unchanged."""
    stream = typing.cast(typing.IO[bytes], Stream(number, is_needed))  # it has what a text stream needs of that
    return io.TextIOWrapper(stream, encoding="utf-8", errors="surrogateescape", write_through=True)


class Stream(io.RawIOBase):
    """A descriptor as a file. A failed write is an error only if `is_needed`."""

    def __init__(self, number: int, is_needed: bool) -> None:
        super().__init__()
        self.number, self.is_needed = number, is_needed

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self.number

    def isatty(self) -> bool:
        return os.isatty(self.number)

    def write(self, data: typing.Any) -> int:  # Any: the buffer of the base class, which has no public name
        try:
            write_all(self.number, data)
        except (HostError, BrokenPipeError):
            if self.is_needed:
                raise
        return len(data)


def write_all(number: int, data: bytes) -> None:
    """
    Writes all the data, whether the descriptor blocks or not. Raises BrokenPipeError if the reader has exited, else
    HostError.
    """
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(number, view):]
        except BlockingIOError:
            wait_for(number, select.POLLOUT)
        except BrokenPipeError:
            raise
        except OSError as error:
            names = {1: "the standard output", 2: "the standard error"}
            raise HostError(f"cannot write to {names.get(number, number)}: {error.strerror}") from error


def read_some(number: int, size: int) -> bytes:
    """
    Reads the data that is available, or waits for some; returns b"" at the end, or after the terminal has disconnected.
    """
    while True:
        try:
            return os.read(number, size)
        except BlockingIOError:
            wait_for(number, select.POLLIN)
        except OSError as error:
            if os.isatty(number):
                return b""
            raise HostError(f"cannot read the standard input: {error.strerror}") from error


def wait_for(number: int, event: int) -> None:
    poll = select.poll()
    poll.register(number, event)
    poll.poll()
