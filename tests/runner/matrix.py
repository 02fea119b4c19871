# SPDX-License-Identifier: MIT
"""
Tests `make run` and `make test` on other distributions. Each is installed from its mirror (debootstrap) into
build/matrix/, gets a clone of what is committed here, and is used as a newcomer would use it: `make run` with a script,
which installs what is missing, a session at a terminal, and the tests that depend on tools and libraries; one of them
runs all of `make test`.

Each is a part of `make soak-all`; `make matrix` tries them all. It needs root, for the chroot, and a mirror. The
versions with which it has passed are written to docs/tested.toml, and from there to README.md.
"""

import dataclasses
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request

from . import ROOT, batch, tested
from .job import Job, Result

FOLDER = os.path.join(ROOT, "build", "matrix")
MIRROR_PATIENCE = 10  # seconds
QUIET = 1200  # seconds that a step may be silent
BEFORE = "make,git,ca-certificates,util-linux"  # the packages of a newcomer who has cloned the repository
OF_TOOLS = ("tool/*", "shell/*", "terminal/*", "gdb/*", "plain/*", "cpu/*", "docs/*", "panic/*", "report/*", "trace/*",
            "boot-*", "start-*", "segv-codes", "clone-flags")
OF_DEBUGGER = ("gdb/states", "gdb/events", "gdb/why", "gdb/commands-release")
STEPS = ("installed", "make run", "terminal", "tests")
# The settings by which this machine's APT reaches its mirrors: a proxy, or mirrors with an older date.
OF_MIRRORS = r"Acquire::(https?::.*|Retries|Check-Valid-Until|Check-Date) .*"
PROXIES = ("http_proxy", "https_proxy", "no_proxy")


@dataclasses.dataclass(frozen=True)
class Archive:
    mirror: str
    keyring: str
    script: str  # debootstrap's script, which all current suites share
    components: str = "main"


DEBIAN = Archive("http://deb.debian.org/debian", "/usr/share/keyrings/debian-archive-keyring.gpg", "sid")
UBUNTU = Archive("http://archive.ubuntu.com/ubuntu", "/usr/share/keyrings/ubuntu-archive-keyring.gpg", "gutsy",
                 "main,universe")


@dataclasses.dataclass(frozen=True)
class Distribution:
    name: str
    suite: str
    archive: Archive
    whole: bool = False  # runs all of `make test`
    dockerfile: bool = False  # is set up by the steps of the Dockerfile, so that nothing is missing


ALL = (
    Distribution("debian-12", "bookworm", DEBIAN),
    Distribution("debian-13", "trixie", DEBIAN, whole=True),
    Distribution("debian-unstable", "sid", DEBIAN),
    Distribution("dockerfile", "trixie", DEBIAN, dockerfile=True),
    Distribution("ubuntu-24.04", "noble", UBUNTU),
    Distribution("ubuntu-26.04", "resolute", UBUNTU),
)


left_out = []  # names of tests that may have been asked for, and cannot run here


def why_not(distribution: Distribution) -> str:
    """Returns why the distribution cannot be tried here, or an empty string."""
    if os.geteuid():
        return "it takes root to chroot"
    if not shutil.which("debootstrap"):
        return "debootstrap is not installed (apt-get install debootstrap)"
    archive = distribution.archive
    if not os.path.exists(archive.keyring):
        return (f"there is no {archive.keyring}, to check its packages with (Debian's packages "
                "debian-archive-keyring, ubuntu-keyring)")
    try:
        urllib.request.urlopen(f"{archive.mirror}/dists/{distribution.suite}/Release", timeout=MIRROR_PATIENCE).close()
    except (OSError, ValueError) as error:
        return f"its mirror {archive.mirror} is not to be reached: {error}"
    return ""


