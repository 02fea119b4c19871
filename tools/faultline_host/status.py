# SPDX-License-Identifier: MIT
"""The exit statuses of a run. 0 to 121 and 128 upwards belong to the program, as a shell reports them."""

import collections.abc
import contextlib

HOST_FAILED = 122  # an error on the host: output that cannot be written, a full disk; or a bug of this tool
CHECK_FAILED = 123  # the program ended, but the kernel's own checks (leaks, reverse map, counters) failed
TIMED_OUT = 124  # as timeout(1)
PANIC = 125  # the kernel panicked; its report is on stderr
USAGE = 126  # a bad argument, or a program that cannot be run
MACHINE_DIED = 127  # QEMU did not start, or ended without a verdict of the kernel: a triple fault

HELP = """\
exit status:
  N       the program's own exit status
  128+N   signal N killed the program
  122     what the program printed, or a file of the run, could not be written or read here; or the tool itself failed
  123     the program ended, but the kernel's checks (leaked pages, reverse map, counters) failed
  124     time-out (--timeout)
  125     the kernel panicked; what it said is on stderr
  126     a bad argument, or the program cannot be run
  127     QEMU did not start, or ended without a verdict of the kernel (a triple fault)
"""


class UsageError(Exception):
    """A mistake of the caller; the text says what would be right."""


class HostError(Exception):
    """The host cannot do what is needed; the text says what."""


@contextlib.contextmanager
def naming(what: str) -> collections.abc.Iterator[None]:
    """Turns an error of the operating system into a HostError that says what was being done."""
    try:
        yield
    except OSError as error:
        raise HostError(f"{what}: {error.strerror or error}") from error


def from_wait_status(raw: int) -> int:
    """Returns the shell's view of a wait status: the exit code, or 128 + the signal's number."""
    signal = raw & 0x7F
    return 128 + signal if signal else (raw >> 8) & 0xFF
