# SPDX-License-Identifier: MIT
"""
`make bench`: runs the program build/user/bench in the machine and prints its measurements as tables. Five parts:

cost    `bench rows`: instructions per operation, one CPU, for each policy
events  `bench rows`, under the kernel that records fault events and under the one that does not: the cost of recording
growth  `bench growth PLACE N`: instructions per fault with N threads on N CPUs, relative to one CPU; the median over
        seeds of --schedule, since growth means nothing without interleaving. PLACE: `one` VMA for all threads, an
        `own` VMA for each, or own VMAs with a `writer` thread (mmap and munmap)
lines   `bench lines PLACE N`: the cache lines that the CPUs share in the same workload, seen by the QEMU plugin
        (lines.py)
startup `bench startup`: the faults of a program's start, and how many of them each strategy answers from cached pages

The program prints one line for each figure, `row NAME VALUE key=value…` or `growth VALUE key=value…`; the keys are
attempts, answered, and every reason that is not zero.
"""

import argparse
import collections.abc
import concurrent.futures
import os
import re
import statistics
import subprocess
import sys
import typing

from . import machine, options
from .options import POLICIES
from .status import UsageError

Key = typing.TypeVar("Key")
Figure = tuple[float, dict[str, str]]  # the value, and the keys beside it

PROGRAM = os.path.join(machine.ROOT, "build", "user", "bench")
EVENTLESS = os.path.join(machine.ROOT, "build", "faultline-eventless.elf")
# Without fast-string instructions, so that clearing a page counts 512 instructions on every kernel.
MACHINE = ["--deterministic", "--cpu", "max,-la57,-erms,-fsrm", "--memory", "512M"]

# Name in the program, text of the table, goal, Linux 6.1 and 6.12 under the same QEMU (median, in instructions).
ROWS = (
    ("null-syscall", "null syscall (getppid)", 150, 330, 329),
    ("first-write", "first write, anonymous", 1380, 2771, 3156),
    ("first-read", "first read, anonymous (zero page)", 620, 1259, 1488),
    ("write-after-read", "write after that read", 1590, 3187, 3522),
    ("fork-copy", "write after fork (copy)", 1700, 3406, 4622),
    ("fork-reuse", "write after fork, last owner (reuse)", 680, 1379, 1555),
    ("shared-memfd", "first write, shared memfd page", 2200, 4405, 5028),
    ("private-file", "first write, private file page (copy)", 1630, 3260, 4718),
    ("cached-file", "read a cached file, per page (mean)", 290, 581, "–"),
    ("mmap", "mmap of one page", 2000, 4089, 4463),
    ("munmap", "munmap of one touched page", 2500, 9242, 6695),
    ("swap-in-read", "swap in from a ramdisk, read", 2380, 4768, 7193),
    ("swap-in-write", "swap in from a ramdisk, write", 3000, 6008, 7108),
    ("swap-cache-hit", "read a page that is in the swap cache", 2380, "–", "–"),
    ("swap-out", "swap out (MADV_PAGEOUT), per page (mean)", 4000, 8770, "–"),
)
PARTS = ("cost", "events", "startup", "growth", "lines")
PLACES = (("one", "threads in one VMA"), ("own", "threads in a VMA each"), ("writer", "a VMA each, a writer beside"))
GROWTH_POLICIES = ("mmap", "vma", "spec")
GROWTH_CPUS = (2, 4, 8)
GROWTH_GOAL = 1.15
LINES_CPUS = 4


def command(argv: list[str]) -> int:
    chosen = parse(argv)
    if not os.path.exists(PROGRAM):
        raise UsageError(f"{os.path.relpath(PROGRAM)} is not built: run make user")
    parts = dict(zip(PARTS, (print_cost, print_events, print_startup, print_growth, print_lines)))
    for part in chosen.parts or parts:
        parts[part](chosen)
    return 0