def jobs(distribution: Distribution) -> list[Job]:
    """Returns one job, which reports its steps one by one; or none, with a message, if it cannot run here."""
    reason = why_not(distribution)
    if reason:
        print(f"matrix/{distribution.name} is left out: {reason}")
        left_out.append(f"matrix/{distribution.name}")
        return []
    steps = [Job(name=f"matrix/{distribution.name} {step}", command=["tests/distribution", distribution.name],
                 judge=judge) for step in STEPS]
    return [Job(name=f"matrix/{distribution.name}", command=["tests/distribution", distribution.name], judge=judge,
                limit=QUIET, cap=2 * QUIET, weight=90, split=lambda result: batch.split(steps, result, STEPS))]


def judge(result: Result) -> list[str]:
    return [] if result.status == 0 else [
        f"exit status {result.status}", result.stdout.decode(errors="replace")[-6000:]]


# --- Inside one job: tests/distribution NAME --------------------------------------------------------------------------

def main(names: list[str]) -> int:
    """Prints a line for each step, as the host tests do; stops at the first that fails. Returns 0 or 1."""
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
    if not distribution.dockerfile:
        tested.record(distribution.name, inside(root, tested.QUESTIONS, capture=True).stdout)
    shutil.rmtree(root)
    return 0


def install(distribution: Distribution, root: str) -> bool:
    """Installs the distribution without further packages, and clones the last commit."""
    archive = distribution.archive
    shutil.rmtree(root, ignore_errors=True)
    os.makedirs(root)
    command = ["debootstrap", "--variant=minbase", f"--include={BEFORE}", f"--keyring={archive.keyring}",
               f"--components={archive.components}", distribution.suite, root, archive.mirror, archive.script]
    if not run(command) or not run(["git", "clone", "-q", ROOT, os.path.join(root, "faultline")]):
        return False
    reach_mirrors(root)
    return all(inside(root, step).returncode == 0 for step in (docker_steps() if distribution.dockerfile else []))


def reach_mirrors(root: str) -> None:
    """Copies this machine's APT settings."""
    settings = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=False).stdout
    with open(os.path.join(root, "etc", "apt", "apt.conf.d", "99-as-outside"), "w", encoding="utf-8") as file:
        file.writelines(f"{match[0]}\n" for match in re.finditer(f"(?m)^{OF_MIRRORS}$", settings))


def docker_steps() -> list[str]:
    with open(os.path.join(ROOT, "Dockerfile"), encoding="utf-8") as file:
        return re.findall(r"(?m)^RUN ((?:.*\\\n)*.*)", file.read())


def run_script(distribution: Distribution, root: str) -> bool:
    """Checks that missing packages are installed on the way, and that the shell's output and status are returned."""
    result = inside(root, "echo 'uname -s; exit 3' | make run", capture=True)
    print(result.stdout[-4000:])
    return (result.returncode == 2 and "\nLinux\n" in result.stdout and "Error 3" in result.stdout and
            ("deps: installing" in result.stdout) != distribution.dockerfile)


def use_terminal(root: str) -> bool:
    return inside(root, "tests/terminal make-run && tests/terminal window && tests/terminal settings").returncode == 0


def run_tests(distribution: Distribution, root: str) -> bool:
    """Runs tests as CI does: warnings are errors."""
    command = "make test" + ("" if distribution.whole else f' TESTS="{" ".join(OF_TOOLS)}"')
    return inside(root, f"export CI=true; {command} && tests/run soak {' '.join(OF_DEBUGGER)}").returncode == 0


def inside(root: str, command: str, capture: bool = False) -> subprocess.CompletedProcess[str]:
    """Runs a command in the chroot, with mounts that end with the command."""
    script = ('mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" && mount -t sysfs sys "$0/sys" && '
              'exec chroot "$0" sh -c "cd /faultline && $1" 2>&1')
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "TERM": "xterm", "LC_ALL": "C.UTF-8",
                   **{name: os.environ[name] for name in PROXIES if name in os.environ}}
    return subprocess.run(["unshare", "--mount", "sh", "-c", script, root, command], stdin=subprocess.DEVNULL,
                          env=environment, stdout=subprocess.PIPE if capture else None, text=True, errors="replace",
                          check=False)


def run(command: list[str]) -> bool:
    return subprocess.run(command, stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT, check=False).returncode == 0
