# SPDX-License-Identifier: MIT
"""Boots one program, or a shell, and reports how it ended."""

import argparse
import collections.abc
import ctypes
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import typing

from . import console, initramfs, iso, machine, share, status, terminal, userland
from .status import UsageError, naming

# Starts something next to QEMU; returns a function that waits for its end.
Beside = collections.abc.Callable[[subprocess.Popen[bytes]], collections.abc.Callable[[], None]]

PR_SET_PDEATHSIG = 1
# or ended by another signal, or the reader of the output has exited: the caller has the status
INTERRUPTED = 128 + signal.SIGINT
BESIDE_MIB = 3  # the kernel's minimum; it takes a share of larger memory, too


def run(options: argparse.Namespace) -> int:
    """`faultline run`: returns the exit status; messages go to stderr."""
    if options.gdb:
        from . import debugger
        return debugger.run(options)
    with tempfile.TemporaryDirectory(prefix="faultline-") as scratch:
        return boot(options, scratch)


def boot(options: argparse.Namespace, scratch: str, extra_qemu: collections.abc.Sequence[str] = (),
         stdin: bytes | None = None, beside: Beside | None = None) -> int:
    """
    Boots once, from the files in `scratch` to the verdict. `stdin` (bytes) replaces the tool's stdin if given. `beside`
    is called once QEMU runs, starts something next to it (GDB), and returns a function that waits for its end.
    """
    if not options.share:
        return boot_machine(options, scratch, None, extra_qemu, stdin, beside)
    shared, ended = share.Share(options.share, options.memory, say), INTERRUPTED
    try:
        ended = boot_machine(options, scratch, shared, extra_qemu, stdin, beside)
    finally:
        if shared.archive:
            ended = shared.put_back(ended)
    return ended


def boot_machine(options: argparse.Namespace, scratch: str, shared: share.Share | None,
                 extra_qemu: collections.abc.Sequence[str], stdin: bytes | None, beside: Beside | None) -> int:
    """Does the work of boot(); `shared` is the directory of --share, or None."""
    has_terminal = stdin is None and terminal.is_usable()
    known = stdin
    if stdin is None and not (has_terminal and is_shell(options)):
        known = console.known_input(options.deterministic)
    boot_arguments = prepare_boot(options, scratch, shared, known, has_terminal)
    channels = console.Console(None if known is not None else 0, open_log(options), options.verbose, has_terminal,
                               is_shell(options))
    arguments = machine.qemu_arguments(options, channels.for_qemu, boot_arguments) + list(extra_qemu)
    arguments += shared.qemu_arguments(scratch) if shared else []
    with open(os.path.join(scratch, "qemu.err"), "w+b") as qemu_errors:
        qemu = start(arguments, channels, qemu_errors)
        try:
            wait_beside = beside(qemu) if beside else lambda: None
            finished = channels.carry(time.monotonic() + options.timeout if options.timeout else None)
            wait_beside()
            timed_out = not (finished or channels.log.finished() or channels.log.in_panic()
                             or shared and shared.arrived())
            if not finished and shared:
                channels.end_machine(shared.arrived)
            if timed_out and not beside and not channels.log.finished():
                channels.ask_where()
        except KeyboardInterrupt:
            tell_of_hang(options, channels.log)
            raise
        finally:
            end(qemu, channels, shared)
        if beside and not channels.log.finished() and not did_not_start(channels.log, qemu):
            return 0  # ended by the user
        return verdict(options, channels.log, timed_out, qemu, qemu_errors)


def is_shell(options: argparse.Namespace) -> bool:
    return options.program is None


def end(qemu: subprocess.Popen[bytes], channels: console.Console, shared: share.Share | None) -> None:
    """Ends the machine in every case. If it has files to bring back, it is asked to end first."""
    try:
        if shared and qemu.poll() is None:
            channels.end_machine(shared.arrived)
    finally:
        stop(qemu)
        channels.close()


def prepare_boot(options: argparse.Namespace, scratch: str, shared: share.Share | None, stdin: bytes | None,
                 has_terminal: bool) -> list[str]:
    kernel = options.kernel or machine.kernel_path(options.release)
    if is_shell(options):
        archive = userland.build(options.files, options.env, stdin, shared)
    else:
        archive = initramfs.build(options.program, options.args, options.files, options.env, stdin, shared)
    check_fits(len(archive), options.memory)
    command_line = machine.kernel_command_line(options, has_terminal)
    if options.boot != "direct":
        image = os.path.join(scratch, "faultline.iso")
        iso.build(image, kernel, archive, command_line)
        return machine.boot_image(image, options.boot)
    path = os.path.join(scratch, "initramfs")
    with naming("cannot write the boot module"), open(path, "wb") as file:
        file.write(archive)
    return machine.boot_direct(kernel, path, command_line, options.deterministic)


def check_fits(size: int, memory_mib: int) -> None:
    """Refuses too large an archive: the kernel unpacks it into memory, and would run out in the middle of it."""
    needed = -(-2 * size >> 20) + BESIDE_MIB + memory_mib // 32
    if needed > memory_mib:
        raise UsageError(f"the files for the machine are too big: {-(-size >> 20)} MiB, of which it holds "
                         f"two copies, in {memory_mib}M of memory; --memory gives it more")


