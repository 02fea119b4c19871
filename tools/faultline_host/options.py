# SPDX-License-Identifier: MIT
"""The arguments of `faultline run`: parses and checks them, and reports each error in one sentence."""

import argparse
import collections.abc
import os
import re
import struct
import sys
import typing

from . import initramfs, share
from .status import HELP, UsageError

Changes = collections.abc.Mapping[str, dict[str, typing.Any] | None]  # of options, for one verb: see machine_parser()

POLICIES = ("mmap", "vma", "spec", "full")
BOOTS = ("direct", "bios", "uefi")
MAX_CPUS = 64
MIN_MEMORY_MIB = 32
MAX_DISKS = 16
MAX_DISK_KIB = 1 << 20  # the disks are below 4 GiB, where the boot page tables reach
MIN_SWAP_KIB = 8
ELF_HEADER = 64  # bytes; for this and the constants below see elf(5)
EM_X86_64 = 62
ET_REL, ET_EXEC, ET_DYN = 1, 2, 3
MULTIBOOT2 = b"\xd6\x50\x52\xe8"  # in the first 32 KiB of each Faultline kernel image

RUN = "Boot Faultline with a static x86-64 Linux program and be it: its input, output, status."

EPILOG = HELP + """
examples:
  tools/faultline run build/user/hello
  tools/faultline run --cpus 4 --fault spec ./prog arg1 arg2 < input
  tools/faultline run --schedule 17 --verbose ./prog
  tools/faultline run --file data.txt:/etc/data --file build/user/echo ./prog
"""

SHELL_EPILOG = """
The machine goes off by poweroff, reboot or the end of the shell, whose exit status is then ours; a session
that is killed (kill -9 -1) ends with 137. Without a terminal, standard input is a script for the shell. The other exit
statuses are those of tools/faultline run.

examples:
  tools/faultline shell
  tools/faultline shell --cpus 4 --fault spec --file ./prog:/bin/prog
  echo 'cat /proc/vmstat' | tools/faultline shell
"""


class Parser(argparse.ArgumentParser):
    """argparse, with this tool's exit status, and errors without the usage text."""

    def _print_message(self, message: str, file: typing.Any = None) -> None:
        """Lets a write error pass: argparse's own method hides that the help cannot be written."""
        if message:
            (file or sys.stderr).write(message)

    def error(self, message: str) -> typing.NoReturn:
        wrong_value = re.fullmatch(r"argument ([^:]*): (.*)", message, re.DOTALL)
        if wrong_value and not message.endswith("expected one argument"):
            raise UsageError(f"{wrong_value[1]}: {wrong_value[2]}")
        raise UsageError(f"{message}{'' if message.endswith('?') else ';'} "
                         f"tools/{self.prog} --help shows what there is")


def run_parser(verb: str = "run", description: str = RUN) -> Parser:
    is_run = verb == "run"
    parser = machine_parser(verb, EPILOG if is_run else HELP, description, {} if is_run else {"--share": None})
    parser.add_argument("program", metavar="PROGRAM", nargs="?", help="a static x86-64 Linux ELF")
    parser.add_argument("args", metavar="ARGS", nargs=argparse.REMAINDER, help="its arguments")
    return parser


