# SPDX-License-Identifier: MIT
"""
`tests/run minimise SEED`: finds the fewest steps of an mmfuzz seed that Linux and Faultline answer differently.

It tries lists of steps to keep in batches, one boot for each batch: mmfuzz runs every list in a process of its own and
prints a digest for it. The method is delta debugging (Zeller 2002): leave out ever smaller parts, as long as the
difference stays.
"""

import argparse
import collections.abc
import os
import re
import subprocess

from faultline_host.status import UsageError

from . import ROOT

PROGRAM = "build/user/mmfuzz"
BATCH = 32  # lists for each boot; mmfuzz takes 64
PATIENCE = 600  # seconds, enough for any load
SHORT = ["--memory", "32M"]
DIGEST = re.compile(r"^seed \d+: [0-9a-f]{16}$", re.MULTILINE)


def add_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("minimise")
    group.add_argument("--steps", type=int, default=100, metavar="N", help="of mmfuzz (default: 100)")
    group.add_argument("--exact", action="store_true", help="as mmfuzz --exact")
    group.add_argument("--swap", action="append", default=[], metavar="SIZE",
                       help="a swap area of a machine with little memory; as mmfuzz --swap")
    group.add_argument("--fault", default="full", metavar="POLICY", help="default: full")
    group.add_argument("--cpus", default="2", metavar="N", help="default: 2")
    group.add_argument("--kernel", metavar="FILE", help="another kernel image")


def minimise(seed: str, options: argparse.Namespace) -> int:
    """Prints the steps in words, from both kernels. Returns an exit status: 0 if there was a difference."""
    if not re.fullmatch(r"[0-9]+", seed):
        raise UsageError(f"“{seed}” is no seed of mmfuzz: a number")
    if options.steps < 1:
        raise UsageError(f"--steps: {options.steps} is not a number above 0")
    search = Search(seed, options)
    steps = list(range(1, options.steps + 1))
    if search.first_different([steps]) is None:
        print(f"seed {seed}: no difference in {options.steps} steps")
        return 1
    steps = search.shrink(steps)
    print(f"seed {seed}: {len(steps)} of {options.steps} steps make the difference, after {search.boots} boots")
    show(search, steps)
    return 0


def hint(args: list[str], expected: bytes, got: bytes) -> list[str]:
    """Returns a hint for a failed comparison, how to minimise it. Empty unless a seed's line of mmfuzz differs."""
    wanted = set(expected.decode(errors="replace").splitlines())
    for line in got.decode(errors="replace").splitlines():
        match = re.match(r"seed (\d+): ", line)
        if match and line not in wanted:
            options = "".join(f" {word}" for word in args if word == "--exact")
            if "--steps" in args:
                options += f" --steps {args[args.index('--steps') + 1]}"
            options += " --swap 8M" if "--swap" in args else ""
            return [f"the fewest steps of it: tests/run minimise {match[1]}{options}"]
    return []


class Search:
    def __init__(self, seed: str, options: argparse.Namespace) -> None:
        self.mmfuzz = ["--seeds", str(seed), "--steps", str(options.steps)] + ["--exact"] * options.exact
        self.mmfuzz += ["--swap"] if options.swap else []
        self.run = ["tools/faultline", "run", "--timeout", str(PATIENCE), "--fault", options.fault, "--cpus",
                    options.cpus] + (["--kernel", options.kernel] if options.kernel else [])
        self.run += SHORT + [word for size in options.swap for word in ("--swap", size)] if options.swap else []
        self.boots = 0

    def shrink(self, steps: list[int]) -> list[int]:
        """Leaves out ever smaller parts until every remaining step is needed."""
        size = (len(steps) + 1) // 2
        while True:
            parts = [steps[at:at + size] for at in range(0, len(steps), size)]
            rests = [[step for step in steps if step not in part] for part in parts]
            found = self.first_different([rest for rest in rests if rest])
            if found is not None:
                steps = found
                size = min(size, max(1, len(steps) // 2))
            elif size == 1:
                return steps
            else:
                size = (size + 1) // 2

    def first_different(self, lists: list[list[int]]) -> list[int] | None:
        for at in range(0, len(lists), BATCH):
            batch = lists[at:at + BATCH]
            linux, faultline = self.on_linux(batch), self.on_faultline(batch)
            for steps, ours, theirs in zip(batch, faultline, linux):
                if ours != theirs:
                    return steps
        return None

    def on_linux(self, lists: list[list[int]]) -> list[str]:
        return blocks(self.output([os.path.join(ROOT, PROGRAM)], lists), len(lists))

    def on_faultline(self, lists: list[list[int]]) -> list[str]:
        self.boots += 1
        return blocks(self.output([*self.run, PROGRAM], lists), len(lists))

    def output(self, command: list[str], lists: list[list[int]], more: collections.abc.Sequence[str] = ()) -> str:
        words = [word for steps in lists for word in ("--only", ranges(steps))]
        result = subprocess.run([*command, *self.mmfuzz, *words, *more], cwd=ROOT, stdin=subprocess.DEVNULL,
                                capture_output=True, timeout=2 * PATIENCE, check=False)
        return result.stdout.decode(errors="replace") + ended(result)


def ended(result: subprocess.CompletedProcess[bytes]) -> str:
    """Returns the text after the last digest: a panic or a failed check of the kernel is a difference, too."""
    return result.stderr.decode(errors="replace")


def blocks(output: str, nr: int) -> list[str]:
    """Returns the output for each list, up to its digest; output after the last digest belongs to the next list."""
    found, at = [], 0
    for match in DIGEST.finditer(output):
        found.append(output[at:match.end()].strip())
        at = match.end()
    rest = re.sub(r"seed \d+ failed: .*|mmfuzz: \d+ failed.*", "", output[at:]).strip()
    return found[:nr] + [rest] * (nr - len(found))


def ranges(steps: list[int]) -> str:
    """Formats steps for --only: [1, 2, 3, 7] → "1-3,7"."""
    parts: list[list[int]] = []  # [first, last]
    for step in steps:
        if parts and parts[-1][1] == step - 1:
            parts[-1][1] = step
        else:
            parts.append([step, step])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in parts)


def show(search: Search, steps: list[int]) -> None:
    ours = search.output([*search.run, PROGRAM], [steps], ["--trace"])
    theirs = search.output([os.path.join(ROOT, PROGRAM)], [steps], ["--trace"])
    directory = os.path.join(ROOT, "build", "tests")
    os.makedirs(directory, exist_ok=True)
    for name, text in (("faultline", ours), ("linux", theirs)):
        with open(os.path.join(directory, f"minimise.{name}"), "w", encoding="utf-8") as file:
            file.write(text)
    subprocess.run(["diff", f"-U{len(theirs.splitlines())}", "--label", "Linux", "--label", "Faultline",
                    "minimise.linux", "minimise.faultline"], cwd=directory, check=False)
    print(f"replay: {' '.join([*search.run, PROGRAM, *search.mmfuzz])} --only {ranges(steps)} --trace")
