# SPDX-License-Identifier: MIT
"""
Tests tools/faultline under what a shell or a CI system may do to it: each verb under each bad condition, each option
that names a file with each bad path. The tool must print no traceback, and exit with the status that tools/faultline
run --help documents. Runs as `tests/conditions NAME`.
"""

import collections.abc
import dataclasses
import fcntl
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

from faultline_host import status

from . import ROOT
from .job import Job, Result

TOOL = os.path.join(ROOT, "tools", "faultline")
VERBS = ("run", "shell", "iso", "demo", "lines", "trace", "report", "bench")
HELLO = "build/user/hello"
ECHO_LINES = 20000  # lines of `seq`, more than a pipe holds
GONE = 128 + 13  # SIGPIPE
PATIENCE = 300  # seconds for one command on a loaded machine


@dataclasses.dataclass
class Condition:
    """
    `shell` follows the command, `setting` precedes it; `output` is the status of a command that cannot write its
    output.
    """
    shell: str = ""
    setting: str = ""
    output: int = 0
    run: int | None = None  # the status of a run that boots, if it differs
    environment: dict[str, str] = dataclasses.field(default_factory=dict)


CONDITIONS = {
    "stdout-closed": Condition(">&-", output=status.HOST_FAILED),
    "stdout-full": Condition(">/dev/full", output=status.HOST_FAILED),
    "stdout-gone": Condition(output=GONE),
    "stderr-closed": Condition("2>&-"),
    "stderr-full": Condition("2>/dev/full"),
    "all-closed": Condition("<&- >&- 2>&-", output=status.HOST_FAILED),
    "stdin-closed": Condition("<&-"),
    "stdin-unreadable": Condition("0>/dev/null"),
    "no-tmpdir": Condition(environment={"TMPDIR": "/nonexistent"}),
    "no-home": Condition(setting="unset HOME;"),
    "ascii-locale": Condition(environment={"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}),
    "no-path": Condition(environment={"PATH": "/nonexistent"}, run=status.USAGE),
    "few-descriptors": Condition(setting="ulimit -n 10;", run=status.HOST_FAILED),
    "small-files": Condition(setting="ulimit -f 8;", run=status.HOST_FAILED),
}
FILE_OPTIONS = (["run", "--log", "PATH", HELLO], ["trace", "-o", "PATH", HELLO], ["report", "-o", "PATH", HELLO],
                ["iso", "--output", "PATH", HELLO], ["run", "--file", "PATH", HELLO],
                ["run", "--kernel", "PATH", HELLO], ["run", "--share", "PATH", HELLO],
                ["run", "--gdb-script", "PATH", HELLO], ["shell", "--file", "PATH"], ["run", "PATH"], ["trace", "PATH"],
                ["iso", "--output", "/dev/null", "PATH"])


def jobs() -> list[Job]:
    return [Job(name=f"conditions/{name}", command=["tests/conditions", name], judge=judge, weight=3, limit=PATIENCE)
            for name in TESTS]


def judge(result: Result) -> list[str]:
    return [] if result.status == 0 else [
        result.stdout.decode(errors="replace") + result.stderr.decode(errors="replace")]


def main(name: str) -> int:
    """Returns 0, or 1 and prints what was wrong."""
    os.chdir(ROOT)
    complaints = SPECIAL[name]() if name in SPECIAL else under(name, CONDITIONS[name])
    print("\n".join(complaints) or "as it should be")
    return 1 if complaints else 0


def under(name: str, condition: Condition) -> list[str]:
    expected_run = condition.output if condition.run is None else condition.run
    cases: list[tuple[list[str], int]] = [
        ([], status.USAGE), (["--help"], condition.output), (["fly"], status.USAGE),
        (["run", "build/\udcff“no”"], status.USAGE), (["run", HELLO], expected_run)]
    for verb in VERBS:
        cases += [([verb, "--help"], condition.output), ([verb, "--no-such-option", "\udcff“x”"], status.USAGE)]
    return [complaint for arguments, expected in cases
            for complaint in complaints_about(arguments, expected, *run_under(name, condition, arguments))]


def run_under(name: str, condition: Condition, arguments: list[str]) -> tuple[int, str]:
    """Returns the command's status and its standard error."""
    words = ["sh", "-c", f'{condition.setting} exec "$0" "$@" {condition.shell}', sys.executable, TOOL, *arguments]
    if name == "stdout-gone":
        reader, writer = os.pipe()
        os.close(reader)
    else:
        writer = os.open(os.devnull, os.O_WRONLY)
    shell = shutil.which("sh")
    try:
        result = subprocess.run([os.fsencode(word) for word in words], executable=shell, stdin=subprocess.DEVNULL,
                                stdout=writer, stderr=subprocess.PIPE, env={**os.environ, **condition.environment},
                                timeout=PATIENCE, check=False)
    finally:
        os.close(writer)
    return result.returncode, result.stderr.decode(errors="replace")


def complaints_about(arguments: list[str], expected: int, got: int, said: str) -> list[str]:
    words = " ".join(["tools/faultline", *arguments]).encode(errors="replace").decode()
    wrong = [f"{words}: status {got}, expected {expected}: {said[-300:]}"] if got != expected else []
    return wrong + ([f"{words}: {said}"] if "Traceback" in said or "Exception ignored" in said else [])


def stdin_directory() -> list[str]:
    """Starts the commands themselves: the shell of their first line looks at standard input before Python does."""
    folder = os.open("/", os.O_RDONLY)
    try:
        return [complaint for words in ([TOOL, "run", HELLO], [TOOL, "--help"], ["tests/run", "list"])
                for complaint in complaints_of_directory(words, folder)]
    finally:
        os.close(folder)


def complaints_of_directory(words: list[str], folder: int) -> list[str]:
    done = subprocess.run(words, stdin=folder, capture_output=True, text=True, timeout=PATIENCE, check=False)
    wanted = (status.USAGE, "", f"{words[0]}: stdin is a directory\n")
    got = (done.returncode, done.stdout, done.stderr)
    return [] if got == wanted else [f"{' '.join(words)} < /: {got}, expected {wanted}"]


def bad_paths() -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        loop = os.path.join(folder, "loop")
        os.symlink("loop", loop)
        paths = [folder + "/", "/proc/x", "Makefile/x", loop, folder + "/" + "n" * 300, folder + "/none/x", "\udcff/x",
                 ""]
        return [complaint for arguments in FILE_OPTIONS for path in paths if not is_fine(arguments, path, folder)
                for complaint in refused([path if word == "PATH" else word for word in arguments])]


def is_fine(arguments: list[str], path: str, folder: str) -> bool:
    """Returns whether the path is valid: a directory may be copied into the machine, and so may a dangling link."""
    fine = {"--share": (folder + "/",), "--file": (folder + "/", os.path.join(folder, "loop"))}
    return path in fine.get(arguments[1], ())


def refused(arguments: list[str]) -> list[str]:
    return complaints_about(arguments, status.USAGE, *run_under("", Condition(), arguments))


def programs() -> list[str]:
    """Checks that a file that cannot be run is refused before the boot."""
    elf = bytearray(b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHIQQQ", 2, 62, 1, 0x400000, 64, 0) + bytes(200))
    cases = {
        "empty": (b"", "is not an ELF program"), "script": (b"#!/bin/sh\necho hello\n", "is not an ELF program"),
        "cut": (elf[:20], "is cut short"), "arm64": (changed(elf, 18, 183), "for another processor"),
        "32-bit": (changed(elf, 4, 1), "a 32-bit program"),
        "object": (changed(elf, 16, 1), "an object file: link it with"),
        "core": (changed(elf, 16, 4), "is no program; compile one"),
        "nothing-in-it": (elf, "cannot be executed: Exec format error"),
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, (contents, _) in cases.items():
            with open(os.path.join(folder, name), "wb") as file:
                file.write(contents)
        os.mkfifo(os.path.join(folder, "pipe"))
        commands = [(["run", os.path.join(folder, name)], words) for name, (_, words) in cases.items()]
        commands.append((["run", "--file", os.path.join(folder, "pipe"), HELLO], "is a device, a pipe or a socket"))
        commands.append((["run", os.path.join(folder, "pipe")], "is not a file"))
        return [complaint for arguments, words in commands for complaint in told(arguments, words)]


def changed(data: bytes, at: int, byte: int) -> bytes:
    return data[:at] + bytes([byte]) + data[at + 1:]


def told(arguments: list[str], words: str) -> list[str]:
    got, said = run_under("", Condition(), arguments)
    lacks = [f"{' '.join(arguments)} lacks “{words}”: {said}"] if words not in said else []
    return complaints_about(arguments, status.USAGE, got, said) + lacks


def another_place() -> list[str]:
    """Runs in a clone whose path has a space in it; GDB is one of the programs that might not accept that."""
    with tempfile.TemporaryDirectory() as folder:
        clone = os.path.join(folder, "a clone")
        # not a symbolic link, which would be followed
        shutil.copytree(os.path.join(ROOT, "tools"), os.path.join(clone, "tools"))
        for name in ("build", "kernel", "mm"):
            os.symlink(os.path.join(ROOT, name), os.path.join(clone, name))
        command = [os.path.join(clone, "tools", "faultline"), "run", "--gdb-script", "tests/gdb/attach.py", HELLO]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE,
                              check=False)
        return [] if re.search(r"script: \d+ checks", done.stdout) else [done.stdout[-500:] + done.stderr]


def several_runs() -> list[str]:
    """Checks that Ctrl-C ends a command with several runs, not only its current run."""
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "report.html")
        complaints = interrupted(signal.SIGINT, 3, os.path.join(folder, "log"), "report", ["-o", out])
        return complaints + (["a report was written"] if os.path.exists(out) else [])


def nonblocking() -> list[str]:
    """Checks that a non-blocking pipe that is read late loses nothing."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETFL, os.O_NONBLOCK)
    with subprocess.Popen([TOOL, "run", "/bin/busybox", "seq", "1", str(ECHO_LINES)], stdin=subprocess.DEVNULL,
                          stdout=writer) as tool:
        os.close(writer)
        time.sleep(3)
        with os.fdopen(reader, "rb") as file:
            got = file.read()
    wanted = "".join(f"{number}\n" for number in range(1, ECHO_LINES + 1)).encode()
    return [] if got == wanted and tool.returncode == 0 else [
        f"status {tool.returncode}, {len(got)} of {len(wanted)} bytes"]


def signals() -> list[str]:
    """Sends signals at various times. Ctrl-C waits for the log to exist: until then, Python handles it."""
    with tempfile.TemporaryDirectory() as folder:
        log = os.path.join(folder, "log")
        return [complaint for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT) for tenths in range(0, 20, 2)
                for complaint in interrupted(number, tenths / 10, log)]


def interrupted(number: signal.Signals, delay: float, log: str, verb: str = "run",
                options: collections.abc.Sequence[str] = ()) -> list[str]:
    arguments = [verb, "--log", log, *options, "build/user/end", "signal", "0"]  # this program does not end
    with subprocess.Popen([TOOL, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE) as tool:
        while number == signal.SIGINT and not os.path.exists(log) and tool.poll() is None:
            time.sleep(0.01)
        time.sleep(delay)
        tool.send_signal(number)
        try:
            said = tool.communicate(timeout=PATIENCE / 5)[1].decode(errors="replace")
        except subprocess.TimeoutExpired:
            tool.kill()
            return [f"{' '.join(arguments)} goes on after {number.name}"]
    if os.path.exists(log):
        os.unlink(log)
    got = 128 - tool.returncode if tool.returncode < 0 else tool.returncode
    return complaints_about([*arguments, f"{number.name} after {delay} s"], 128 + number, got, said)


def bare_machine() -> list[str]:
    """
    Checks that a build with nothing installed names all that is missing and the command, not one error after the other.
    """
    with tempfile.TemporaryDirectory() as folder:
        for name in ("sh", "make", "id", "env", "nproc"):
            os.symlink(place_of(name), os.path.join(folder, name))
        return [complaint for goal, packages in BARE_GOALS.items() for complaint in told_of(goal, packages, folder)]


def place_of(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise FileNotFoundError(f"there is no {name} in the PATH")
    return path


def told_of(goal: str, packages: str, path: str) -> list[str]:
    environment = {"PATH": path, "HOME": "/"}
    result = subprocess.run([place_of("make"), *goal.split()], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL,
                            capture_output=True, text=True, check=False)
    wanted = (r"deps: not found on this machine: .*; `make deps` installs .*, or run:  "
              rf"(sudo )?apt-get install {packages}\.")
    return [] if result.returncode == 2 and re.search(wanted, result.stderr) else [f"make {goal}: {result.stderr}"]


BARE_GOALS = {"": "gcc binutils nasm python3", "user": "gcc musl-tools", "host": "gcc.*",
              "iso": "gcc binutils nasm .*xorriso mtools"}
SPECIAL = {"bare-machine": bare_machine, "paths": bad_paths, "programs": programs, "another-place": another_place,
           "stdin-directory": stdin_directory, "nonblocking": nonblocking, "signals": signals,
           "several-runs": several_runs}
TESTS = (*CONDITIONS, *SPECIAL)
