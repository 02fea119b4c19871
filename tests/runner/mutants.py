# SPDX-License-Identifier: MIT
"""
`tests/run mutants`: checks whether the tests notice a kernel that is wrong in one place. mutate.py makes such kernels.
One object of the host build is compiled again and linked with the others; then the tests that reach the line run, the
quickest first, until one fails. Mutants that no test notices are listed: tests/mutants/survivors.toml says why the
known ones survive, tests/mutants/caught.txt lists those that were caught.
"""

import argparse
import collections
import collections.abc
import concurrent.futures
import contextlib
import dataclasses
import difflib
import fcntl
import fnmatch
import glob
import hashlib
import itertools
import os
import re
import resource
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import tomllib
import typing

from faultline_host.status import UsageError

from . import ROOT, host, mutate, parts, reach
from .job import Job, Judge, Result

SURVIVORS = os.path.join(ROOT, "tests", "mutants", "survivors.toml")
CAUGHT = os.path.join(ROOT, "tests", "mutants", "caught.txt")
Place = tuple[str, int, int]  # a file, its first line, its last line

KINDS = ("equivalent", "cost", "hole")
SAMPLE, RECHECKED = 15, 5  # for `make soak`: from all, and from those that were caught

SEEDS = range(1, 7)  # of the tests: a mutant that was caught before by a test that depends on chance gets several tries
LIMITS = ((0.1, 3), (1.0, 8), (float("inf"), 50))  # seconds of time limit for a test, by its processor time
UNFINISHED = "failed: not finished after"  # printed by a test whose time is over (tests/host/test.c)
PATIENCE = 900  # seconds for all tests of a mutant together
MOST_OUTPUT = 64 << 20  # a mutant may print for ever
SHOWN = 4000  # characters of the failed test's output, with --name

# The plain forms of acquire and release; and uninitialised variables have the same value in each run.
FLAGS = ["-w", "-ftrivial-auto-var-init=pattern", "-DPLAIN_LOAD(p)=READ_ONCE(*(p))",
         "-DPLAIN_STORE(p, v)=WRITE_ONCE(*(p), v)"]


# ---- The command -----------------------------------------------------------------------------------------------------

def add_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("mutants")
    group.add_argument("--seed", metavar="S", help="which ones are tried (default: the number of commits)")
    group.add_argument("--count", metavar="N", help="how many of all (default: 20)")
    group.add_argument("--recheck", metavar="N", help="and how many of those that were caught before (default: 0)")
    group.add_argument("--name", metavar="MUTANT", action="append", help="try this one, and show what it changes")
    group.add_argument("--record", action="store_true", help="note in tests/mutants/caught.txt what was caught")
    group.add_argument("--show", action="store_true", help="print the mutants with their changes, and try none")


def command(options: argparse.Namespace) -> int:
    """`tests/run mutants`. Returns an exit status."""
    places = [place_of(word) for word in options.names]
    seed, count, recheck = numbers(options)
    everything = all_mutants(places)
    records = Records()
    if not everything:
        raise UsageError(f"nothing can be mistaken in {', '.join(options.names)}: name lines with code of a function")
    chosen = named(everything, options.name) if options.name else ordered(everything, seed)
    if options.show:
        for mutant in (chosen if options.name else everything):
            print(f"{mutant.name}\n{indent(change(mutant))}")
        return 0
    with contextlib.ExitStack() as stack:
        trial = stack.enter_context(Trial(options.jobs, records.caught))
        if options.name:
            tried = trial.run(chosen, len(chosen))
        else:
            again = [mutant for mutant in chosen if mutant.name in records.caught][:recheck]
            tried = trial.run(again, len(again)) + trial.run([one for one in chosen if one not in again], count)
    existing = {mutant.name for mutant in (all_mutants([]) if places else everything)}
    if options.record:
        records.note(tried, existing)
    return Report(tried, records, repeat(options, seed, count, recheck)).show(bool(options.name), existing)


def numbers(options: argparse.Namespace) -> tuple[int, int, int]:
    return (number("--seed", options.seed, default_seed), number("--count", options.count, lambda: 20, 1),
            number("--recheck", options.recheck, lambda: 0))


def number(option: str, text: str | None, default: collections.abc.Callable[[], int], least: int = 0) -> int:
    if text is None:
        return default()
    if not re.fullmatch(r"[0-9]+", text) or int(text) < least:
        raise UsageError(f"{option}: “{text}” is not a number{' above 0' if least else ''}")
    return int(text)


