#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Boots in plain QEMU, without tools/faultline: the default CPU, a VGA, a serial port, no debug console. The contents of
the screen are read from its text-mode memory.
"""

import collections.abc
import os
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TEXT_SCREEN, TEXT_SIZE, COLUMNS = 0xB8000, 4000, 80
PATIENCE = 100  # seconds
GRUB_SAYS = "its console is the first serial port"
SENTENCE = "Faultline needs a CPU with nx: pages without execute permission"


class Machine:
    def __init__(self, scratch: str, *arguments: str) -> None:
        self.scratch = scratch
        self.qemu = subprocess.Popen(
            ["qemu-system-x86_64", "-m", "128", "-display", "none", "-no-reboot", "-monitor", "stdio",
             "-serial", f"file:{scratch}/serial", *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)

    def serial(self) -> str:
        try:
            with open(f"{self.scratch}/serial", encoding="utf-8", errors="replace", newline="") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def screen(self) -> str:
        """Returns the text on the screen, a line for each row; nothing if the machine has ended."""
        path = f"{self.scratch}/screen"
        try:
            print(f"pmemsave {TEXT_SCREEN:#x} {TEXT_SIZE} \"{path}\"", file=self.qemu.stdin, flush=True)
        except BrokenPipeError:
            return ""
        wait_for(lambda: self.ended() or os.path.exists(path) and os.path.getsize(path) == TEXT_SIZE,
                 "the screen's memory")
        if not os.path.exists(path):
            return ""
        with open(path, "rb") as file:
            text = file.read()[::2].decode("cp437")
        os.unlink(path)
        return "\n".join(text[at:at + COLUMNS].rstrip() for at in range(0, len(text), COLUMNS))

    def ended(self) -> bool:
        return self.qemu.poll() is not None

    def stop(self) -> None:
        self.qemu.kill()
        self.qemu.wait()


def wait_for(condition: collections.abc.Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {PATIENCE} s in vain for {what}")
        time.sleep(0.1)


def image(scratch: str, *program: str) -> list[str]:
    subprocess.run([f"{ROOT}/tools/faultline", "iso", "--output", f"{scratch}/iso", *program], check=True, cwd=ROOT)
    return ["-cdrom", f"{scratch}/iso"]


def console(scratch: str) -> None:
    """Boots an image on the default CPU, which has no XSAVE: the serial port has the log and the program's output."""
    machine = Machine(scratch, *image(scratch, "build/user/hello"))
    try:
        wait_for(lambda: GRUB_SAYS in machine.screen(), "GRUB's words on the screen")
        wait_for(machine.ended, "the end of the machine")
        assert "hello, world\r\n" in machine.serial() and "checks, 0 failed\r\n" in machine.serial(), machine.serial()
    finally:
        machine.stop()


def headline(scratch: str) -> None:
    """
    Panics: the headline is on the screen, and stays long enough to be read; the whole report is on the serial port.
    """
    machine = Machine(scratch, *image(scratch, "/bin/busybox", "sh", "-c", "echo c > /proc/sysrq-trigger"))
    try:
        wait_for(lambda: "FAULTLINE-PANIC-END\r\n" in machine.serial(), "the end of the panic")
        assert machine.screen().startswith("FAULTLINE-PANIC sysrq: panic requested"), machine.screen()
        time.sleep(3)
        assert not machine.ended(), "the screen was dark at once"
    finally:
        machine.stop()


def missing_feature(scratch: str) -> None:
    """Reports a missing feature on the screen and on the serial port; then the machine ends."""
    machine = Machine(scratch, "-kernel", f"{ROOT}/build/faultline.elf", "-cpu", "qemu64,-nx")
    try:
        wait_for(lambda: SENTENCE in machine.serial(), "the sentence")
        assert SENTENCE in machine.screen(), machine.screen()
        wait_for(machine.ended, "the end of the machine")
    finally:
        machine.stop()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="faultline-boot-") as directory:
        {"console": console, "headline": headline, "missing-feature": missing_feature}[sys.argv[1]](directory)