def machine_parser(verb: str, epilog: str, description: str, changes: Changes | None = None) -> Parser:
    """
    Returns a parser for the options of the machine, whatever runs on it. `changes` maps an option to settings of
    add_argument that differ for this verb, or to None if the verb lacks the option, which then has its default.
    """
    parser = Parser(prog=f"faultline {verb}", description=description, epilog=epilog, allow_abbrev=False,
                    formatter_class=argparse.RawDescriptionHelpFormatter)

    def add(option: str, **settings: typing.Any) -> None:
        change = (changes or {}).get(option, {})
        if change is None:
            default = False if settings.get("action") == "store_true" else None
            parser.set_defaults(**{
                settings.get("dest", option[2:].replace("-", "_")): settings.get("default", default)})
        else:
            parser.add_argument(option, **{**settings, **change})

    add("--cpus", metavar="N", default=2, type=cpu_count, help="CPUs, 1 to 64 (default %(default)s)")
    add("--memory", metavar="M", default=256, type=memory_mib, help="RAM: 64M, 512M, 4G, … (default 256M)")
    add("--disk", metavar="SIZE[,sync|async][,latency=US]", action="append", default=[], type=disk, dest="disks",
        help="a ramdisk, /dev/ram0 and on, besides that RAM (default sync); may be repeated")
    add("--swap", metavar="SIZE[,sync|async][,latency=US]", action="append", default=[], type=swap, dest="swaps",
        help="one more ramdisk, behind those of --disk, which the kernel swaps to from the start; may be repeated")
    add("--fault", metavar="POLICY", type=one_of("fault policy", POLICIES), help="how faults are resolved: mmap, vma, "
        "spec or full (default: the kernel's)")
    add("--boot", default="direct", type=one_of("boot method", BOOTS), metavar="HOW",
        help="direct (PVH, the default), bios or uefi (a GRUB image)")
    add("--deterministic", action="store_true", help="count instructions instead of time: each run is the same")
    add("--schedule", metavar="SEED", type=seed, help="replayable interleaving of the CPUs; implies --deterministic")
    add("--explain", action="store_true", help="say in a sentence why a program is killed by SIGSEGV or SIGBUS")
    add("--gdb", action="store_true", help="stop before the first instruction and attach GDB")
    add("--gdb-script", metavar="FILE", type=existing_file,
        help="the same without a person: GDB's commands; its status is ours")
    add("--reverse", action="store_true", help="with --gdb, one CPU: record the run to its end, then replay it, "
        "so that GDB's reverse-continue and its kin work")
    add("--stop-at", metavar="COUNT", type=instruction_count, help="with --gdb: count instructions, as "
        "--deterministic does, and stop before number COUNT (a TSC value of `faults`, /proc/fault_trace)")
    add("--timeout", metavar="S", type=seconds,
        help="give up after S seconds (status 124); the kernel log then says where each CPU was")
    add("--file", metavar="F", action="append", default=[], dest="files",
        help="also put this file or directory into /, or SRC:DEST; may be repeated")
    add("--share", metavar="DIR",
        help="put a copy of the directory into the machine, at /share, and bring back what has changed there "
        "when it ends")
    add("--env", metavar="K=V", action="append", default=[], type=environment,
        help="environment variable; may be repeated")
    add("--append", metavar="TEXT", default="", help="more kernel command line")
    add("--release", action="store_true", help="the release kernel instead of the debug kernel")
    add("--kernel", metavar="ELF", type=kernel_file, help="another kernel image")
    add("--cpu", metavar="MODEL", default="max,-la57", help="QEMU's -cpu (default max,-la57)")
    add("--threads", metavar="HOW", type=one_of("way to run CPUs", ("multi", "single")),
        help="QEMU's threads: multi, one for each CPU, or single (default: multi where this host has as many CPUs)")
    add("--qemu", metavar="ARG", action="append", default=[], help="one more argument for QEMU; may be repeated")
    add("--verbose", action="store_true", help="show the kernel's log on stderr while it runs")
    add("--log", metavar="FILE", type=output_file, help="keep the kernel's log here (default build/last-run.log)")
    return parser


def parse_run(argv: list[str], parser: Parser | None = None) -> argparse.Namespace:
    parser = parser or run_parser()
    options = parser.parse_args(argv)
    if options.program is None:
        parser.error("which program?")
    options.program = program_file(options.program)
    if options.args and sys.stderr.isatty():
        tell_of_misplaced(options.args[0], parser)
    return checked(options)


def tell_of_misplaced(word: str, parser: Parser) -> None:
    """Warns of `run ./program --cpus 4`: it gives the program an argument, and the machine 2 CPUs."""
    option = word.partition("=")[0]
    usage = re.sub(r"\x1b\[[0-9;]*m", "", parser.format_usage())  # on a terminal, Python 3.14 adds colours
    if option.startswith("--") and re.search(rf"\[{re.escape(option)}[ \]]", usage):
        print(f"faultline: {option} is an argument of the program here; as an option of {parser.prog}, "
              "put it before the program",
              file=sys.stderr)


def parse_shell(argv: list[str]) -> argparse.Namespace:
    options = machine_parser("shell", SHELL_EPILOG, "Boot Faultline to a shell: BusyBox, with the programs of "
                             "user/ beside it.").parse_args(argv)
    options.program = None
    return checked(options)


def checked(options: argparse.Namespace) -> argparse.Namespace:
    options.files = [file_pair(text) for text in options.files]
    if options.schedule is not None:
        options.deterministic = True
    options.gdb = options.gdb or bool(options.gdb_script)
    if options.reverse or options.stop_at is not None:
        options.deterministic = True
    if (options.reverse or options.stop_at is not None) and not options.gdb:
        raise UsageError("--reverse and --stop-at are for --gdb: give that, too")
    if options.reverse and options.cpus != 1:
        raise UsageError("--reverse is for one CPU, since QEMU records no more: add --cpus 1; for several CPUs there "
                         "is --stop-at")
    if options.release and options.kernel:
        raise UsageError("--release and --kernel exclude each other: each says which kernel")
    if options.deterministic and options.threads == "multi":
        raise UsageError("--threads multi is not for --deterministic and --schedule, which run the CPUs in turn: "
                         "leave it out")
    if options.gdb and options.timeout:
        raise UsageError("--gdb and --timeout exclude each other: leave --timeout out")
    if options.share is not None:
        check_share(options)
    check_command_line_text(options.append)
    check_disks(options.disks + options.swaps)
    return options


