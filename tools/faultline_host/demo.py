# SPDX-License-Identifier: MIT
"""
`make demo`: the program build/user/demo, which resolves the same faults under each policy and prints the counters that
explain what happened. It runs twice: undisturbed, for the costs, which --deterministic counts in instructions; then under
--schedule, so that the CPUs interleave in the midst of faults even on a machine of one core. Everybody sees the same
numbers.
"""

import contextlib
import os
import tempfile

from . import machine, options, run as runner
from .status import UsageError

PROGRAM = os.path.join(machine.ROOT, "build", "user", "demo")
MACHINE = ["--release", "--cpus", "4", "--swap", "16M"]


def command(argv):
    """Options of `run` may follow: tools/faultline demo --cpus 8."""
    parser = options.machine_parser("demo", options.HELP, "The demonstration of `make demo`, with 4 CPUs and 16M of swap unless "
                                    "told otherwise.")
    options.without_gdb(options.checked(parser.parse_args(argv)), "demo")
    if not os.path.exists(PROGRAM):
        raise UsageError(f"{os.path.relpath(PROGRAM)} is not built: run make user")
    status, costs = output_of(options.parse_run([*MACHINE, "--deterministic", *argv, PROGRAM, "costs"]))
    if status:
        return status
    return runner.run(options.parse_run([*MACHINE, "--schedule", "1", *argv, PROGRAM, *costs]))


def output_of(parsed):
    """Runs the program: (its status, the words of its standard output)."""
    with tempfile.TemporaryFile("w+") as caught, stdout_to(caught.fileno()):
        status = runner.run(parsed)
        caught.seek(0)
        return status, caught.read().split()


@contextlib.contextmanager
def stdout_to(descriptor):
    saved = os.dup(1)
    os.dup2(descriptor, 1)
    try:
        yield
    finally:
        os.dup2(saved, 1)
        os.close(saved)