def parse(argv: list[str]) -> argparse.Namespace:
    parser = options.Parser(prog="faultline bench", description="Instructions per operation, for each fault policy.")
    parser.add_argument("--seeds", type=options.above_zero, default=32, metavar="N",
                        help="schedules per growth figure (default 32)")
    parser.add_argument("--jobs", type=options.above_zero, default=os.cpu_count(), metavar="N",
                        help="machines side by side")
    parser.add_argument("parts", nargs="*", type=options.one_of("part", PARTS), metavar="PART",
                        help=f"{', '.join(PARTS)}; default: all")
    return parser.parse_args(argv)


def print_cost(chosen: argparse.Namespace) -> None:
    tables = cost_tables(chosen.jobs, {policy: ["--fault", policy] for policy in POLICIES})
    print("Instructions per operation, median, release kernel, one CPU; in brackets: attempts/answered of strategies")
    print(f"{'':38}{'goal':>6}" + "".join(f"{policy:>20}" for policy in POLICIES) + f"{'Linux 6.1':>11}{'6.12':>7}")
    for name, text, goal, *linux in ROWS:
        cells = [cost_cell(tables[policy].get(name), goal) for policy in POLICIES]
        print(f"{text:38}{goal:6}" + "".join(f"{cell:>20}" for cell in cells) + f"{linux[0]:>11}{linux[1]:>7}")
    print("* above the goal\n")


def cost_tables(jobs: int, machines: dict[str, list[str]]) -> dict[str, dict[str, Figure]]:
    """Returns the rows of each machine, by name; `machines` maps names to options of `faultline run`."""
    runs = [(name, ["--cpus", "1", "--swap", "16M", *extra], ["rows"]) for name, extra in machines.items()]
    return {name: figures(lines, "row") for name, lines in in_parallel(jobs, runs)}


def cost_cell(figure: Figure | None, goal: int) -> str:
    if figure is None:
        return "not measured"
    value, keys = figure
    mark = "*" if value > goal else ""
    counts = f" [{keys['attempts']}/{keys['answered']}]" if "attempts" in keys else ""
    return f"{value:g}{mark}{counts}"


def print_events(chosen: argparse.Namespace) -> None:
    if not os.path.exists(EVENTLESS):
        name = os.path.relpath(EVENTLESS, machine.ROOT)
        raise UsageError(f"{name}, the kernel that records no events, is not built: run make {name}")
    machines = {"with": ["--fault", "full"], "without": ["--fault", "full", "--kernel", EVENTLESS]}
    tables = cost_tables(chosen.jobs, machines)
    print("Recording of fault events: instructions per operation without and with it, median, release kernel, "
          "policy full")
    print(f"{'':38}{'without':>9}{'with':>9}{'cost':>9}")
    for name, text, *_ in ROWS:
        without, recorded = (tables[kernel][name][0] for kernel in ("without", "with"))
        print(f"{text:38}{without:>9g}{recorded:>9g}{recorded - without:>9g}")
    print()


def print_startup(_chosen: argparse.Namespace) -> None:
    print("The start of a static program, policy full: faults, and which strategy answered them from cached pages "
          "alone")
    for line in run_bench("run", ["--cpus", "1", "--fault", "full"], ["startup"]):
        faults, keys = line.split()[1], dict(word.split("=") for word in line.split()[2:])
        lifted = keys["spf_single_thread"] == "1"
        print(f"  {'speculating for one thread' if lifted else 'as it is':28}{faults:>4} faults: "
              f"speculation {keys['won']} ({keys['percent']} %), VMA lock {keys['vma_cached']}, "
              f"mmap_lock {keys['mmap_cached']}; {keys['around']} more pages mapped around")
    print("  Speculation is for threads: a program that has one has it skipped, so that it wins nothing at start-up.\n")


