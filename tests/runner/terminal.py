# SPDX-License-Identifier: MIT
"""
Tests of `tools/faultline shell` at a terminal: each function of TESTS drives one boot by its keyboard. They run as
`tests/terminal NAME`, like any other job.
"""

import collections.abc
import os
import signal
import sys
import time

from faultline_host.options import MULTIBOOT2

from . import OUTPUT, ROOT
from .job import Job, Result
from .keyboard import COLUMNS, ROWS, Keyboard, Missed

PROMPT = r"~ # (\x1b\[6n)?"
CTRL_C, CTRL_D, CTRL_BACKSLASH, CTRL_RIGHT, CTRL_U, CTRL_W, CTRL_Z = tuple("\x03\x04\x1c\x1d\x15\x17\x1a")
SETTINGS = "build/user/terminal_settings"
AWAIT_STOP = "until grep -q 'State:.T' /proc/$!/status; do sleep 0.01; done"
ERASE, UP, ESCAPE = "\x7f", "\x1b[A", "\x1b"


def window(keys: Keyboard) -> None:
    """
    The prompt comes with four lines of advice; the terminal has its name and the window's size; poweroff ends the
    machine.
    """
    keys.wait_for(r"demo .*\r\n.*cat /proc/vmstat .*\r\n.*echo spec > /proc/sys/vm/fault_policy")
    keys.wait_for(PROMPT)
    check(keys.is_raw(), "the terminal is not raw")
    keys.line("tty; stty size; test -t 2 && echo error-too", rf"/dev/ttyS0\r\n{ROWS} {COLUMNS}\r\nerror-too\r\n")
    keys.line("sh -c 'trap \"stty size; exit\" WINCH; echo go; while :; do sleep 0.1; done'", r"go\r\n")
    keys.resize(11, 77)
    keys.wait_for(r"11 77\r\n")
    keys.line("stty -echo; echo go; read secret; stty echo; echo got $secret", r"go\r\n")
    keys.type("unseen\r")
    keys.wait_for(r"^got unseen\r\n")
    keys.wait_for(PROMPT)
    keys.type("poweroff\r")
    keys.wait_for("Requesting system poweroff")
    check(keys.end() == 0, "poweroff should end with status 0")


def editing(keys: Keyboard) -> None:
    """The kernel edits lines for cat, the shell edits its own."""
    keys.wait_for(PROMPT)
    keys.line("sh -c 'echo go; exec cat'", r"go\r\n")
    keys.type(f"abc{ERASE}d{CTRL_W}wrong{CTRL_U}a\tb{ERASE}{ERASE}c\r")
    keys.wait_for(r"abc\x08 \x08d(\x08 \x08){3}wrong(\x08 \x08){5}a\tb\x08 \x08\x08{7}c\r\nac\r\n")
    keys.type(f"no newline{CTRL_D}")
    keys.wait_for("no newlineno newline")
    keys.type(f"{CTRL_D}")
    keys.wait_for(PROMPT)
    keys.type(f"echo first{ERASE * 5}last\r")
    keys.wait_for(r"\nlast\r\n" + PROMPT)
    keys.type(UP + "ing\r")
    keys.wait_for(r"\nlasting\r\n" + PROMPT)
    keys.line("stty raw -echo min 3; echo go; dd bs=9 count=1 2> /dev/null | od -c; stty sane", r"go\n")
    keys.type("x" + CTRL_C + "y")
    keys.wait_for(r"0000000 +x 003 +y\s+0000003\s+" + PROMPT)
    keys.type("exit 3\r")
    check(keys.end() == 3, "the shell's status should be the tool's")


def job_control(keys: Keyboard) -> None:
    """Keys send signals to the foreground job only; jobs stop, continue, and may not read in the background."""
    keys.wait_for(PROMPT)
    keys.line("sh -c 'echo go; exec sleep 100'", r"go\r\n")
    keys.type(CTRL_C)
    keys.wait_for(r"\^C\r\n" + PROMPT)
    keys.line("echo $?", r"130\r\n" + PROMPT)
    keys.line("sh -c 'echo go; exec sleep 100' | cat", r"go\r\n")
    keys.type(CTRL_BACKSLASH)
    keys.wait_for(r"\^\\.*Quit")
    keys.wait_for(PROMPT)
    keys.line("sleep 1000 &", PROMPT)
    keys.line("sh -c 'echo go; exec sleep 2000'", r"go\r\n")
    keys.type(CTRL_Z)
    keys.wait_for(r"\^Z\[2\]\+ +Stopped .*sleep 2000.?\r\n" + PROMPT)
    keys.line("jobs", r"\[2\]\+ +Stopped .*\r\n\[1\]- +Running +sleep 1000\r\n" + PROMPT)
    keys.line("bg; jobs", r"\[2\] sh .*\r\n\[2\]. +Running .*\r\n.*sleep 1000\r\n" + PROMPT)
    keys.line("fg", r"sleep 2000.?\r\n")
    keys.type(CTRL_C)
    keys.wait_for(PROMPT)
    keys.line("kill %1; wait; jobs; echo none left", r"none left\r\n" + PROMPT)
    keys.line("cat &", PROMPT)
    keys.line(f"{AWAIT_STOP}; jobs", r"\[1\]\+ +Stopped \(tty input\) +cat\r\n")
    keys.line("kill -9 %1; stty tostop; echo hidden &", PROMPT)
    keys.line(f"{AWAIT_STOP}; jobs", r"\[2\]\+ +Stopped \(tty output\) +echo hidden\r\n")
    keys.line("fg", r"hidden\r\n" + PROMPT)
    keys.type(CTRL_D)
    check(keys.end() == 0, "Ctrl-D should end the shell")


