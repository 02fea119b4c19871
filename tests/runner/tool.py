# SPDX-License-Identifier: MIT
"""Tests of tools/faultline itself: its answers to wrong arguments, its own exit statuses, and the cost of events."""

import re

from faultline_host import bench, status

from .job import Job, Judge, Result

HELLO = "build/user/hello"
WAIT = "build/user/end"

# name, arguments of `tools/faultline`, status, pattern for stderr
CASES: tuple[tuple[str, list[str], int, str], ...] = (
    ("no-verb", [], status.USAGE, "usage:"),
    ("wrong-verb", ["fly"], status.USAGE, "no verb “fly”"),
    ("forgot-run", [HELLO], status.USAGE, f"tools/faultline run {HELLO}"),
    ("no-program", ["run"], status.USAGE, "which program"),
    ("missing-program", ["run", "nowhere"], status.USAGE, "cannot read the program nowhere"),
    ("not-elf", ["run", "Makefile"], status.USAGE, "not an ELF program.*musl-gcc"),
    ("dynamic", ["run", "/bin/sh"], status.USAGE, "dynamically linked.*-static"),
    ("cpus", ["run", "--cpus", "65", HELLO], status.USAGE, "1 to 64"),
    ("memory", ["run", "--memory", "much", HELLO], status.USAGE, "write 64M, 512M or 4G"),
    ("disk-size", ["run", "--disk", "huge", HELLO], status.USAGE, "write 64K, 16M or 1G"),
    ("disk-setting", ["run", "--disk", "1M,fast", HELLO], status.USAGE, "sync, async or latency=MICROSECONDS"),
    ("disk-sum", ["run", "--disk", "1G", "--disk", "4K", HELLO], status.USAGE, "at most 1G in all"),
    ("policy", ["run", "--fault", "fast", HELLO], status.USAGE, "mmap, vma, spec, full"),
    ("boot", ["run", "--boot", "floppy", HELLO], status.USAGE, "direct, bios, uefi"),
    ("seed", ["run", "--schedule", "x", HELLO], status.USAGE, "is not a seed"),
    ("timeout", ["run", "--timeout", "0", HELLO], status.USAGE, "seconds above 0"),
    ("file", ["run", "--file", "nowhere", HELLO], status.USAGE, "SRC:DEST"),
    ("option", ["run", "--fast", HELLO], status.USAGE, "--fast.*--help"),
    ("no-such-cpu", ["run", "--cpu", "nosuch", HELLO], status.MACHINE_DIED,
     "^faultline: QEMU did not start: .*'nosuch'\n$"),
    ("no-such-cpu-gdb", ["run", "--cpu", "nosuch", "--gdb-script", "tests/gdb/attach.py", HELLO], status.MACHINE_DIED,
     "QEMU did not start"),
    ("too-much-memory", ["run", "--memory", "60000G", HELLO], status.MACHINE_DIED,
     "^faultline: QEMU did not start: .*memory"),
    ("reverse", ["run", "--gdb", "--reverse", HELLO], status.USAGE, "add --cpus 1"),
    ("stop-at", ["run", "--stop-at", "1000", HELLO], status.USAGE, "are for --gdb"),
    ("stop-at-number", ["run", "--gdb", "--stop-at", "soon", HELLO], status.USAGE, "not a number of instructions"),
    ("output-folder", ["trace", "-o", "nowhere/trace.json", HELLO], status.USAGE,
     "-o: there is no directory .*nowhere"),
    ("output-is-folder", ["report", HELLO, "-o", "build"], status.USAGE, "-o: build is a directory"),
    ("iso-output", ["iso", "--output", "nowhere/image", HELLO], status.USAGE, "--output: there is no directory"),
    ("trace-gdb", ["trace", "--gdb", HELLO], status.USAGE, "tools/faultline run and shell"),
    ("bench-seeds", ["bench", "--seeds", "0", "growth"], status.USAGE, "not a number above 0"),
    ("bench-part", ["bench", "speed"], status.USAGE, "cost, events, startup, growth, lines"),
    ("demo-policy", ["demo", "--fault", "vma"], status.USAGE, "unrecognized arguments: --fault.*faultline demo --help"),
    ("demo-program", ["demo", HELLO], status.USAGE, "unrecognized arguments.*faultline demo --help"),
    ("kernel", ["run", "--kernel", "Makefile", HELLO], status.USAGE, "--kernel: Makefile is no kernel of Faultline"),
    ("kernel-program", ["run", "--boot", "bios", "--kernel", HELLO, HELLO], status.USAGE,
     "hello is no kernel of Faultline"),
    ("two-kernels", ["run", "--release", "--kernel", "build/faultline.elf", HELLO], status.USAGE, "exclude each other"),
    ("threads", ["run", "--schedule", "3", "--threads", "multi", HELLO], status.USAGE, "--threads multi is not for"),
    ("memory-unit", ["run", "--memory", "16", HELLO], status.USAGE, "16M of memory is too little: at least 32M"),
    ("output-minus", ["trace", "-o", "-", HELLO], status.USAGE, "-o: name a file"),
    ("verb-gdb", ["gdb", HELLO], status.USAGE, "tools/faultline run --gdb PROGRAM"),
    ("verb-close", ["Trase", HELLO], status.USAGE, "did you mean trace[?]"),
    ("option-first", ["--verbose", "shell"], status.USAGE, "options stand behind it: tools/faultline shell --verbose"),
    ("timed-out", ["run", "--timeout", "3", WAIT, "signal", "0"], status.TIMED_OUT,
     "time-out.*3 s.*where each CPU was"),
    ("timed-out-trace", ["trace", "--timeout", "3", "-o", "/dev/null", WAIT, "signal", "0"], status.TIMED_OUT,
     r"faultline: [1-9]\d* events in"),
)

