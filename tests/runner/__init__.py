# SPDX-License-Identifier: MIT
"""
The test runner, Python standard library only. In reading order:

main       the command line and the suites
job        one thing to run: its command, its time limits, and the function that judges the result
execute    runs jobs in parallel, with time-outs that follow progress, and reports
batch      jobs that one command runs together
scenario   tests/scenarios/*.toml: checks them, and expands them into jobs
oracle     runs the same program on the host's Linux
minimise   finds the fewest steps of mmfuzz that make a difference
host       the tests of the host build
mutate     generates mutants: a C file with one mistake in it
reach      finds the host tests that reach a line
mutants    compiles and tests mutants, and reports those that no test notices
matrix     tests a clone in fresh installations of other distributions
planted    a failure for each kind of test, which must be found
tool       tests tools/faultline with wrong arguments, and the cost of recording events
sharing    tests --share: what comes back from a machine, however it ends; forged_archives: invalid archives
directory  a directory that a test changes
conditions tests tools/faultline under what a shell or a CI system may do to it
suspend    tests a host that is suspended
shell      tests tools/faultline shell with a script on its standard input
keyboard   a user at a terminal: types, and waits for output
terminal   tests tools/faultline shell with that keyboard
debugger   the scripts of tests/gdb/, and the recipes of docs/debugging.md
tracing    tests the output of tools/faultline trace and report
browser    the same, opened in Chromium: a trace in Perfetto, a report
docs       checks that the generated documents are up to date
bugs       tests/bugs/*.patch: each must make its test fail
parts      the parts of make soak-all, and which of them is next
"""

import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
OUTPUT = os.path.join(ROOT, "build", "tests")
sys.path.insert(0, os.path.join(ROOT, "tools"))

# The tests start five hundred tools: they share Python's compiled files.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
os.environ["PYTHONPYCACHEPREFIX"] = os.path.join(ROOT, "build", "pycache")
