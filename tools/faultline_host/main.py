# SPDX-License-Identifier: MIT
"""The verbs of tools/faultline."""

import difflib
import importlib
import os
import signal
import subprocess
import sys

from . import entry, machine, options, run, status
from .status import UsageError

USAGE = """\
usage: tools/faultline VERB …

  run [OPTIONS] PROGRAM [ARGS…]     boot the kernel with a static Linux program and be that program
  shell [OPTIONS]                   boot to a shell: BusyBox, and the programs of user/ (`make run`)
  iso --output FILE PROGRAM         write a GRUB image (BIOS and UEFI) that starts the program
  demo [OPTIONS]                    the demonstration of `make demo`
  lines [OPTIONS] PROGRAM [ARGS…]   as run, and report the cache lines that CPUs share while they fault
  trace [OPTIONS] PROGRAM [ARGS…]   as run, and write what its faults did to trace.json (-o FILE), for Perfetto
  report [OPTIONS] PROGRAM [ARGS…]  run it under each policy and write report.html (-o FILE); --csv prints the numbers
  bench [OPTIONS] [PART…]           the measurements of `make bench`

Each verb explains itself: tools/faultline run --help; tools/faultline --version says which commit this is
"""
OTHER_VERBS = ("iso", "demo", "lines", "trace", "report", "bench")  # each is a module, imported only when it is used
VERBS = ("run", "shell", *OTHER_VERBS)


def main(argv: list[str]) -> int:
    for ending in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        if signal.getsignal(ending) != signal.SIG_IGN:  # nohup ignores SIGHUP
            signal.signal(ending, lambda number, frame: sys.exit(128 + number))
    return entry.guarded("faultline", dispatch, argv)


def version() -> str:
    """Returns the commit that is checked out and its date; a + marks uncommitted changes."""
    try:
        git = subprocess.run(["git", "-C", machine.ROOT, "describe", "--always", "--dirty=+"], capture_output=True,
                             text=True, check=False)
        date = subprocess.run(["git", "-C", machine.ROOT, "log", "-1", "--format=%cs"], capture_output=True, text=True,
                              check=False)
    except OSError:
        return "of unknown version: git is not installed"
    return (f"{git.stdout.strip()} ({date.stdout.strip()})" if git.returncode == 0 else
            "of unknown version: this is no git checkout")


def dispatch(argv: list[str]) -> int:
    if argv[:1] == ["help"] and len(argv) == 2 and argv[1] in VERBS:
        argv = [argv[1], "--help"]
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(USAGE, end="", file=sys.stdout if argv else sys.stderr)
        return 0 if argv else status.USAGE
    if argv == ["--version"]:
        print(f"faultline {version()}")
        return 0
    verb, rest = argv[0], argv[1:]
    if verb == "run":
        return run.run(options.parse_run(rest))
    if verb == "shell":
        return run.run(options.parse_shell(rest))
    if verb in OTHER_VERBS:
        return importlib.import_module(f".{verb}", __package__).command(rest)
    *most, last = VERBS
    raise UsageError(f"there is no verb “{verb}”: {', '.join(most)} or {last}{hint(verb, rest)}")


def hint(word: str, rest: list[str]) -> str:
    """Suggests what the user may have meant."""
    verb = next((one for one in rest if one in VERBS), "run")
    if word.startswith("-"):
        return f"; options stand behind it: tools/faultline {verb} {word}"
    if os.path.exists(word):
        return f"; to run it: tools/faultline run {word}"
    if word == "gdb":
        return "; GDB is an option: tools/faultline run --gdb PROGRAM"
    close = difflib.get_close_matches(word.lower(), VERBS, 1)
    return f"; did you mean {close[0]}?" if close else ""
