# SPDX-License-Identifier: MIT
"""
`make demo`: runs the program build/user/demo, which resolves the same faults under each policy and prints the counters
that explain the results. It runs twice: first without a schedule, for the costs, which --deterministic counts in
instructions; then under --schedule, so that the CPUs interleave in the middle of faults even on a single-core host.
Every run gives the same numbers.
"""

import argparse
import collections.abc
import contextlib
import os
import tempfile

from . import machine, options, run as runner
from .status import UsageError

PROGRAM = os.path.join(machine.ROOT, "build", "user", "demo")
SWAP = "16M"
CHANGES: options.Changes = {
    "--cpus": {"default": 4},
    "--swap": {"help": f"a ramdisk that the kernel swaps to from the start (default {SWAP}, sync); may be repeated"},
    "--schedule": {"default": 1, "help": "how the CPUs take turns in the second run (default 1)"},
    "--timeout": {"help": "give up after S seconds of either run (status 124)"},
    "--kernel": {"help": "another kernel image (default: the release kernel)"},
    "--log": {"help": "keep the kernel's log of the second run here (default build/last-run.log)"},
    # The program sets the policies by itself, reads no file, and takes the first disk as swap.
    **dict.fromkeys(("--fault", "--file", "--share", "--env", "--explain", "--disk")),
    # Both runs count instructions under the release kernel, and are not stopped before their end.
    **dict.fromkeys(("--deterministic", "--release", "--threads", "--gdb", "--gdb-script", "--reverse", "--stop-at")),
}


def command(argv: list[str]) -> int:
    """The verb. Some options of `run` may follow: tools/faultline demo --cpus 8."""
    parser = options.machine_parser("demo", options.HELP, "The demonstration of `make demo`: four workloads under "
                                    "each policy, by the release kernel; first undisturbed, for the costs, then with "
                                    "CPUs that take turns in the midst of faults, for the counters.", CHANGES)
    chosen = options.checked(parser.parse_args(argv))
    if not os.path.exists(PROGRAM):
        raise UsageError(f"{os.path.relpath(PROGRAM)} is not built: run make user")
    chosen.program, chosen.release, chosen.swaps = PROGRAM, True, chosen.swaps or [options.swap(SWAP)]
    status, costs = output_of(variant(chosen, schedule=None, args=["costs"]))
    return status or runner.run(variant(chosen, args=costs))


def variant(chosen: argparse.Namespace, **changes: object) -> argparse.Namespace:
    return argparse.Namespace(**{**vars(chosen), **changes})


def output_of(parsed: argparse.Namespace) -> tuple[int, list[str]]:
    """Runs the program; returns its status and the words of its standard output."""
    with tempfile.TemporaryFile("w+") as caught, stdout_to(caught.fileno()):
        status = runner.run(parsed)
        caught.seek(0)
        return status, caught.read().split()


@contextlib.contextmanager
def stdout_to(descriptor: int) -> collections.abc.Iterator[None]:
    saved = os.dup(1)
    os.dup2(descriptor, 1)
    try:
        yield
    finally:
        os.dup2(saved, 1)
        os.close(saved)