def faults_live(keys: Keyboard) -> None:
    """faulttop refreshes its figures; q and Ctrl-C leave it, and the terminal is as before."""
    keys.wait_for(PROMPT)
    for leave in ("q", CTRL_C):
        keys.type("faulttop -d 0.1\r")
        for _ in range(2):
            keys.wait_for(r"faulttop: q leaves\r\n  faults +\d+/s +\d+\r\n")
            keys.wait_for(r"strategies, attempts answered\r\n  spec +\d+/s")
            keys.wait_for(r"reasons\r\n")
            keys.wait_for(r"kinds, of the last \d+ faults\r\n")
        keys.type(leave)
        keys.wait_for(PROMPT)
        keys.line("echo status $?; stty -a | grep -c ' icanon.* echo '", r"status 0\r\n1\r\n" + PROMPT)
    keys.type(CTRL_D)
    check(keys.end() == 0, "Ctrl-D should end the shell")


def full_screen(keys: Keyboard) -> None:
    """vi, less and top set the terminal as they need it and restore it."""
    keys.wait_for(PROMPT)
    keys.type("vi /tmp/text\r")
    keys.wait_for(rf"\x1b\[{ROWS};1H")
    for part in (f"iHello, world{ESCAPE}", f"bcwthere{ESCAPE}"):
        keys.type(part)
        keys.wait_for(r"- /tmp/text \[Modified\]")  # a key sent at once would belong to the escape
    keys.type(":wq\r")
    keys.wait_for(PROMPT)
    keys.line("cat /tmp/text", r"Hello, there\r\n" + PROMPT)
    keys.type("less /etc/profile\r")
    keys.wait_for("login shell")
    keys.type("/alias")
    keys.insist("\r", r"\x1b\[7malias")
    keys.type("q")
    keys.wait_for(PROMPT)
    keys.type("top\r")
    keys.wait_for(r"Load average: .*\r\n.*PID +PPID USER")
    keys.type("q")
    keys.wait_for(PROMPT)
    keys.line("stty | grep -c brkint", "1")
    keys.type("reboot -f\r")
    check(keys.end() == 0, "reboot should end with status 0")


def ends(keys: Keyboard) -> None:
    """Ctrl-] three times ends a machine in which no program reacts to keys."""
    keys.wait_for(PROMPT)
    keys.line("stty raw -echo; sleep 1000", "")
    keys.type(CTRL_RIGHT * 3)
    check(keys.end() == 128 + signal.SIGINT, "three times Ctrl-] should end with status 130")


def session_killed(keys: Keyboard) -> None:
    """kill -9 -1 spares the shell that runs it, but not its parent: the session is over, and so is the machine."""
    keys.wait_for(PROMPT)
    keys.type("kill -9 -1\r")
    keys.wait_for(r"The session was killed; the machine goes off\.\r\n")
    check(keys.end() == 137, "the status should be that of a killed program")


def killed(keys: Keyboard) -> None:
    """After the tool is killed, the terminal is restored."""
    keys.wait_for(PROMPT)
    check(keys.is_raw(), "the terminal is not raw")
    keys.process.send_signal(signal.SIGTERM)
    check(keys.end() == 128 + signal.SIGTERM, "SIGTERM should end with status 143")


def interrupted_boot(keys: Keyboard) -> None:
    """
    Ctrl-C before the machine has the terminal ends the tool. GRUB finds no kernel here, so the machine never has it.
    """
    while not os.path.exists(log_of("interrupted-boot")):
        time.sleep(0.01)
    keys.type(CTRL_C)
    check(keys.end() == 128 + signal.SIGINT, "Ctrl-C should end with status 130")


def no_prompt(keys: Keyboard) -> None:
    """The tool reports a machine that shows nothing. GRUB finds no kernel here."""
    keys.wait_for(r"nothing has appeared on the terminal for 20 s")
    keys.wait_for(r"ends it\. The kernel's log: .*\.log")
    keys.type(CTRL_C)
    check(keys.end() == 128 + signal.SIGINT, "Ctrl-C should end with status 130")