def default_seed() -> int:
    """Returns the number of commits; in a shallow checkout, which has none, a number from the last commit's hash."""
    if parts.git("rev-parse", "--is-shallow-repository") == "true":
        return int(parts.git("rev-parse", "HEAD")[:8], 16)
    return parts.number_of_commits()


def repeat(options: argparse.Namespace, seed: int, count: int, recheck: int) -> str:
    words = ["tests/run", "mutants", "--seed", str(seed), "--count", str(count)]
    words += ["--recheck", str(recheck)] if recheck else []
    return f"again: {shlex.join(words + options.names)}"


def place_of(word: str) -> Place:
    """Parses FILE, FILE:LINE or FILE:FIRST-LAST; returns (path, first, last)."""
    path, _, lines = word.partition(":")
    path = next((source for source in sources() if os.path.basename(source) == path), path)
    match = re.fullmatch(r"(\d+)(?:-(\d+))?", lines)
    if lines and not match:
        raise UsageError(f"“{word}”: LINE or FIRST-LAST must follow the colon")
    if path not in sources():
        why = "headers are left out: each has many objects" if path.endswith(".h") else "only what the host build tests"
        raise UsageError(f"no mutants are made of {path} ({why}); of mm/*/*.c and {', '.join(sources()[-5:])} they are")
    return (path, int(match[1]), int(match[2] or match[1])) if match else (path, 1, 1 << 30)


def sources() -> list[str]:
    """Returns the files that can be mutated; by default, only those in mm/ are."""
    with open(os.path.join(ROOT, "tests", "host", "sources.mk"), encoding="utf-8") as file:
        shared = re.findall(r"^HOST_SHARED := (.*)$", file.read(), re.MULTILINE)[0].split()
    return in_mm() + shared


def in_mm() -> list[str]:
    return sorted(os.path.relpath(path, ROOT) for path in glob.glob(os.path.join(ROOT, "mm", "*", "*.c")))


def all_mutants(places: list[Place]) -> list[mutate.Mutant]:
    places = places or [(path, 1, 1 << 30) for path in in_mm()]
    return [mutant for path, first, last in places for mutant in mutate.mutants_of(path, text_of(path))
            if first <= mutant.line <= last]


def text_of(path: str) -> str:
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def named(mutants: list[mutate.Mutant], patterns: collections.abc.Collection[str]) -> list[mutate.Mutant]:
    chosen = [mutant for mutant in mutants if any(fnmatch.fnmatchcase(mutant.name, pattern) for pattern in patterns)]
    if not chosen:
        raise UsageError(f"no mutant is called {' or '.join(patterns)}; tests/run mutants --show FILE shows them")
    return chosen


def ordered(mutants: list[mutate.Mutant], seed: int) -> list[mutate.Mutant]:
    """Sorts by a hash of seed and name, so that an edit in one place does not affect the order of the others."""
    return sorted(mutants, key=lambda mutant: hashlib.sha256(f"{seed} {mutant.name}".encode()).digest())


# ---- Trying them -----------------------------------------------------------------------------------------------------

@dataclasses.dataclass
class Outcome:
    mutant: mutate.Mutant
    verdict: str  # caught, survived; not counted: no C, no change (the same machine code)
    told: str = ""  # the test that caught it, or the number of tests that did not
    seconds: float = 0
    output: str = ""

    def counts(self) -> bool:
        return not self.verdict.startswith("no ")