def open_log(options: argparse.Namespace) -> typing.IO[bytes]:
    """
    Opens a new file for each run: the newest run has the name, earlier ones that still run keep writing to theirs.
    """
    path = options.log or os.path.join(machine.ROOT, "build", "last-run.log")
    try:
        if not options.log and os.path.lexists(path):
            os.unlink(path)
        return open(path, "wb", buffering=0)
    except OSError as error:
        if options.log:
            raise UsageError(f"--log: cannot write {path}: {error.strerror}") from error
        return open(os.devnull, "wb", buffering=0)


def start(arguments: list[str], channels: console.Console, errors: typing.IO[bytes]) -> subprocess.Popen[bytes]:
    def in_child() -> None:
        # A session of its own, so that only this process gets Ctrl-C. QEMU dies with it, however it ends.
        os.setsid()
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    try:
        process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors,
                                   pass_fds=tuple(channels.for_qemu.values()), preexec_fn=in_child)
    except OSError as error:
        raise UsageError(f"cannot start {arguments[0]}: {error.strerror}") from error
    channels.qemu_started()
    return process


def stop(qemu: subprocess.Popen[bytes]) -> None:
    try:
        qemu.wait(timeout=0.5 if qemu.poll() is None else 0)
    except subprocess.TimeoutExpired:
        qemu.kill()
        qemu.wait()


def verdict(options: argparse.Namespace, log: console.LogWatcher, timed_out: bool, qemu: subprocess.Popen[bytes],
            qemu_errors: typing.IO[bytes]) -> int:
    if timed_out:
        tell_of_hang(options, log)
        say(f"time-out: the {'shell' if is_shell(options) else 'program'} has not ended after {options.timeout:g} s "
            f"(kernel log{', with where each CPU was' if log.in_panic() else ''}: {log.file.name})")
        if not log.finished():
            tell_last_words(log)
        return status.TIMED_OUT
    if log.in_panic():
        say("the kernel panicked" + (", see above" if options.verbose else ":"))
        if not options.verbose:
            sys.stderr.buffer.write(b"".join(line + b"\n" for line in log.panic_lines))
            sys.stderr.buffer.flush()
        if log.stdin_ready:  # otherwise no program has run: a CPU that lacks a feature lacks it each time
            say(f"to run it again: {command_line()}" +
                ("" if options.deterministic else "   (with --schedule SEED the CPUs interleave alike each time)"))
        return status.PANIC
    if log.exit_record is not None:
        return program_status(options, log)
    qemu_errors.seek(0)
    said = qemu_errors.read().decode(errors="replace").strip()
    if did_not_start(log, qemu):
        say("QEMU did not start: "
            f"{said.removeprefix('qemu-system-x86_64: ') or f'it ended with {qemu.returncode}, without a word'}")
        return status.MACHINE_DIED
    say(f"the machine died without a verdict of the kernel: {said or 'a triple fault?'} (QEMU ended with "
        f"{qemu.returncode}; kernel log: {log.file.name})")
    tell_last_words(log)
    return status.MACHINE_DIED


def did_not_start(log: console.LogWatcher, qemu: subprocess.Popen[bytes]) -> bool:
    """Returns whether QEMU refused an argument or failed on the host, before the kernel wrote anything."""
    return qemu.returncode > 0 and not log.has_begun


def tell_last_words(log: console.LogWatcher) -> None:
    """Prints the end of the log if the kernel has not reported why it ended or where it is."""
    lines = [line for line in [*log.last_lines, log.partial] if line]
    say("the last words of its log:" if lines else "the kernel has not written a word to its log")
    sys.stderr.buffer.write(b"".join(line + b"\n" for line in lines))
    sys.stderr.buffer.flush()


def tell_of_hang(options: argparse.Namespace, log: console.LogWatcher) -> None:
    """Reports a hang to a user who has waited in vain, unless it was reported before."""
    if log.hang_lines and not log.tells_hangs and not options.verbose:
        say("the kernel has reported a hang:")
        sys.stderr.buffer.write(b"".join(line + b"\n" for line in log.hang_lines))
        sys.stderr.buffer.flush()


def program_status(options: argparse.Namespace, log: console.LogWatcher) -> int:
    match = re.match(r"status=(\d+) check=(\w+)", log.exit_record or "")
    if not match:
        say(f"cannot read the kernel's exit record “{log.exit_record}”")
        return status.MACHINE_DIED
    ended_with = status.from_wait_status(int(match[1]))
    refused = re.search(rb"first program cannot be executed: error (\d+)", b"\n".join(log.last_lines))
    if refused:
        say(f"{options.program or userland.INIT} cannot be executed: {os.strerror(int(refused[1]))}")
    if ended_with > 128 and not is_shell(options) and os.isatty(2):
        tell_of_signal(options, ended_with - 128)
    if match[2] == "ok":
        return ended_with
    say(f"the program ended with {ended_with}, but the kernel's own checks failed; the end of its log:")
    sys.stderr.buffer.write(b"".join(line + b"\n" for line in log.last_lines))
    return status.CHECK_FAILED


def tell_of_signal(options: argparse.Namespace, number: int) -> None:
    """Prints what a shell would print."""
    advice = "; --explain says why" if number in (signal.SIGSEGV, signal.SIGBUS) and not options.explain else ""
    say(f"the program was killed by signal {number} ({signal.strsignal(number)}){advice}")


def command_line() -> str:
    """Returns the command that was typed, quoted, to be typed again in the root of the repository."""
    program = os.path.relpath(os.path.realpath(sys.argv[0]), machine.ROOT)
    return shlex.join([program, *sys.argv[1:]])


def say(text: str) -> None:
    print(f"faultline: {text}", file=sys.stderr, flush=True)
