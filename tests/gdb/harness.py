# SPDX-License-Identifier: MIT
"""
Functions that the scripts of tests/gdb/ share. Each script runs inside GDB, attached to a machine
(tests/runner/debugger.py): it drives the machine, runs the commands, and checks their output. The last line is
`script: N checks, M failed`, in words that no program of user/ prints, and the status is 1 if M > 0: GDB itself ends
with 0 when a script dies of an exception.
"""

import collections.abc
import re

import gdb

from faultline_gdb import command, walk

# that one is used by tools/faultline only
COMMANDS = [one.name for one in command.ALL if one.name != "faultline-attach"]
passed: list[str] = []
failures: list[str] = []

Told = tuple[str, str, str]  # of an attempt: strategy, end, reason or answer


def check(name: str, holds: object, detail: str = "") -> None:
    (passed if holds else failures).append(name)
    print(f"{'ok  ' if holds else 'FAIL'} {name}" + ("" if holds else f"\n{detail}"), flush=True)


def ask(command: str, *patterns: str, never: collections.abc.Sequence[str] = ()) -> str:
    """Runs a command; its output must match each pattern. Returns the output."""
    said = gdb.execute(command, to_string=True)
    for pattern in patterns:
        check(f"{command}: {pattern}", re.search(pattern, said, re.MULTILINE), said)
    for pattern in never:
        check(f"{command}: nothing like {pattern}", not re.search(pattern, said, re.MULTILINE), said)
    return said


def refuses(command: str, *patterns: str) -> None:
    """Checks that the command fails, with a message that matches each pattern."""
    try:
        said = gdb.execute(command, to_string=True)
    except gdb.error as error:
        for pattern in patterns:
            check(f"{command}: refuses with {pattern}", re.search(pattern, str(error), re.MULTILINE), str(error))
    else:
        check(f"{command}: refuses", False, said)


def answer(text: str) -> tuple[str, str | None]:
    """Returns a command's output, and its error or None."""
    try:
        return gdb.execute(text, to_string=True), None
    except gdb.error as error:
        return "", str(error)


def in_its_own_words(text: str) -> str:
    """Returns a complaint unless the command prints something, or fails with a message of its own."""
    said, error = answer(text)
    name = text.split()[0]
    if error is None:
        return "" if said.strip() else f"{text}: says nothing"
    return "" if re.match(rf"{name}: .*[.:?)\]]$|{name}: .*\nUsage: {name}", error, re.DOTALL) else f"{text}: {error}"


def completes(text: str, *expected: str) -> None:
    """Checks that completion offers at least these."""
    found = gdb.execute(f"complete {text}", to_string=True).splitlines()
    for one in expected:
        check(f"complete {text}: {one}", one in found, "\n".join(found[:40]))


def frame_value(name: str) -> gdb.Value:
    return gdb.newest_frame().read_var(name)


def this_task() -> gdb.Value:
    """Returns the task on the selected CPU, which runs one."""
    found = walk.selected_task()
    assert found is not None
    return found


def tid() -> int:
    """Returns the tid of the thread on the selected CPU."""
    return int(this_task()["tid"])


def silent(where: str, **options: object) -> gdb.Breakpoint:
    stop = gdb.Breakpoint(where, internal=True, **options)
    stop.silent = True
    return stop


def run_to(where: str, condition: collections.abc.Callable[[], bool] = lambda: True) -> None:
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


def came_as_foretold(told: Told, came: Told) -> bool:
    """
    Compares attempts, (strategy, end, reason or answer). A wait that was predicted may have ended before the attempt.
    """
    if told == came or told[1] == "resolved" and came[1] in ("answered", "completed") and came[2] == "done":
        return True
    waits = told[1] in ("retry", "completed") or told[2] == "spf_abort_swap_page_locked"
    return waits and came[1:] == ("answered", "done")


def skip_call() -> None:
    """Makes the function that has just been entered return at once."""
    gdb.execute("return", to_string=True)


def finish() -> None:
    """Prints the verdict; ends the machine and GDB."""
    print(f"script: {len(passed) + len(failures)} checks, {len(failures)} failed", flush=True)
    try:
        gdb.execute("kill", to_string=True)
    except gdb.error:
        pass  # QEMU closes the connection as it dies
    gdb.execute(f"quit {1 if failures or not passed else 0}")