# The same for other commands. `make test TESTS=…` runs `tests/run known` before it builds.
OTHERS = (
    ("known-tests", ["tests/run", "known", "boot-release", "host/tsan/reason_*", "gdb/attach",
                     "boot-release fault=full cpus=4"],
     0, r"\A\Z"),
    ("unknown-test", ["tests/run", "known", "boot-release", "nosuch", "host/asan/none"], 1,
     r"\Atests/run: no test is called nosuch or host/asan/none; "),
    ("unknown-part", ["tests/run", "known", "--part", "nosuch"], 1, "soak-all has no part “nosuch”; there are: next, "),
    ("list-names", ["tests/run", "list", "tool"], 1, "list takes no names"),
    ("jobs", ["tests/run", "test", "--jobs", "0"], 2, "--jobs: “0” is not a number above 0"),
    ("minimise", ["tests/run", "minimise", "x"], 1, "“x” is no seed of mmfuzz"),
    ("mutants", ["tests/run", "mutants", "mm/table/tlb.c:99999"], 1, "nothing can be mistaken in mm/table/tlb.c:99999"),
    ("one-test", ["tests/terminal", "nosuch"], 1, "no test is called nosuch; there are window, "),
    ("make-verb", ["make", "nosuch"], 2, "there is no verb nosuch: `make help` lists them"),
    ("make-variable", ["make", "test", "TEST=nosuch"], 2, "no variable is called TEST: `make help`"),
    ("make-cc", ["make", "CC=nosuchcc -O1"], 2, "deps: CC=nosuchcc -O1: there is no such command"),
    ("make-deps", ["make", "deps", "DEPS=maybe"], 2, "only DEPS=skip is known"),
    ("make-part", ["make", "soak-all", "PART=nosuch", "DEPS=skip"], 2, "soak-all has no part “nosuch”"),
    ("make-soak", ["make", "soak", "TESTS=nosuch", "DEPS=skip"], 2, "no test is called nosuch"),
    ("dist", ["tools/make-dist", "extra"], 1, "takes no arguments"),
    ("wrong-programs", ["tests/conditions", "programs"], 0, ""),
)