def check_share(options: argparse.Namespace) -> None:
    """Refuses files of other options at the place of --share."""
    if options.reverse:
        raise UsageError("--share and --reverse exclude each other: what comes back would come back twice")
    if not options.share:
        raise UsageError("--share: name a directory, such as --share .")
    for place in [place for _, place in options.files if is_shared(place)]:
        raise UsageError(f"--file: /{place} is where --share puts its directory: choose another place")
    if options.program and is_shared(initramfs.place_of(options.program)):
        raise UsageError(f"{options.program} would be where --share puts its directory: write "
                         f"{os.path.abspath(options.program)}")


def is_shared(place: str) -> bool:
    return place == share.PLACE or place.startswith(share.PLACE + "/")


def without_gdb(options: argparse.Namespace, verb: str) -> argparse.Namespace:
    if options.gdb:
        raise UsageError(f"{verb} runs to the end by itself: --gdb and --gdb-script are for tools/faultline "
                         "run and shell")
    return options


def wrong(message: str) -> argparse.ArgumentTypeError:
    return argparse.ArgumentTypeError(message)


def one_of(what: str, choices: collections.abc.Sequence[str]) -> collections.abc.Callable[[str], str]:
    def convert(text: str) -> str:
        if text not in choices:
            raise wrong(f"no {what} “{text}”: it is one of {', '.join(choices)}")
        return text

    return convert


def instruction_count(text: str) -> int:
    try:
        count = int(text, 0)
    except ValueError:
        count = 0
    if count < 1:
        raise wrong(f"“{text}” is not a number of instructions above 0")
    return count


def above_zero(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise wrong(f"“{text}” is not a number above 0")
    return int(text)


def cpu_count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MAX_CPUS:
        raise wrong(f"“{text}” is not a number of CPUs: 1 to {MAX_CPUS}")
    return int(text)


def memory_mib(text: str) -> int:
    match = re.fullmatch(r"(\d+)([MG]?)", text)
    if not match:
        raise wrong(f"“{text}” is not an amount of memory: write 64M, 512M or 4G")
    mib = int(match[1]) * (1024 if match[2] == "G" else 1)
    if mib < MIN_MEMORY_MIB:
        raise wrong(f"{mib}M of memory is too little: at least {MIN_MEMORY_MIB}M")
    return mib


class Disk:
    """A ramdisk: its size and the word that describes it to the kernel (drivers/ramdisk.h)."""

    def __init__(self, kib: int, settings: list[str]) -> None:
        self.kib = kib
        self.word = ",".join([str(kib), *settings])


def disk(text: str) -> Disk:
    size, *settings = text.split(",")
    match = re.fullmatch(r"(\d+)([KMG])", size)
    kib = int(match[1]) * {"K": 1, "M": 1024, "G": 1024 ** 2}[match[2]] if match else 0
    if not kib or kib % 4:
        raise wrong(f"“{size}” is not the size of a disk: write 64K, 16M or 1G")
    for setting in settings:
        if not re.fullmatch(r"sync|async|latency=\d{1,9}", setting):
            raise wrong(f"“{setting}” is not known of a disk: sync, async or latency=MICROSECONDS")
    return Disk(kib, settings)


def swap(text: str) -> Disk:
    result = disk(text)
    if result.kib < MIN_SWAP_KIB:
        raise wrong(f"“{text}”: there is nothing to swap to in less than {MIN_SWAP_KIB}K, of which the header takes 4K")
    return result


def check_disks(disks: list[Disk]) -> None:
    if len(disks) > MAX_DISKS:
        raise UsageError(f"--disk and --swap: {len(disks)} disks are too many: at most {MAX_DISKS}")
    if sum(disk.kib for disk in disks) > MAX_DISK_KIB:
        raise UsageError(f"--disk and --swap: the disks are too large: at most {MAX_DISK_KIB >> 20}G in all")


def seed(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 1 << 32:
        raise wrong(f"“{text}” is not a seed: a number from 1 to 4294967295")
    return int(text)


def seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value < float("inf"):
        raise wrong(f"“{text}” is not a time: a number of seconds above 0")
    return value


def environment(text: str) -> str:
    if not re.match(r"[^=]+=", text):
        raise wrong(f"“{text}” is not NAME=VALUE")
    return text


def existing_file(path: str) -> str:
    if not os.path.isfile(path):
        raise wrong(f"no such file: {path}")
    return path


def kernel_file(path: str) -> str:
    """
    Checks a kernel image. GRUB would call another file no kernel, and wait; QEMU's message is harder to understand.
    """
    try:
        with open(existing_file(path), "rb") as file:
            start = file.read(32768)
    except OSError as error:
        raise wrong(f"cannot read {path}: {error.strerror}") from error
    if start[:4] != b"\x7fELF" or MULTIBOOT2 not in start:
        raise wrong(f"{path} is no kernel of Faultline, such as build/faultline.elf")
    return path


def output_file(path: str) -> str:
    """Checks the path before the run, not after it."""
    if path == "-":
        raise wrong("name a file, since standard output is the program's; ./- is one of that name")
    folder = os.path.dirname(os.path.abspath(path))
    if os.path.isdir(path):
        raise wrong(f"{path} is a directory: name a file in it")
    if not os.path.isdir(folder):
        raise wrong(f"there is no directory {folder} to write {os.path.basename(path)} to")
    try:
        check_writable(path)
    except OSError as error:
        raise wrong(f"cannot write {path}: {error.strerror}") from error
    return path


def check_writable(path: str) -> None:
    """
    Tries to open the file: permissions say little, since root has them all. Not a pipe: its reader would see an end.
    """
    is_new = not os.path.exists(path)
    if is_new or os.path.isfile(path):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666))
    if is_new:
        os.unlink(path)


