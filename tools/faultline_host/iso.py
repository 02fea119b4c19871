# SPDX-License-Identifier: MIT
"""A GRUB image that boots under BIOS and under UEFI: kernel and initramfs, with boot/grub.cfg filled in."""

import argparse
import os
import shutil
import subprocess
import tempfile

from . import initramfs, machine, options
from .status import UsageError


def command(argv):
    """`faultline iso`: an image to keep, for `make iso` or a USB stick."""
    parser = options.Parser(prog="faultline iso", description=__doc__, allow_abbrev=False)
    parser.add_argument("--output", required=True, metavar="FILE", type=options.output_file, help="the image to write")
    parser.add_argument("--append", default="", metavar="TEXT", help="kernel command line")
    parser.add_argument("--release", action="store_true", help="the release kernel")
    parser.add_argument("program", metavar="PROGRAM", help="a static x86-64 Linux ELF")
    parser.add_argument("args", metavar="ARGS", nargs=argparse.REMAINDER, help="its arguments")
    chosen = parser.parse_args(argv)
    options.check_command_line_text(chosen.append)
    archive = initramfs.build(options.program_file(chosen.program), chosen.args, stdin=b"")
    build(chosen.output, machine.kernel_path(chosen.release), archive, chosen.append)
    return 0


def build(image, kernel, archive, command_line):
    """Write `image`. `archive` is the initramfs, as bytes."""
    if not shutil.which("grub-mkrescue"):
        raise UsageError("grub-mkrescue is not installed: run make deps")
    with tempfile.TemporaryDirectory(prefix="faultline-iso-") as tree:
        os.makedirs(f"{tree}/boot/grub")
        shutil.copy(kernel, f"{tree}/boot/faultline.elf")
        with open(f"{tree}/boot/initramfs", "wb") as file:
            file.write(archive)
        with open(f"{tree}/boot/grub/grub.cfg", "w", encoding="ascii") as file:
            file.write(grub_config(command_line))
        result = subprocess.run(["grub-mkrescue", "-o", image, tree], capture_output=True, text=True, check=False)
    if result.returncode:
        raise UsageError(f"grub-mkrescue failed:\n{result.stderr}")


def grub_config(command_line):
    with open(os.path.join(machine.ROOT, "boot", "grub.cfg"), encoding="ascii") as file:
        return file.read().replace("@COMMAND_LINE@", command_line)