def print_growth(chosen: argparse.Namespace) -> None:
    print(f"Growth: instructions per fault with N CPUs against one, median of {chosen.seeds} schedules; the goal is at "
          f"most {GROWTH_GOAL} under spec, and under vma with a VMA each;\nmmap with a writer beside must be seen to "
          "exceed it (*)")
    for place, text in PLACES:
        print(text)
        for policy in GROWTH_POLICIES:
            print_growth_line(chosen, place, policy)
    print()


def print_growth_line(chosen: argparse.Namespace, place: str, policy: str) -> None:
    runs = []
    for cpus in (1, *GROWTH_CPUS):
        for seed in range(1, chosen.seeds + 1 if cpus > 1 else 2):
            runs.append((cpus, ["--cpus", str(cpus), "--fault", policy, "--schedule", str(seed)],
                         ["growth", place, str(cpus)]))
    values: dict[int, list[float]] = {}
    reasons: dict[str, int] = {}
    for cpus, lines in in_parallel(chosen.jobs, runs):
        for value, keys in figures(lines, "growth").values():
            values.setdefault(cpus, []).append(value)
            add_reasons(reasons, keys)
    base = statistics.median(values[1])
    growth = {cpus: statistics.median(values[cpus]) / base for cpus in GROWTH_CPUS}
    cells = [f"{cpus} CPUs: {growth[cpus]:5.2f}{'*' if growth[cpus] > GROWTH_GOAL else ' '}" for cpus in GROWTH_CPUS]
    counts = " ".join(f"{name}={count}" for name, count in sorted(reasons.items()) if count)
    print(f"  {policy:5} 1 CPU: {base:6g}   {'  '.join(cells)}   {counts}", flush=True)


def add_reasons(reasons: dict[str, int], keys: dict[str, str]) -> None:
    for name, count in keys.items():
        reasons[name] = reasons.get(name, 0) + int(count)


def print_lines(chosen: argparse.Namespace) -> None:
    print(f"Shared cache lines, {LINES_CPUS} CPUs: lines written by one CPU and touched by another, written per fault")
    runs = [((text, policy), ["--cpus", str(LINES_CPUS), "--fault", policy], ["lines", place, str(LINES_CPUS)])
            for place, text in PLACES[:2] for policy in GROWTH_POLICIES]
    for (text, policy), lines in in_parallel(chosen.jobs, runs, verb="lines"):
        found = [line.removeprefix("lines ") for line in lines if line.startswith("lines ")]
        print(f"  {text:22} {policy:5} {'; '.join(found)}")


def in_parallel(jobs: int, runs: collections.abc.Iterable[tuple[Key, list[str], list[str]]],
                verb: str = "run") -> list[tuple[Key, list[str]]]:
    """Runs (key, options, arguments of bench) in parallel; returns (key, lines of output) in the order given."""
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        futures = [(key, pool.submit(run_bench, verb, extra, arguments)) for key, extra, arguments in runs]
        return [(key, future.result()) for key, future in futures]


def run_bench(verb: str, extra: list[str], arguments: list[str]) -> list[str]:
    kernel = [] if "--kernel" in extra else ["--release"]
    command_line = [sys.executable, os.path.join(machine.ROOT, "tools", "faultline"), verb, *MACHINE, *kernel, *extra,
                    "--log", os.devnull, PROGRAM, *arguments]
    result = subprocess.run(command_line, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if result.returncode:
        raise UsageError(f"{' '.join(command_line[1:])} ended with {result.returncode}:\n"
                         f"{result.stdout}{result.stderr}")
    return result.stdout.splitlines()


def figures(lines: list[str], kind: str) -> dict[str, Figure]:
    """Parses `row NAME VALUE key=value…` or `growth VALUE key=value…`; returns {name: (value, {key: value})}."""
    found = {}
    for line in lines:
        words = line.split()
        if not words or words[0] != kind:
            continue
        name = words.pop(1) if kind == "row" else kind
        keys = dict(word.split("=", 1) for word in words[2:] if re.fullmatch(r"\w+=\d+", word))
        found[name] = (float(words[1]), keys)
    return found