def jobs() -> list[Job]:
    return [Job(name=f"tool/{name}", command=["tools/faultline", *args], judge=judge(expected, regex), weight=1)
            for name, args, expected, regex in CASES] + [
                *(Job(name=f"tool/{name}", command=command, judge=judge(expected, regex), weight=1)
                  for name, command, expected, regex in OTHERS),
                Job(name="tool/help-verb", command=["tools/faultline", "help", "run"], judge=judge_help_verb),
                Job(name="tool/demo-help", command=["tools/faultline", "demo", "--help"], judge=judge_demo_help),
                Job(name="tool/version", command=["tools/faultline", "--version"], judge=judge_version)]


def judge_version(result: Result) -> list[str]:
    right = re.fullmatch(rb"faultline [0-9a-f]+\+? \(\d{4}-\d\d-\d\d\)\n", result.stdout) and not result.status
    return [] if right else [f"status {result.status}: {result.stdout!r}"]


def judge_help_verb(result: Result) -> list[str]:
    return [] if result.status == 0 and b"--cpus N" in result.stdout else [f"status {result.status}: {result.stdout!r}"]


def judge_demo_help(result: Result) -> list[str]:
    """Checks the defaults of `demo`, and that it offers no option that it would ignore."""
    said = " ".join(result.stdout.decode().split())
    wanted = ("CPUs, 1 to 64 (default 4)", "(default 16M, sync)", "(default: the release kernel)", "--qemu ARG")
    unwanted = ("--fault", "--gdb", "--disk", "--deterministic", "--release", "--env", "--file")
    return ([f"lacks “{one}”" for one in wanted if one not in said]
            + [f"offers {one}" for one in unwanted if one in said])


def soak_jobs() -> list[Job]:
    """
    Returns jobs for the cost of events; a boot CPU that takes no interrupts, noticed though all others are idle; a
    silent machine; and a script for `make run`, as in README.md.
    """
    told = (r"(?s)has reported a hang:\nFAULTLINE-HANG CPU 0 has taken no interrupt for 1 seconds\n"
            r"  CPU 0:\n    \w+ race_hit\+.*FAULTLINE-HANG-END\nfaultline: time-out")
    return [Job(name="tool/silent", command=["tools/faultline", "run", "--timeout", "2", "--qemu=-S", HELLO], weight=4,
                judge=judge(status.TIMED_OUT,
                            "time-out.*\nfaultline: the kernel has not written a word to its log\n$")),
            Job(name="tool/make-run", command=["make", "run"], stdin=b"exit 7\n", judge=judge(2, r"Error 7\n"),
                weight=2),
            Job(name="tool/bench-events", command=["tools/faultline", "bench", "--jobs", "1", "events"],
                judge=judge_cost_of_events, weight=4),
            Job(name="tool/hang-alone", command=["tools/faultline", "run", "--cpus", "3", "--append", "hang=1",
                                                 "--timeout", "20", "build/user/hang", "alone"],
                judge=judge(status.TIMED_OUT, told), weight=4)]


def judge_cost_of_events(result: Result) -> list[str]:
    """
    Checks that each row is measured with both kernels, and that only operations that record events cost more, by a
    little.
    """
    rows = re.findall(r"^(\S.*?) +(\d+) +(\d+) +(-?\d+)$", result.stdout.decode(), re.MULTILINE)
    costs = {name: int(cost) for name, _, _, cost in rows}
    wanted = {
        "a row for each operation": len(rows) == len(bench.ROWS),
        "differences that are differences": all(int(recorded) - int(without) == int(cost)
                                                for _, without, recorded, cost in rows),
        "nothing for what records nothing": costs.get("null syscall (getppid)") == 0,
        "a price for what does, and a low one": 0 < costs.get("first write, anonymous", 0) < 60,
    }
    failed = [f"exit status {result.status}"] if result.status else []
    return failed + [f"lacks {what}" for what, there in wanted.items() if not there]


def judge(expected: int, regex: str) -> Judge:
    def complaints(result: Result) -> list[str]:
        said = result.stderr.decode(errors="replace")
        wrong = [f"exit status {result.status}, expected {expected}"] if result.status != expected else []
        return wrong + ([] if re.search(regex, said) else [f"stderr does not match “{regex}”"])

    return complaints