def misplaced(keys: Keyboard) -> None:
    """At a terminal, the tool warns that an option after the program is the program's."""
    keys.wait_for(r"--cpus is an argument of the program here; as an option of faultline run, "
                  r"put it before the program\r\n")
    check(keys.end() == 0, "the program's status should be the tool's")


def program(keys: Keyboard) -> None:
    """A program of `tools/faultline run` has the terminal, too: lines, Ctrl-D, and Ctrl-C while no program reads."""
    while not keys.is_raw():
        time.sleep(0.01)
    keys.type(f"some{ERASE}{CTRL_D}")
    keys.wait_for(r"some\x08 \x08")
    keys.type("th\r")
    keys.wait_for(r"th\r\nsomth\r\n")
    keys.type(CTRL_D)
    keys.wait_for(r"\[1 lines, 6 bytes\]\r\necho: done\r\n|echo: done\r\n\[1 lines, 6 bytes\]\r\n")
    check(keys.end() == 0, "the program's status should be the tool's")


def make_run(keys: Keyboard) -> None:
    """The README's first command, as a user types it."""
    keys.wait_for(PROMPT)
    keys.line("tty; stty size", rf"/dev/ttyS0\r\n{ROWS} {COLUMNS}\r\n")
    keys.wait_for(PROMPT)
    keys.type("poweroff\r")
    keys.wait_for("Requesting system poweroff")
    check(keys.end() == 0, "poweroff should end with status 0")


def settings(keys: Keyboard) -> None:
    """The terminal answers as a Linux pseudo-terminal does, to the requests of older and newer C libraries."""
    linux = Keyboard([os.path.join(ROOT, SETTINGS)])
    try:
        for terminal in (linux, keys):
            terminal.wait_for(r"\d checks, 0 failed\r\n")
            check(terminal.end() == 0, "the program's status should be 0")
    finally:
        linux.close()


def hang_up(keys: Keyboard) -> None:
    """A write that waits because output is stopped ends when the terminal is hung up."""
    keys.wait_for(r"\d checks, 0 failed\r\n")
    check(keys.end() == 0, "the program's status should be 0")


TESTS = {
    "window": window, "editing": editing, "job-control": job_control, "full-screen": full_screen, "ends": ends,
    "killed": killed, "session-killed": session_killed, "interrupted-boot": interrupted_boot, "program": program,
    "faulttop": faults_live, "misplaced": misplaced, "settings": settings, "no-prompt": no_prompt, "make-run": make_run,
    "hang-up": hang_up,
}
SOAK = ("no-prompt", "make-run")  # these wait or build longer than `make test` should
NOT_A_KERNEL = os.path.join(OUTPUT, "not-a-kernel.elf")  # only the tool takes it for one
NO_KERNEL = ["shell", "--boot", "bios", "--kernel", NOT_A_KERNEL]
COMMANDS = {  # the others: shell
    "program": ["run", "build/user/echo"], "settings": ["run", SETTINGS], "hang-up": ["run", SETTINGS, "hang-up"],
    "interrupted-boot": NO_KERNEL,
    "no-prompt": NO_KERNEL, "misplaced": ["run", "build/user/hello", "--cpus", "4"],
}


def check(condition: bool, complaint: str) -> None:
    if not condition:
        raise Missed(complaint)


def jobs(kernel: str | None = None) -> list[Job]:
    """Returns one job for each test; `kernel` replaces the kernel image."""
    return [job(name, kernel) for name in TESTS if name not in SOAK]


def soak_jobs() -> list[Job]:
    return [job(name) for name in SOAK]


def job(name: str, kernel: str | None = None) -> Job:
    image = ["--kernel", kernel] if kernel else []
    return Job(name=f"terminal/{name}", command=["tests/terminal", name, *image], judge=judge, weight=4)


def judge(result: Result) -> list[str]:
    return [] if result.status == 0 else [result.stderr.decode(errors="replace")]


def log_of(name: str) -> str:
    return os.path.join(ROOT, "build", "tests", f"terminal_{name}.machine.log")


def command(name: str, log: str, options: collections.abc.Sequence[str]) -> list[str]:
    if name == "make-run":
        return ["make", "-C", ROOT, "run"]
    verb, *program_words = COMMANDS.get(name, ["shell"])
    return [os.path.join(ROOT, "tools", "faultline"), verb, "--log", log, *options, *program_words]


def main(name: str, *options: str) -> int:
    """`tests/terminal NAME [OPTIONS of tools/faultline shell]`: returns 0, or 1 and prints what did not appear."""
    log = log_of(name)
    os.makedirs(os.path.dirname(log), exist_ok=True)
    if os.path.exists(log):
        os.unlink(log)
    with open(NOT_A_KERNEL, "wb") as file:
        file.write(b"\x7fELF" + MULTIBOOT2)
    keys = Keyboard(command(name, log, options))
    try:
        TESTS[name](keys)
        check(keys.is_restored(), "the terminal was not restored")
    except Missed as missed:
        print(missed, file=sys.stderr)
        return 1
    finally:
        keys.close()
    return 0