class Trial:
    """The builds that mutants are linked with, and scratch directories for the workers."""

    def __init__(self, workers: int, caught_before: set[str]) -> None:
        self.workers = workers
        self.caught_before = caught_before  # names
        self.lock = threading.Lock()
        self.stopped = False
        self.unchanged: dict[str, bytes | None] = {}  # machine code of each unchanged source

    def __enter__(self) -> typing.Self:
        os.makedirs(reach.DIRECTORY, exist_ok=True)
        with open(os.path.join(reach.DIRECTORY, "lock"), "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            make("-j", str(self.workers), *(f"build/host/{kind}/tests" for kind in ("asan", "tsan", "reach")))
            self.reach = reach.load(self.workers)
        self.nr_cpus = host.tests("tsan", ROOT)
        self.builds = {sanitizer: Build(sanitizer) for sanitizer in host.SANITIZERS}
        self.directory = tempfile.mkdtemp(prefix="trial-", dir=reach.DIRECTORY)
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)

    def run(self, mutants: list[mutate.Mutant], count: int) -> list[Outcome]:
        """Tries mutants until `count` of them count; returns the outcomes."""
        queue, outcomes = iter(mutants), []

        def work(worker: int) -> None:
            scratch = os.path.join(self.directory, str(worker))
            os.makedirs(scratch, exist_ok=True)
            nonlocal count
            while True:
                with self.lock:
                    mutant = next(queue, None) if count > 0 and not self.stopped else None
                    count -= 1
                if not mutant:
                    return
                outcome = self.try_one(mutant, scratch)
                with self.lock:
                    outcomes.append(outcome)
                    if outcome.counts():
                        print(f"{outcome.verdict:9} {mutant.name} {outcome.told} ({outcome.seconds:.1f} s)", flush=True)
                    else:
                        count += 1

        with concurrent.futures.ThreadPoolExecutor(self.workers) as pool:
            futures = [pool.submit(work, worker) for worker in range(self.workers)]
            try:
                for future in futures:
                    future.result()
            finally:
                self.stopped = any(not future.done() for future in futures)
        return outcomes

    def try_one(self, mutant: mutate.Mutant, scratch: str) -> Outcome:
        started = time.monotonic()
        outcome = self._judge(mutant, scratch)
        outcome.seconds = time.monotonic() - started
        return outcome

    def _judge(self, mutant: mutate.Mutant, scratch: str) -> Outcome:
        original = text_of(mutant.path)
        code = machine_code(self.builds["asan"], mutant.path, mutant.apply(original), scratch)
        if not code:
            return Outcome(mutant, "no C")
        if mutant.path not in self.unchanged:
            self.unchanged[mutant.path] = machine_code(self.builds["asan"], mutant.path, original, scratch)
        same = code == self.unchanged[mutant.path]
        if same and mutant.operator != "order":  # x86 keeps the order anyway; the memory model does not
            return Outcome(mutant, "no change")
        tests = self.reach.tests(mutant.path, mutant.line)
        if not tests:
            return Outcome(mutant, "survived", "no test reaches it")
        for sanitizer in sanitizers_for(mutant, same):
            of_this = [test for test in tests if sanitizer != "tsan" or self.nr_cpus[test] > 1]
            program = self.builds[sanitizer].link(mutant, scratch)
            for seed in SEEDS if mutant.name in self.caught_before else SEEDS[:1]:
                failed, output = self._run_tests(program, of_this, seed)
                if failed:
                    return Outcome(mutant, "caught", f"by {sanitizer}/{failed}", output=output)
        return Outcome(mutant, "survived", f"{len(tests)} tests reach it")

    def _run_tests(self, program: str, tests: list[str], seed: int) -> tuple[str, str]:
        """Returns the first test that fails, or an empty string; and the output."""
        output = ""
        for limit, group in itertools.groupby(tests, lambda test: limit_of(self.reach.seconds[test])):
            failed, output = run_group(program, list(group), seed, limit)
            if failed:
                return failed, output
        return "", output


def sanitizers_for(mutant: mutate.Mutant, same_code: bool) -> tuple[str, ...]:
    """
    Returns the sanitizers to try: ThreadSanitizer for mutants that only show in the order of accesses of several
    threads.
    """
    if mutant.operator not in mutate.NEEDS_TSAN:
        return ("asan",)
    return ("tsan",) if same_code else host.SANITIZERS


def limit_of(seconds: float) -> int:
    return next(limit for below, limit in LIMITS if seconds < below)


def run_group(program: str, tests: list[str], seed: int, limit: int) -> tuple[str, str]:
    """
    Does the work of _run_tests(). Contention may slow a test down by chance: an unfinished one gets more time, once.
    """
    output = ""
    while tests:
        words = [*host.fixed_addresses(), program, "--seed", str(seed), "--stop", "--limit", str(limit), *tests]
        status, output = run_limited(words, limit)
        if not status:
            break
        names = re.findall(r"^FAILED (\S+)", output, re.MULTILINE)
        failed = names[-1] if names else "(a hang)"
        most = LIMITS[-1][1]
        if failed not in tests or limit == most or UNFINISHED not in output:
            return failed, output
        found, output = run_group(program, [failed], seed, most)
        if found:
            return found, output
        tests = tests[tests.index(failed) + 1:]
    return "", output


