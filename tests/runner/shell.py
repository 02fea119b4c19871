# SPDX-License-Identifier: MIT
"""Tests of `tools/faultline shell` with a script on its standard input: init, the session, and how the machine ends."""

import re

from .job import Job, Judge, Result

LIVE, FILE = True, False
KILLED = r"\AThe session was killed; the machine goes off\.\n\Z"

# name, how the script arrives, the script, options of `shell`, status, patterns for stdout and stderr
CASES: tuple[tuple[str, bool, str, list[str], int, str, str], ...] = (
    ("pipe", LIVE, "ls /\nwhoami\necho oops >&2\npoweroff -f\necho never\n", [], 0, r"\Abin\ndev\netc\n(.*\n)*root\n\Z",
     r"\Aoops\n\Z"),
    ("status", FILE, "exit 3\n", ["--cpus", "1"], 3, r"\A\Z", r"\A\Z"),
    ("poweroff", FILE, "poweroff\nsleep 100\n", [], 0, r"\A\Z", "Requesting system poweroff"),
    ("reboot", LIVE, "reboot -f\n", ["--fault", "spec"], 0, r"\A\Z", r"\A\Z"),
    ("options", FILE, "cat /etc/given /proc/sys/vm/fault_policy; nproc; echo $NAME\n",
     ["--cpus", "4", "--fault", "vma", "--memory", "128M", "--file", "Makefile:/etc/given", "--env", "NAME=value"], 0,
     r"# Faultline's one Makefile(.*\n)*vma\n4\nvalue\n\Z", r"\A\Z"),
    ("programs", FILE, "help; cow | tail -n 1; type demo cow; ls /usr/lib/faultline/tests | grep -x -e cow -e demo\n",
     [], 0,
     r"Built-in commands:\n(.*\n)+Programs of Faultline, in /usr/bin:\n(  \w+ +\S.*\n)*  demo +the same faults .*\n"
     r"(  \w+ +\S.*\n)*Its tests, in (.*\n){2}\d+ checks, 0 failed\ndemo is /usr/bin/demo\n"
     r"cow is /usr/lib/faultline/tests/cow\ncow\n\Z", r"\A\Z"),
    ("unread-input", LIVE,
     "cat /proc/sys/kernel/hostname\n" + "sleep 1; poweroff -f\n" + "# nobody reads this\n" * 9999, [], 0,
     r"\Afaultline\n\Z", r"\A\Z"),
    ("init-lives", FILE, "kill -9 1; kill -STOP 1; cat /proc/1/comm\n", [], 0, r"\Ainit\n\Z", r"\A\Z"),
    ("session-killed", LIVE, "(kill -9 -1) & wait; echo after\n", [], 137, r"\A\Z", KILLED),
    ("session-killed-alone", FILE, "kill -9 $PPID; sleep 100; exit 4\n", [], 137, r"\A\Z", KILLED),
    ("session-terminated", FILE, "kill -TERM -1; sleep 100; exit 4\n", [], 137, r"\A\Z", KILLED),
    ("session-lives", FILE, "for s in HUP INT QUIT USR1 USR2 PIPE ALRM; do kill -$s $PPID; done\n"
     "sh -c 'trap \"\" HUP TERM; sleep 1000' & rm -rf /bin /sbin /usr; echo end; exit 9\n",
     [], 9, r"\Aend\n\Z", r"\A\Z"),
    ("signalled-shell", FILE, "exec sh -c 'kill -SEGV $$'\n", [], 139, r"\A\Z", "Segmentation fault"),
    ("bios", FILE, "uname -s\n", ["--boot", "bios"], 0, r"\ALinux\n\Z", r"\A\Z"),
)


def jobs(kernel: str | None = None) -> list[Job]:
    """Returns one job for each case; `kernel` replaces the kernel image."""
    image = ["--kernel", kernel] if kernel else []
    return [Job(name=f"shell/{name}", command=["tools/faultline", "shell", *image, *options], stdin=script.encode(),
                live_stdin=live, has_log=True, judge=judge(status, stdout, stderr), weight=2)
            for name, live, script, options, status, stdout, stderr in CASES]


def judge(status: int, stdout: str, stderr: str) -> Judge:
    def complaints(result: Result) -> list[str]:
        wrong = [f"exit status {result.status}, expected {status}"] if result.status != status else []
        return wrong + mismatch("stdout", result.stdout, stdout) + mismatch("stderr", result.stderr, stderr)

    return complaints


def mismatch(what: str, data: bytes, regex: str) -> list[str]:
    said = data.decode(errors="replace")
    return [] if re.search(regex, said) else [f"{what} does not match “{regex}”: {said[-500:]!r}"]
