# SPDX-License-Identifier: MIT
"""`make run`: the program build/user/demo under each policy, with the counters that explain what happened."""

import os

from . import machine, options, run as runner
from .options import POLICIES
from .status import UsageError

PROGRAM = os.path.join(machine.ROOT, "build", "user", "demo")


def command(argv):
    """Arguments are passed on to `run` and to the program: `faultline demo --cpus 4`."""
    if not os.path.exists(PROGRAM):
        raise UsageError(f"{os.path.relpath(PROGRAM)} is not built: run make user")
    for policy in POLICIES:
        result = runner.run(options.parse_run(["--fault", policy, *argv, PROGRAM]))
        if result:
            return result
    return 0
