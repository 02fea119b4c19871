# SPDX-License-Identifier: MIT
"""
Runs a program under the QEMU plugin of tools/plugin and reports the cache lines that CPUs share while it faults. The
program delimits the measured section by two 8-byte writes to a page that it maps at MARK: a write to MARK starts the
measurement, a write to MARK + 8 ends it.
"""

import argparse
import bisect
import dataclasses
import os
import subprocess
import tempfile

from . import machine, options as command_line, run as runner
from .status import UsageError

MARK = 0x5CA1AB1E000
FAULT_ENTRY = "page_fault_entry"
HOT = 0.25  # share of the faults that write the line: above this, a line is hot
AMORTISED = 0.001  # below this, a line is noise
PLUGIN = os.path.join(machine.ROOT, "build", "lines.so")
KERNEL_BASE = 0xFFFFFFFF80000000


@dataclasses.dataclass
class Line:
    paddr: int
    vaddr: int
    share: float  # writes per fault
    cpus: int
    name: str


@dataclasses.dataclass
class Report:
    faults: int
    lost: int  # accesses to lines that the plugin's table had no room for
    lines: list[Line]  # the hottest first

    def hot(self) -> list[Line]:
        return [line for line in self.lines if line.share > HOT]

    def amortised(self) -> float:
        """Returns the writes per fault to all shared lines that are not hot."""
        return sum(line.share for line in self.lines if AMORTISED < line.share <= HOT)


def command(argv: list[str]) -> int:
    """`faultline lines`: runs the program, then prints one line of findings on stdout."""
    parser = command_line.run_parser("lines", "Run a program and report the cache lines that CPUs share while "
                                     "they fault. The program marks the stretch to measure, as build/user/bench does.")
    options = command_line.without_gdb(command_line.parse_run(argv, parser), "lines")
    result, report = measure(options)
    if not report.faults:
        runner.say("no fault was seen between the program's marks; one that sets them: build/user/bench lines one 4")
    if report.lost:
        runner.say(f"the program touches too much memory: {report.lost} accesses are not counted")
    hot = ", ".join(f"{line.share:.2f} {line.name} (by {line.cpus} CPUs)" for line in report.hot()) or "none"
    print(f"lines faults={report.faults} hot: {hot}; amortised: {report.amortised():.2f}")
    if options.verbose:
        for line in report.lines:
            print(f"  {line.share:6.3f} {line.paddr:#14x} {line.vaddr:#18x} {line.name}")
    return result


def measure(options: argparse.Namespace) -> tuple[int, Report]:
    """Boots `options` under the plugin; returns the exit status and the Report."""
    if not os.path.exists(PLUGIN):
        raise UsageError("the plugin is not built: run make build/lines.so")
    names = Names(options.kernel or machine.kernel_path(options.release))
    with tempfile.TemporaryDirectory(prefix="faultline-lines-") as scratch:
        out = os.path.join(scratch, "lines")
        arguments = f"{PLUGIN},out={out},fault={names.address(FAULT_ENTRY):#x},mark={MARK:#x}"
        result = runner.boot(options, scratch, ["-plugin", arguments], stdin=b"")
        if not os.path.exists(out):
            raise UsageError("this QEMU did not take the plugin: it was built without plugins, or is newer than "
                             "11.1 and offers only later versions of their interface; shared cache lines are "
                             "not measured")
        return result, read_report(out, names)


def read_report(path: str, names: "Names") -> Report:
    faults, lost, lines = 0, 0, []
    with open(path, encoding="ascii") as file:
        for words in map(str.split, file):
            if words[0] == "faults":
                faults = int(words[1])
            elif words[0] == "lost":
                lost = int(words[1])
            else:
                paddr, vaddr = int(words[1], 16), int(words[2], 16)
                lines.append(Line(paddr, vaddr, int(words[3]) / max(faults, 1), int(words[4]), names.of_line(vaddr)))
    return Report(faults, lost, sorted(lines, key=lambda line: -line.share))


class Names:
    """The kernel's symbols, which name lines in its image."""

    def __init__(self, kernel: str) -> None:
        try:
            listing = subprocess.run(["nm", "-n", kernel], capture_output=True, text=True, check=True).stdout
        except OSError as error:
            raise UsageError(f"cannot run nm, of the package binutils: {error.strerror}") from error
        except subprocess.CalledProcessError as error:
            raise UsageError(f"no symbols can be read from the kernel {kernel}: {error.stderr.strip()}") from error
        self.symbols = [(int(words[0], 16), words[2]) for words in map(str.split, listing.splitlines())
                        if len(words) == 3]
        self.addresses = [address for address, _ in self.symbols]

    def address(self, name: str) -> int:
        for address, symbol in self.symbols:
            if symbol == name:
                return address
        raise UsageError(f"the kernel has no symbol {name}")

    def of_line(self, vaddr: int) -> str:
        if vaddr < KERNEL_BASE:
            return "user memory" if vaddr < 1 << 47 else "allocated memory"
        line_end = (vaddr | 63) + 1
        index = bisect.bisect_left(self.addresses, line_end) - 1
        return self.symbols[index][1] if index >= 0 else "?"
