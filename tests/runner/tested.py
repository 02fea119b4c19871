# SPDX-License-Identifier: MIT
"""Records the versions with which each distribution has passed, from tests/runner/matrix.py, in docs/tested.toml."""

import fcntl
import os
import re
import subprocess
import tomllib

from . import ROOT

PATH = os.path.join(ROOT, "docs", "tested.toml")
HEAD = (
    "# The versions with which each distribution has passed: written by `make matrix` and the parts matrix-… of "
    "`make soak-all`, shown in\n"
    "# README.md (tools/generate-docs).\n")
QUESTIONS = "gcc --version; qemu-system-x86_64 --version; gdb --version; python3 --version"
ANSWERS = {
    "gcc": r"^gcc \(.*\) (\d+\.\d+)",
    "qemu": r"^QEMU emulator version (\d+\.\d+)",
    "gdb": r"^GNU gdb \(.*\) (\d+\.\d+)",
    "python": r"^Python (\d+\.\d+)",
}


def record(name: str, answers: str) -> None:
    """Writes one distribution's versions, under a lock: two distributions may finish at once."""
    versions = {tool: re.findall(pattern, answers, re.MULTILINE)[0] for tool, pattern in ANSWERS.items()}
    with open(PATH, "r+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        known = {**tomllib.loads(file.read()), name: versions}
        file.seek(0)
        file.truncate()
        file.write(HEAD + "".join(section(one, known[one]) for one in sorted(known)))
        file.flush()
        subprocess.run(["tools/generate-docs"], cwd=ROOT, check=True)


def section(name: str, versions: dict[str, str]) -> str:
    return f'\n["{name}"]\n' + "".join(f'{tool} = "{one}"\n' for tool, one in versions.items())
