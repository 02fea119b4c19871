# SPDX-License-Identifier: MIT
"""
The two commands on other distributions: each is installed afresh from its mirror (debootstrap) into build/matrix/, gets a clone
of what is committed here, and is used as a newcomer would use it: `make run` with a script, which installs what is missing, a
session at a terminal, and the tests that depend on tools and libraries; on one of them all of `make test`.

Each is a part of `make soak-all`; `make matrix` tries them all. It needs root, for the chroot, and a mirror.
"""

import dataclasses
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request

from . import ROOT, batch
from .job import Job

DEBIAN, UBUNTU = "/usr/share/keyrings/debian-archive-keyring.gpg", "/usr/share/keyrings/ubuntu-archive-keyring.gpg"
FOLDER = os.path.join(ROOT, "build", "matrix")
SCRIPTS = "/usr/share/debootstrap/scripts"
MIRROR_PATIENCE = 10  # seconds
QUIET = 1200  # seconds that a step may be silent
BEFORE = "make,git,ca-certificates,util-linux"  # what a newcomer has who has cloned this
OF_TOOLS = ("tool/*", "shell/*", "terminal/*", "gdb/*", "plain/*", "cpu/*", "docs/*", "panic/*", "report/*", "trace/*", "boot-*",
            "start-*", "segv-codes", "clone-flags")
STEPS = ("installed", "make run", "terminal", "tests")


@dataclasses.dataclass(frozen=True)
class Distribution:
    name: str
    suite: str
    keyring: str
    whole: bool = False  # runs all of `make test`
    dockerfile: bool = False  # is set up by the steps of the Dockerfile, so that nothing is missing any more


ALL = (
    Distribution("debian-12", "bookworm", DEBIAN),
    Distribution("debian-13", "trixie", DEBIAN, whole=True),
    Distribution("debian-unstable", "sid", DEBIAN),
    Distribution("dockerfile", "trixie", DEBIAN, dockerfile=True),
    Distribution("ubuntu-24.04", "noble", UBUNTU),
)


def why_not(distribution):
    """Why it cannot be tried here, or an empty string."""
    if os.geteuid():
        return "it takes root to chroot"
    if not shutil.which("debootstrap"):
        return "debootstrap is not installed (apt-get install debootstrap)"
    if not os.path.exists(os.path.join(SCRIPTS, distribution.suite)):
        return f"debootstrap here does not know {distribution.suite}"
    if not os.path.exists(distribution.keyring):
        return f"there is no {distribution.keyring}, to check its packages with"
    mirror = default_mirror(distribution.suite)
    try:
        urllib.request.urlopen(f"{mirror}/dists/{distribution.suite}/Release", timeout=MIRROR_PATIENCE).close()
    except (OSError, ValueError) as error:
        return f"its mirror {mirror} is not to be reached: {error}"
    return ""


def default_mirror(suite):
    """The one that debootstrap uses."""
    for path, pattern in ((os.path.join(SCRIPTS, suite), r"default_mirror +(http\S+)"),
                          (shutil.which("debootstrap"), r'DEF_MIRROR="(.*)"')):
        with open(path, encoding="utf-8") as file:
            found = re.search(pattern, file.read())
        if found:
            return found[1]
    return ""


def jobs(distribution):
    """One, whose steps are told one by one; none where it cannot be tried, and that is said."""
    reason = why_not(distribution)
    if reason:
        print(f"matrix/{distribution.name} is left out: {reason}")
        return []
    steps = [Job(name=f"matrix/{distribution.name} {step}", command=["tests/distribution", distribution.name], judge=judge)
             for step in STEPS]
    return [Job(name=f"matrix/{distribution.name}", command=["tests/distribution", distribution.name], judge=judge, limit=QUIET,
                cap=2 * QUIET, weight=90, split=lambda result: batch.split(steps, result, STEPS))]


def judge(result):
    return [] if result.status == 0 else [f"exit status {result.status}", result.stdout.decode(errors="replace")[-6000:]]


# --- Inside one job: tests/distribution NAME ---------------------------------------------------------------------------------

def main(names):
    """Prints a line for each step, as the host tests do; ends at the first that fails. 0, or 1."""
    known = {one.name: one for one in ALL}
    if len(names) != 1 or names[0] not in known:
        print(f"usage: tests/distribution NAME, one of {', '.join(known)}", file=sys.stderr)
        return 2
    distribution = known[names[0]]
    reason = why_not(distribution)
    if reason:
        print(f"{distribution.name} cannot be tried here: {reason}", file=sys.stderr)
        return 1
    root = os.path.join(FOLDER, distribution.name)
    steps = (lambda: install(distribution, root), lambda: run_script(distribution, root), lambda: use_terminal(root),
             lambda: run_tests(distribution, root))
    for name, step in zip(STEPS, steps):
        started = time.monotonic()
        done = step()
        print(f"{'ok    ' if done else 'FAILED'} {name} ({(time.monotonic() - started) * 1000:.0f} ms)", flush=True)
        if not done:
            return 1
    shutil.rmtree(root)
    return 0


def install(distribution, root):
    """The distribution as it comes, and a clone of our last commit."""
    shutil.rmtree(root, ignore_errors=True)
    os.makedirs(root)
    command = ["debootstrap", "--variant=minbase", f"--include={BEFORE}", distribution.suite, root]
    return (run(command) and run(["git", "clone", "-q", ROOT, os.path.join(root, "faultline")]) and
            all(inside(root, step).returncode == 0 for step in (docker_steps() if distribution.dockerfile else [])))


def docker_steps():
    with open(os.path.join(ROOT, "Dockerfile"), encoding="utf-8") as file:
        return re.findall(r"(?m)^RUN ((?:.*\\\n)*.*)", file.read())


def run_script(distribution, root):
    """What is missing is installed on the way; the shell's output and status come back."""
    result = inside(root, "echo 'uname -s; exit 3' | make run", capture=True)
    print(result.stdout[-4000:])
    return (result.returncode == 2 and "\nLinux\n" in result.stdout and "Error 3" in result.stdout and
            ("deps: installing" in result.stdout) != distribution.dockerfile)


def use_terminal(root):
    return inside(root, "tests/terminal window && tests/terminal settings").returncode == 0


def run_tests(distribution, root):
    """As CI runs them: warnings are errors."""
    command = "make test" + ("" if distribution.whole else f' TESTS="{" ".join(OF_TOOLS)}"')
    return inside(root, f"CI=true {command}").returncode == 0


def inside(root, command, capture=False):
    """In the chroot, with mounts that go with the command."""
    script = ('mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" && mount -t sysfs sys "$0/sys" && '
              'exec chroot "$0" sh -c "cd /faultline && $1" 2>&1')
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "TERM": "xterm", "LC_ALL": "C.UTF-8"}
    return subprocess.run(["unshare", "--mount", "sh", "-c", script, root, command], stdin=subprocess.DEVNULL, env=environment,
                          stdout=subprocess.PIPE if capture else None, text=True, errors="replace", check=False)


def run(command):
    return subprocess.run(command, stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT, check=False).returncode == 0
