# SPDX-License-Identifier: MIT
"""What the same binary, with the same arguments, files, environment and input, does on the Linux we run on."""

import functools
import os
import resource
import shutil
import subprocess
import tempfile
import threading

from faultline_host import initramfs

from . import ROOT
from .job import usual_signals

PATIENCE = 600  # seconds
STACK = 8 << 20
LOCKS = {}  # by program, so that nobody asks what is being asked already


def on_linux(program, args, files, environment, stdin):
    """(status as a shell sees it, stdout, stderr). Arguments are tuples, so that equal questions are asked once."""
    with LOCKS.setdefault(program, threading.Lock()):
        return ask(program, args, files, environment, stdin)


@functools.lru_cache(maxsize=None)
def ask(program, args, files, environment, stdin):
    env = dict(pair.split("=", 1) for pair in initramfs.merge_environment(environment))
    with tempfile.TemporaryDirectory(prefix="faultline-oracle-") as root:
        for source, destination in files:
            place(os.path.join(ROOT, source), os.path.join(root, destination))
        place(os.path.join(ROOT, program), os.path.join(root, initramfs.place_of(program)))
        result = subprocess.run([program, *args], executable=os.path.join(ROOT, program), cwd=root, env=env,
                                input=stdin, capture_output=True, timeout=PATIENCE, check=False,
                                preexec_fn=usual_surroundings)
    status = result.returncode if result.returncode >= 0 else 128 - result.returncode
    return status, result.stdout, result.stderr


def usual_surroundings():
    """The signals and limits a fresh Linux gives, which are those that the kernel gives, whatever this shell's are."""
    usual_signals()
    resource.setrlimit(resource.RLIMIT_STACK, (STACK, resource.getrlimit(resource.RLIMIT_STACK)[1]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def place(source, destination):
    os.makedirs(os.path.dirname(destination), exist_ok=True)
    if os.path.isdir(source):
        shutil.copytree(source, destination)
    else:
        shutil.copy(source, destination)
