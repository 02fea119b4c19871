# SPDX-License-Identifier: MIT
"""
Builds the QEMU command line. The machine has four channels, each a character device of its own, so that they do not mix
and no byte is lost: the ports 0xe9 (kernel log), 0xea (stdout), 0xeb (stderr), and COM1 for stdin.
"""

import argparse
import os
import shutil

from .status import UsageError

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
QEMU = "qemu-system-x86_64"
OVMF_PLACES = ("/usr/share/ovmf/OVMF.fd", "/usr/share/OVMF/OVMF.fd", "/usr/share/qemu/OVMF.fd",
               "/usr/share/edk2/ovmf/OVMF.fd")
PORTS = {"log": 0xE9, "stdout": 0xEA, "stderr": 0xEB}
EXIT_PORT = 0xF4
QUICK_FIRMWARE = "qboot.rom"  # part of QEMU: starts the kernel at once, where SeaBIOS probes for devices first
BARE_MACHINE = "q35,sata=off,i8042=off,smbus=off"  # without devices that only firmware would probe, and wait for


def kernel_path(release: bool = False) -> str:
    path = os.path.join(ROOT, "build", "faultline-release.elf" if release else "faultline.elf")
    if not os.path.exists(path):
        raise UsageError(f"there is no kernel yet ({path}): run make first")
    return path


def kernel_command_line(options: argparse.Namespace, has_terminal: bool) -> str:
    words = []
    if options.fault:
        words.append(f"fault_policy={options.fault}")
    if options.schedule is not None:
        words.append(f"schedule={options.schedule}")
    if options.deterministic:
        words.append("deterministic")
    if options.explain:
        words.append("explain")
    if options.share:
        words.append("share")
    if has_terminal:
        words += ["tty"] + ([] if os.isatty(2) else ["stderr=stream"])
    words += [f"ram{n}={disk.word}" for n, disk in enumerate(options.disks + options.swaps)]
    if options.swaps:
        words.append("swap=" + ",".join(f"ram{len(options.disks) + n}" for n in range(len(options.swaps))))
    if options.append:
        words.append(options.append)
    return " ".join(words)


def qemu_binary() -> str:
    path = shutil.which(QEMU)
    if not path:
        raise UsageError(f"{QEMU} is not installed: run make deps, or install the package qemu-system-x86")
    return path


def ovmf_image() -> str:
    for path in OVMF_PLACES:
        if os.path.exists(path):
            return path
    raise UsageError("no UEFI firmware (OVMF) found: run make deps, or install the package ovmf")


def qemu_arguments(options: argparse.Namespace, channels: dict[str, int], boot: list[str]) -> list[str]:
    """
    Returns QEMU's arguments. `channels` maps log, stdout and stderr to inherited pipe descriptors, stdin and monitor to
    sockets; `boot` is the result of boot_direct or boot_image.
    """
    args = [qemu_binary(), "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"]
    args += ["-machine", "q35" if options.boot != "direct" else BARE_MACHINE]
    args += ["-cpu", options.cpu, "-smp", str(options.cpus), "-m", f"{total_memory(options)}M"]
    args += deterministic_arguments(options) if options.deterministic else ["-accel", f"tcg,thread={threads(options)}"]
    for index, (name, port) in enumerate(PORTS.items(), start=1):
        args += ["-add-fd", f"fd={channels[name]},set={index}"]
        args += ["-chardev", f"file,id={name},path=/dev/fdset/{index},append=on"]
        args += ["-device", f"isa-debugcon,iobase={port:#x},chardev={name}"]
    args += ["-chardev", f"socket,id=stdin,fd={channels['stdin']}", "-serial", "chardev:stdin"]
    args += ["-chardev", f"socket,id=monitor,fd={channels['monitor']}", "-monitor", "chardev:monitor"]
    args += ["-device", f"isa-debug-exit,iobase={EXIT_PORT:#x},iosize=0x04"]
    return args + boot + options.qemu


def total_memory(options: argparse.Namespace) -> int:
    """Returns MiB: the page allocator's memory, the disks, and the kernel's descriptors of the disks' pages."""
    disks = sum(disk.kib for disk in options.disks + options.swaps)
    return options.memory + -(-(disks + disks // 64) // 1024)


def threads(options: argparse.Namespace) -> str:
    """
    Returns "multi", a host thread for each CPU, if the host can run them all at once. Otherwise one thread runs them in
    turn: a CPU that spins then yields at once, instead of burning the time of the CPU that it waits for.
    """
    if options.threads:
        return options.threads
    return "multi" if options.cpus <= len(os.sched_getaffinity(0)) else "single"


def deterministic_arguments(options: argparse.Namespace) -> list[str]:
    """
    Returns arguments by which one thread runs the CPUs in turn and the clock counts instructions: a run is repeatable.
    """
    seed = options.schedule if options.schedule is not None else 1
    return ["-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off", "-seed", str(seed),
            "-rtc", "base=2026-01-01T00:00:00,clock=vm"]


def boot_direct(kernel: str, initramfs: str, command_line: str, deterministic: bool) -> list[str]:
    firmware = [] if deterministic else quick_firmware()
    return ["-kernel", kernel, "-initrd", initramfs, "-append", command_line, *firmware]


def quick_firmware() -> list[str]:
    """
    Returns the arguments for QEMU's fast firmware. Where it is not installed, SeaBIOS does the same, a tenth of a
    second later. Deterministic runs use SeaBIOS: with the fast one, a start under GDB has two possible continuations
    (seen on QEMU 7.2).
    """
    installed = os.path.dirname(os.path.dirname(os.path.realpath(qemu_binary())))
    path = os.path.join(installed, "share", "qemu", QUICK_FIRMWARE)
    return ["-bios", path] if os.path.exists(path) else []


def boot_image(image: str, firmware: str) -> list[str]:
    args = ["-drive", f"file={image},format=raw,if=none,id=disk,readonly=on", "-device", "ide-cd,drive=disk,bus=ide.0"]
    return args + (["-bios", ovmf_image()] if firmware == "uefi" else [])