def run_limited(words: list[str], seconds: int) -> tuple[int, str]:
    """Returns status and output. A test that hangs before its watchdog runs is ended by its limit on processor time."""
    path = f"{words[len(host.fixed_addresses())]}.output"
    most = (seconds + 2) * (os.cpu_count() or 1)

    def limits() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (MOST_OUTPUT, MOST_OUTPUT))
        resource.setrlimit(resource.RLIMIT_CPU, (most, most))

    with open(path, "wb") as file:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True,
                                   preexec_fn=limits, cwd=ROOT)
        try:
            status = process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            status = -1
        finally:
            with contextlib.suppress(ProcessLookupError):  # also ends processes that a test has left behind
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    with open(path, encoding="utf-8", errors="replace") as text:
        return status, text.read(MOST_OUTPUT)


class Build:
    """The commands by which make compiles one object of the host build, and links all of them."""

    def __init__(self, sanitizer: str) -> None:
        self.objects = f"build/host/{sanitizer}/obj"
        lines = make("-n", "V=1", "-W", "mm/fault/fault.c", f"build/host/{sanitizer}/tests").splitlines()
        self.compile = next(shlex.split(line) for line in lines if line.endswith(" mm/fault/fault.c"))
        self.compile = self.compile[:self.compile.index("-MMD")]
        self.link_all = next(shlex.split(line) for line in lines if f"-o build/host/{sanitizer}/tests " in line)

    def object(self, path: str, text: str, scratch: str, options: collections.abc.Sequence[str] = ()) -> str | None:
        """Compiles to a file and returns its path; None if the text is no valid C."""
        source = os.path.join(scratch, os.path.basename(path))
        with open(source, "w", encoding="utf-8") as file:
            file.write(f'#line 1 "{path}"\n{text}')
        target = f"{source}.o"
        result = subprocess.run([*self.compile, *FLAGS, *options, "-c", "-o", target, source], cwd=ROOT,
                                capture_output=True, check=False)
        return None if result.returncode else target

    def link(self, mutant: mutate.Mutant, scratch: str) -> str:
        own = f"{self.objects}/{mutant.path.removesuffix('.c')}.o"
        changed = self.object(mutant.path, mutant.apply(text_of(mutant.path)), scratch)
        assert changed is not None  # _judge() has compiled it before
        program = os.path.join(scratch, "tests")
        words = [changed if word == own else word for word in self.link_all]
        words[words.index("-o") + 1] = program
        subprocess.run(words, cwd=ROOT, check=True, capture_output=True)
        return program


def machine_code(build: Build, path: str, text: str, scratch: str) -> bytes | None:
    """
    Returns the object, optimised and without debug information: equal for sources that mean the same. None if it is no
    valid C.
    """
    target = build.object(path, text, scratch, ("-O2", "-g0", "-fno-sanitize=all"))
    if not target:
        return None
    with open(target, "rb") as file:
        return file.read()


def make(*words: str) -> str:
    """Runs make without CI's settings, and not as part of the make that started the runner."""
    ours = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "CI")
    environment = {key: value for key, value in os.environ.items() if key not in ours}
    result = subprocess.run(["make", "--no-print-directory", *words], cwd=ROOT, env=environment, capture_output=True,
                            text=True, check=False)
    if result.returncode:
        raise UsageError(f"the host build fails:\n{result.stdout}{result.stderr}")
    return result.stdout


# ---- What is known of them -------------------------------------------------------------------------------------------

class Records:
    """The two lists of tests/mutants/, and the lines that are new."""

    def __init__(self) -> None:
        self.survivors = {one["name"]: one for one in survivors()}
        self.caught = set()
        if os.path.exists(CAUGHT):
            with open(CAUGHT, encoding="utf-8") as file:
                self.caught = {f"{words[0]}:{word}" for words in map(str.split, file) if words and words[0] != "#"
                               for word in words[1:]}
        self.base = base_of_change()
        self.changed: dict[str, set[int]] = {}  # lines, by file

    def why_it_fails(self, mutant: mutate.Mutant) -> str:
        """Returns why this mutant must not survive; an empty string if it may."""
        if mutant.name in self.caught:
            return "it was caught before"
        new = mutant.name not in self.survivors and self.is_changed(mutant)
        return "this change wrote the line" if new else ""

    def is_changed(self, mutant: mutate.Mutant) -> bool:
        if mutant.path not in self.changed:
            self.changed[mutant.path] = changed_lines(self.base, mutant.path)
        return mutant.line in self.changed[mutant.path]

    def note(self, tried: list[Outcome], existing: set[str]) -> None:
        """
        Writes caught.txt: mutants that still exist, without those that survive now, with those that are caught now.
        """
        for outcome in tried:
            (self.caught.add if outcome.verdict == "caught" else self.caught.discard)(outcome.mutant.name)
        by_function = collections.defaultdict(list)
        for name in self.caught & existing:
            path, function, rest = name.split(":", 2)
            by_function[f"{path}:{function}"].append(rest)
        with open(CAUGHT, "w", encoding="utf-8") as file:
            file.write("# Mutants that a test has caught, and must go on catching: by tests/run mutants --record\n")
            for function in sorted(by_function):
                file.write(f"{function} {' '.join(sorted(by_function[function]))}\n")


