# SPDX-License-Identifier: MIT
"""
What surrounds each command of the host side: whatever its caller or this host does to it, it ends with a sentence and a status
that is not the program's, never with a traceback.
"""

import io
import os
import select
import signal
import sys
import traceback

from . import status
from .status import HostError, UsageError


def guarded(name, body, argv):
    """Runs body(argv); returns its status, or what the failure's is. `name` stands before what is said of it."""
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
    except BrokenPipeError:  # what read our output has gone (| head)
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
        say(name, f"an error of its own, in {os.path.basename(place.filename)}:{place.lineno}: {type(error).__name__}: {error}")
    return status.HOST_FAILED


def say(name, text):
    print(f"{name}: {text}", file=sys.stderr)


def open_streams():
    """
    Our three descriptors are open from here on, so that nothing else takes their numbers. One that was closed: reading finds
    the end, writing to standard output fails as it would have failed, and what is said to standard error is lost.
    """
    for number, mode in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, mode), True)
    sys.stdout, sys.stderr = text_stream(1, is_needed=True), text_stream(2, is_needed=False)


def text_stream(number, is_needed):
    """UTF-8 whatever the locale, and arguments that are not come out as they came in."""
    return io.TextIOWrapper(Stream(number, is_needed), encoding="utf-8", errors="surrogateescape", write_through=True)


class Stream(io.RawIOBase):
    """A descriptor as a file. What cannot be written is an error only where it is needed."""

    def __init__(self, number, is_needed):
        super().__init__()
        self.number, self.is_needed = number, is_needed

    def writable(self):
        return True

    def fileno(self):
        return self.number

    def isatty(self):
        return os.isatty(self.number)

    def write(self, data):
        try:
            write_all(self.number, data)
        except (HostError, BrokenPipeError):
            if self.is_needed:
                raise
        return len(data)


def write_all(number, data):
    """All of it, whether the descriptor blocks or not. BrokenPipeError when its reader has gone, HostError when it cannot be."""
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


def read_some(number, size):
    """What is there, whether the descriptor blocks or not; nothing at its end, or once our terminal has gone."""
    while True:
        try:
            return os.read(number, size)
        except BlockingIOError:
            wait_for(number, select.POLLIN)
        except OSError as error:
            if os.isatty(number):
                return b""
            raise HostError(f"cannot read the standard input: {error.strerror}") from error


def wait_for(number, event):
    poll = select.poll()
    poll.register(number, event)
    poll.poll()
