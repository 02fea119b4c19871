# SPDX-License-Identifier: MIT
"""
Functions that the scripts of tests/gdb/ share. Each script runs inside GDB, attached to a machine
(tests/runner/debugger.py): it drives the machine, runs the commands, and checks their output. The last line is
`script: N checks, M failed`, in words that no program of user/ prints, and the status is 1 if M > 0: GDB itself ends
with 0 when a script dies of an exception.
"""

import re

import gdb

from faultline_gdb import command, kernel, stack, walk

# that one is used by tools/faultline only
COMMANDS = [one.name for one in command.ALL if one.name != "faultline-attach"]
passed, failures = [], []


def check(name, holds, detail=""):
    (passed if holds else failures).append(name)
    print(f"{'ok  ' if holds else 'FAIL'} {name}" + ("" if holds else f"\n{detail}"), flush=True)


def ask(command, *patterns, never=()):
    """Runs a command; its output must match each pattern. Returns the output."""
    said = gdb.execute(command, to_string=True)
    for pattern in patterns:
        check(f"{command}: {pattern}", re.search(pattern, said, re.MULTILINE), said)
    for pattern in never:
        check(f"{command}: nothing like {pattern}", not re.search(pattern, said, re.MULTILINE), said)
    return said


def refuses(command, *patterns):
    """Checks that the command fails, with a message that matches each pattern."""
    try:
        said = gdb.execute(command, to_string=True)
    except gdb.error as error:
        for pattern in patterns:
            check(f"{command}: refuses with {pattern}", re.search(pattern, str(error), re.MULTILINE), str(error))
    else:
        check(f"{command}: refuses", False, said)


def answer(text):
    """Returns a command's output, and its error or None."""
    try:
        return gdb.execute(text, to_string=True), None
    except gdb.error as error:
        return "", str(error)


def in_its_own_words(text):
    """Returns True if a command prints something or fails with a message of its own; otherwise a complaint."""
    said, error = answer(text)
    name = text.split()[0]
    if error is None:
        return bool(said.strip()) or f"{text}: says nothing"
    return bool(re.match(rf"{name}: .*[.:?)\]]$|{name}: .*\nUsage: {name}", error, re.DOTALL)) or f"{text}: {error}"


def completes(text, *expected):
    """Checks that completion offers at least these."""
    found = gdb.execute(f"complete {text}", to_string=True).splitlines()
    for one in expected:
        check(f"complete {text}: {one}", one in found, "\n".join(found[:40]))


def frame_value(name):
    return gdb.newest_frame().read_var(name)


def tid():
    """Returns the tid of the thread on the selected CPU."""
    return int(walk.selected_task()["tid"])


def silent(where, **options):
    stop = gdb.Breakpoint(where, internal=True, **options)
    stop.silent = True
    return stop


def run_to(where, condition=lambda: True):
    """Continues until a breakpoint at `where` is hit and the condition holds there."""
    stop = silent(where)
    try:
        while True:
            gdb.execute("continue", to_string=True)
            if not gdb.selected_thread():
                raise gdb.GdbError(f"the machine ended before it came to {where}")
            if condition():
                return
    finally:
        stop.delete()


def came_as_foretold(told, came):
    """
    Compares attempts, (strategy, end, reason or answer). A wait that was predicted may have ended before the attempt.
    """
    if told == came or told[1] == "resolved" and came[1] in ("answered", "completed") and came[2] == "done":
        return True
    waits = told[1] in ("retry", "completed") or told[2] == "spf_abort_swap_page_locked"
    return waits and came[1:] == ("answered", "done")


def skip_call():
    """Makes the function that has just been entered return at once."""
    gdb.execute("return", to_string=True)


def finish():
    """Prints the verdict; ends the machine and GDB."""
    print(f"script: {len(passed) + len(failures)} checks, {len(failures)} failed", flush=True)
    try:
        gdb.execute("kill", to_string=True)
    except gdb.error:
        pass  # QEMU closes the connection as it dies
    gdb.execute(f"quit {1 if failures or not passed else 0}")