def survivors() -> list[dict[str, str]]:
    with open(SURVIVORS, "rb") as file:
        try:
            listed = tomllib.load(file).get("survivor", [])
        except tomllib.TOMLDecodeError as error:
            raise UsageError(f"tests/mutants/survivors.toml: {error}") from error
    for one in listed:
        if sorted(one) != ["kind", "name", "was", "why"] or one["kind"] not in KINDS:
            raise UsageError(f"tests/mutants/survivors.toml: {one.get('name', one)} wants name, was, why, and kind, "
                             f"one of {', '.join(KINDS)}")
    return listed


def base_of_change() -> str:
    """
    Returns the commit that this change is based on: the merge base with upstream, else the parent of HEAD; or nothing.
    """
    base = parts.git("merge-base", "HEAD", "@{upstream}")
    return base if base and base != parts.git("rev-parse", "HEAD") else parts.git("rev-parse", "--verify", "HEAD~1")


def changed_lines(base: str, path: str) -> set[int]:
    lines: set[int] = set()
    for match in re.finditer(r"^@@ -\S+ \+(\d+)(?:,(\d+))? @@",
                             parts.git("diff", "-U0", base, "--", path) if base else "", re.MULTILINE):
        lines.update(range(int(match[1]), int(match[1]) + int(match[2] or 1)))
    return lines


# ---- What is told ----------------------------------------------------------------------------------------------------

class Report:
    def __init__(self, tried: list[Outcome], records: Records, again: str) -> None:
        self.tried = [outcome for outcome in tried if outcome.counts()]
        self.skipped = collections.Counter(outcome.verdict for outcome in tried)
        self.records, self.again = records, again

    def show(self, in_full: bool, existing: set[str]) -> int:
        """
        Prints the report. Returns the exit status: 1 if a survivor is in a changed line, or was caught before, or if
        one that is listed does not exist.
        """
        gone = sorted(set(self.records.survivors) - existing)
        for name in gone:
            print(f"\n{name} is no more: take it out of tests/mutants/survivors.toml, or list what has taken its place")
        failures = 0
        for outcome in self.tried:
            if outcome.verdict == "survived":
                failures += self._survivor(outcome)
            elif outcome.mutant.name in self.records.survivors:
                print(f"\n{outcome.mutant.name} was caught: take it out of tests/mutants/survivors.toml")
            if in_full and outcome.verdict == "caught":
                print(f"\n{outcome.mutant.path}: {outcome.mutant.name}\n{indent(change(outcome.mutant, 3))}")
                print(indent(outcome.output[-SHOWN:]))
        print("\n" + self.again)
        print(self._totals())
        print(f"{len(self.tried) - failures} passed, {failures + len(gone)} failed")
        return 1 if failures or gone or not self.tried else 0

    def _survivor(self, outcome: Outcome) -> bool:
        """Prints a survivor. Returns True if it must not survive."""
        mutant = outcome.mutant
        known = self.records.survivors.get(mutant.name)
        reason = self.records.why_it_fails(mutant)
        print(f"\n{mutant.path}:{mutant.line}: {mutate.OPERATORS[mutant.operator]}, and {outcome.told}"
              f"{': FAILED, ' + reason if reason else ''}")
        print(indent(change(mutant)))
        if known:
            print(indent(f"{known['kind']}: {known['why']}"))
        else:
            print(indent(f"again: tests/run mutants --name {shlex.quote(mutant.name)}"))
        return bool(reason)

    def _totals(self) -> str:
        kinds = collections.Counter(self.records.survivors.get(outcome.mutant.name, {"kind": "new"})["kind"]
                                    for outcome in self.tried if outcome.verdict == "survived")
        caught = sum(outcome.verdict == "caught" for outcome in self.tried)
        share = f" ({100 * caught // len(self.tried)} %)" if self.tried else ""
        words = [f"{nr} {kind}" for kind, nr in kinds.most_common()]
        skipped = f"; {self.skipped['no C']} were no C, {self.skipped['no change']} the same machine code"
        return f"{len(self.tried)} mutants: {caught} caught{share}" + "".join(f", {word}" for word in words) + skipped


