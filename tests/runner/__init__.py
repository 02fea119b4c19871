# SPDX-License-Identifier: MIT
"""
The test runner, Python standard library only. In reading order:

main       the command line and the suites
job        one thing to run: what, with which patience, and who judges the result
execute    runs jobs side by side, with time-outs that follow progress, and reports
batch      jobs that one command does together
scenario   tests/scenarios/*.toml: checked, and expanded into jobs
oracle     what the same program does on this Linux
minimise   the fewest steps of mmfuzz that make a difference
host       the tests of the host build
mutate     wrong kernels by machine: a file of C with one mistake in it
reach      which host tests reach a line
mutants    such kernels compiled and tested, and which ones no test notices
matrix     a clone of ours in fresh installations of other distributions
planted    a failure for each kind of test, which must be found
tool       what tools/faultline says to wrong arguments, and what recording events costs
sharing    --share: what comes back from a machine, however it ends; forged_archives what no machine of ours sends
directory  a directory that a test has changed
conditions what a shell or a CI system may do to tools/faultline
suspend    a host that is suspended
shell      tools/faultline shell with a script on its standard input
keyboard   somebody at a terminal: types, and waits for what appears
terminal   tools/faultline shell, driven by that keyboard
debugger   the scripts of tests/gdb/, and the recipes of docs/debugging.md
tracing    what tools/faultline trace and report write
browser    the same, opened in Chromium: a trace in Perfetto, a report
docs       the generated documents are up to date
bugs       tests/bugs/*.patch: each must make its test fail
parts      the parts of make soak-all, and which of them is next
"""

import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
OUTPUT = os.path.join(ROOT, "build", "tests")
sys.path.insert(0, os.path.join(ROOT, "tools"))

# Five hundred tools are started: what Python has compiled for one of them, the next one finds.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
os.environ["PYTHONPYCACHEPREFIX"] = os.path.join(ROOT, "build", "pycache")
