# SPDX-License-Identifier: MIT
"""
A GRUB image that boots under BIOS and under UEFI: kernel and initramfs, with boot/grub.cfg filled in. The environment
variable SOURCE_DATE_EPOCH, where it is set, is the image's date: the same input then gives the same bytes.
"""

import argparse
import os
import shutil
import subprocess
import tempfile
import time

from . import initramfs, machine, options
from .status import UsageError


def command(argv: list[str]) -> int:
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


def build(image: str, kernel: str, archive: bytes, command_line: str) -> None:
    """Writes `image`. `archive` is the initramfs, as bytes."""
    if not shutil.which("grub-mkrescue"):
        raise UsageError("grub-mkrescue is not installed: run make deps")
    with tempfile.TemporaryDirectory(prefix="faultline-iso-") as tree:
        os.makedirs(f"{tree}/boot/grub")
        shutil.copy(kernel, f"{tree}/boot/faultline.elf")
        with open(f"{tree}/boot/initramfs", "wb") as file:
            file.write(archive)
        with open(f"{tree}/boot/grub/grub.cfg", "w", encoding="ascii") as file:
            file.write(grub_config(command_line))
        result = subprocess.run([*at_its_date(), "grub-mkrescue", "-o", image, tree], capture_output=True, text=True,
                                check=False)
    if result.returncode:
        raise UsageError(f"grub-mkrescue failed:\n{result.stderr}")


def at_its_date() -> list[str]:
    """
    Returns the prefix of GRUB's command that sets the clock: grub-mkrescue, xorriso and mtools write the time into many
    places of an image. SOURCE_DATE_EPOCH (https://reproducible-builds.org/specs/source-date-epoch/), where it is set,
    is that time.
    """
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if epoch is None:
        return []
    if not epoch.isascii() or not epoch.isdecimal() or len(epoch) > 10:
        raise UsageError(f"SOURCE_DATE_EPOCH={epoch}: a date is a number of seconds since 1970")
    if not shutil.which("faketime"):
        raise UsageError("SOURCE_DATE_EPOCH is set, and faketime is not installed: run tools/deps dist, or unset it")
    return ["env", "TZ=UTC", "faketime", "-f", time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(int(epoch)))]


def grub_config(command_line: str) -> str:
    with open(os.path.join(machine.ROOT, "boot", "grub.cfg"), encoding="ascii") as file:
        return file.read().replace("@COMMAND_LINE@", command_line)