def change(mutant: mutate.Mutant, context: int = 0) -> str:
    """Returns the mutant's change as a diff."""
    before = text_of(mutant.path)
    diff = difflib.unified_diff(before.splitlines(), mutant.apply(before).splitlines(), n=context, lineterm="",
                                fromfile=mutant.path, tofile=mutant.path)
    return "\n".join(line for line in diff if not line.startswith(("---", "+++")))


def indent(text: str) -> str:
    return "\n".join(f"      {line}" for line in text.splitlines())


# ---- In the suites ---------------------------------------------------------------------------------------------------

# Wrong arguments, and a pattern for stderr.
CASES = (
    ("no-such-file", ["mm/nowhere.c"], "no mutants are made of mm/nowhere.c"),
    ("header", ["mm/table/tlb.h"], "headers are left out"),
    ("not-tested-on-the-host", ["kernel/debug/panic.c"], "only what the host build tests"),
    ("line", ["tlb.c:here"], "LINE or FIRST-LAST"),
    ("seed", ["--seed", "x"], "--seed: “x” is not a number"),
    ("count", ["--count", "0"], "--count: “0” is not a number above 0"),
    ("recheck", ["--recheck", "-1"], "--recheck: “-1” is not a number"),
    ("no-such-mutant", ["--name", "tlb.c:nothing:drop:0"], "no mutant is called"),
)
KNOWN_CAUGHT = ("mm/table/tlb.c", "drop", "machine_tlb_shootdown(others, start, end);")
TIME = 1200  # seconds for the builds and the tests of a sample


def jobs() -> list[Job]:
    return [Job(name=f"mutants/{name}", command=["tests/run", "mutants", *words], judge=judge_usage(regex), weight=1)
            for name, words, regex in CASES]


def soak_jobs() -> list[Job]:
    """Returns jobs that try a sample of mutants, and check that the tool tells a caught mutant from a survivor."""
    caught, survivor = known_caught(), known_survivor()
    return [Job(name="mutants/sample", judge=judge_sample, says=survivors_told, limit=TIME, cap=2 * TIME, weight=60,
                command=["tests/run", "mutants", "--count", str(SAMPLE), "--recheck", str(RECHECKED), "--jobs", "2"]),
            Job(name="mutants/proof", judge=judge_proof(caught, survivor), limit=TIME, cap=2 * TIME, weight=30,
                command=["tests/run", "mutants", "--name", caught.name, "--name", survivor.name, "--jobs", "1"])]


def known_caught() -> mutate.Mutant:
    path, operator, line = KNOWN_CAUGHT
    return next(mutant for mutant in mutate.mutants_of(path, text_of(path))
                if mutant.operator == operator and text_of(path).splitlines()[mutant.line - 1].strip() == line)


def known_survivor() -> mutate.Mutant:
    """Returns a mutant that no program can notice, so that no future test does."""
    listed = {one["name"] for one in survivors() if one["kind"] == "equivalent"}
    return named(all_mutants([]), listed)[0]


def judge_usage(regex: str) -> Judge:
    def complaints(result: Result) -> list[str]:
        said = result.stderr.decode(errors="replace")
        wrong = [f"exit status {result.status}, expected 1"] if result.status != 1 else []
        return wrong + ([] if re.search(f"^tests/run: .*{regex}", said) else [f"stderr does not match “{regex}”"])

    return complaints


def judge_sample(result: Result) -> list[str]:
    return [] if result.status == 0 else [result.stdout.decode(errors="replace")]


def survivors_told(result: Result) -> str:
    """Returns the text after the list of those that were tried."""
    return result.stdout.decode(errors="replace").partition("\n\n")[2]


def judge_proof(caught: mutate.Mutant, survivor: mutate.Mutant) -> Judge:
    def complaints(result: Result) -> list[str]:
        said = result.stdout.decode(errors="replace")
        records = Records()
        records.caught = {survivor.name}
        wanted = {
            "exit status 0": result.status == 0,
            "a mutant that is caught": f"\ncaught    {caught.name} by asan/" in f"\n{said}",
            "a mutant that survives": f"\nsurvived  {survivor.name} " in f"\n{said}",
            "a failure when one survives that was caught before": records.why_it_fails(survivor) != "",
        }
        return [f"lacks {what}:\n{said}" for what, there in wanted.items() if not there]

    return complaints
