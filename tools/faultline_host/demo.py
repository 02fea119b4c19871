# SPDX-License-Identifier: MIT
"""
`make run`: the program build/user/demo, which resolves the same faults under each policy and prints the counters that
explain what happened. Under --schedule, so that the CPUs interleave even in a machine of one core, costs are counted in
instructions, and everybody sees the same numbers.
"""

import os

from . import machine, options, run as runner
from .status import UsageError

PROGRAM = os.path.join(machine.ROOT, "build", "user", "demo")


def command(argv):
    """Options of `run` may follow: tools/faultline demo --cpus 4."""
    if not os.path.exists(PROGRAM):
        raise UsageError(f"{os.path.relpath(PROGRAM)} is not built: run make user")
    return runner.run(options.parse_run(["--schedule", "1", *argv, PROGRAM]))