def file_pair(text: str) -> tuple[str, str]:
    """Parses SRC or SRC:DEST; returns the source and the path inside the initramfs without its leading slash."""
    source, colon, destination = text.rpartition(":")
    if not colon or (os.path.exists(text) and not os.path.exists(source)):
        source, destination = text, os.path.basename(os.path.normpath(text))
    if not os.path.exists(source):
        raise UsageError(f"--file: no such file: {source} (write --file SRC or --file SRC:DEST)")
    parts = [part for part in destination.split("/") if part not in ("", ".")]
    if not parts or ".." in parts:
        raise UsageError(f"--file: “{destination}” is no place for a file: write --file SRC:/path/to/name")
    return source, "/".join(parts)


def program_file(path: str) -> str:
    """Refuses files that are obviously no static x86-64 program; the kernel judges every other ELF file."""
    if os.path.isdir(path):
        raise UsageError(f"{path} is a directory, not a program")
    if os.path.exists(path) and not os.path.isfile(path):
        raise UsageError(f"{path} is not a file, and so no program")
    try:
        with open(path, "rb") as file:
            start = file.read(4096)
    except OSError as error:
        raise UsageError(f"cannot read the program {path}: {error.strerror}") from error
    if start[:4] != b"\x7fELF":
        raise UsageError(f"{path} is not an ELF program; compile one with: musl-gcc -static -o prog prog.c")
    if len(start) < ELF_HEADER:
        raise UsageError(f"{path} is cut short: it has not even the header of an ELF program")
    if start[4] == 1:
        raise UsageError(f"{path} is a 32-bit program; Faultline runs x86-64 programs")
    kind, processor = struct.unpack_from("<HH", start, 16)
    if processor != EM_X86_64:
        raise UsageError(f"{path} is a program for another processor; Faultline runs x86-64 programs")
    if kind not in (ET_EXEC, ET_DYN):
        what = "an object file: link it" if kind == ET_REL else "no program; compile one"
        raise UsageError(f"{path} is {what} with: musl-gcc -static -o prog …")
    if is_dynamic(start):
        raise UsageError(f"{path} is dynamically linked; link it with -static (musl-gcc -static -o prog prog.c)")
    return path


def is_dynamic(start: bytes) -> bool:
    """Returns whether a program header within the first page asks for an interpreter (PT_INTERP)."""
    pt_interp = 3
    offset, = struct.unpack_from("<Q", start, 32)
    size, count = struct.unpack_from("<HH", start, 54)
    headers = (offset + index * size for index in range(count))
    return any(at + 4 <= len(start) and struct.unpack_from("<I", start, at)[0] == pt_interp for at in headers)


def check_command_line_text(text: str) -> None:
    if not text.isascii() or not text.isprintable() or re.search(r"[\"'\\$`{}]", text):
        raise UsageError("--append: plain words only, such as --append 'spf_validate=mm'")
