# SPDX-License-Identifier: MIT
"""
`make run`: the program build/user/demo, which compares the policies in one boot. A seeded schedule makes the CPUs take
turns in the midst of faults, and makes the time-stamp counter count instructions; the same seed shows the same figures.
"""

import os

from . import machine, options, run as runner
from .status import UsageError

PROGRAM = os.path.join(machine.ROOT, "build", "user", "demo")
SEED = "1"


def command(argv):
    """Options are passed on to `run`, where the last one counts: `faultline demo --cpus 8 --schedule 7`."""
    if not os.path.exists(PROGRAM):
        raise UsageError(f"{os.path.relpath(PROGRAM)} is not built: run make user")
    return runner.run(options.parse_run(["--release", "--cpus", "4", "--schedule", SEED, *argv, PROGRAM]))
