# SPDX-License-Identifier: MIT
"""The command line of tests/run, and the suites."""

import argparse
import collections.abc
import contextlib
import fnmatch
import os
import signal
import sys
import time

from faultline_host.options import above_zero
from faultline_host.status import UsageError

from . import (browser, bugs, conditions, debugger, docs, execute, host, machines, matrix, minimise, mutants, panics,
               parts, planted, scenario, sharing, shell, suspend, terminal, tool, tracing)
from .job import Job

DESCRIPTION = """\
suites:
  test       host tests, scenarios, and that every planted bug still applies (`make test`)
  soak       the long sweeps: what `test` has not run (`make soak`)
  soak-all   what is too long for every change, in parts (`make soak-all`)
  host       only the tests of the host build (`make host`)
  known NAME…  says of a name that no test of the suite `test` has it, and needs no build; known-soak: of that of soak
  list       print the names of the suite `test`, and what scenarios and bugs prove
  minimise SEED   the fewest steps of mmfuzz SEED that Linux and Faultline answer differently
  mutants [FILE[:LINE]…]   try kernels that are wrong in one place, and list those that no host test notices
  bug NAME   plant tests/bugs/NAME.patch in a scratch copy and see its test fail
"""


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="tests/run", description=DESCRIPTION, allow_abbrev=False,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite", metavar="SUITE",
                        choices=("test", "soak", "soak-all", "host", "known", "known-soak", "list", "bug", "minimise",
                                 "mutants"))
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these tests or bugs; * and ? are wildcards")
    parser.add_argument("--jobs", type=above_zero, default=(os.cpu_count() or 1) + 1, metavar="N",
                        help="side by side (default: as CPUs and one more, for when one waits)")
    parser.add_argument("--part", metavar="PART",
                        help="of soak-all: one part, or `next`: one that the last change touches")
    minimise.add_options(parser)
    mutants.add_options(parser)
    options = parser.parse_intermixed_args(argv)
    close_inherited_descriptors()
    forget_make()
    let_children_be_interrupted()
    try:
        return run(options)
    except (scenario.ScenarioError, bugs.PatchError, UsageError) as error:
        print(f"tests/run: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def close_inherited_descriptors() -> None:
    """
    Closes the shell's descriptors, so that no test sees them: a child's table is as large as its parent's last
    descriptor. A table of 64 is the smallest, and below 64 are those of make.
    """
    for name in os.listdir("/proc/self/fd"):
        if int(name) >= 64:
            with contextlib.suppress(OSError):  # the listing's own is closed already
                os.close(int(name))


def forget_make() -> None:
    """
    Removes make's variables: a `make` that a test starts is like a user's, and does not depend on one that started the
    runner.
    """
    for name in ("MAKELEVEL", "MAKEFLAGS", "MFLAGS"):
        os.environ.pop(name, None)


def let_children_be_interrupted() -> None:
    """
    Lets children be interrupted. A shell that starts the runner in the background may make it ignore the keyboard's
    signals, and nohup the terminal's. The runner goes on ignoring them, by a handler, which children do not inherit.
    """
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


def run(options: argparse.Namespace) -> int:
    if options.part is not None and options.suite not in ("soak-all", "known"):
        raise UsageError(f"--part is for soak-all, not for {options.suite}")
    if options.suite == "list" and options.names:
        raise UsageError("list takes no names: it prints all")
    if options.suite == "list":
        return print_list()
    if options.suite in ("known", "known-soak"):
        if options.part not in (None, "next"):
            parts.by_name(options.part)
        return refuse_unknown(options.names, names_of(options.suite))
    if options.suite in ("bug", "minimise") and not options.names:
        raise UsageError(f"{options.suite} wants {'NAME, one of tests/bugs/' if options.suite == 'bug' else 'SEED'}")
    if options.suite == "bug":
        return max(bugs.prove(name) for name in bugs.chosen(options.names))
    if options.suite == "mutants":
        return mutants.command(options)
    if options.suite == "minimise":
        return max(minimise.minimise(seed, options) for seed in options.names)
    jobs = parts.jobs(options.part) if options.suite == "soak-all" else suite_jobs(options.suite, options.names)
    refuse_unknown(options.names, [job.name for job in jobs] + matrix.left_out)
    jobs = select(jobs, options.names)
    started = time.monotonic()
    passed, failed = execute.run_all(jobs, options.jobs)
    print(f"{time.monotonic() - started:.0f} s, with {options.jobs} at a time")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


def names_of(suite: str) -> list[str]:
    """Returns the names of the jobs, which are known before anything is built."""
    jobs = built_jobs() + (soak_jobs() if suite == "known-soak" else [])
    return [job.name for job in jobs] + host.names_in_sources()


def suite_jobs(suite: str, names: collections.abc.Sequence[str] = ()) -> list[Job]:
    if suite == "host":
        return host.jobs()
    if suite == "soak":
        tested = [job.command for job in suite_jobs("test")]
        return [job for job in soak_jobs() if job.command not in tested]
    return (host.jobs() if names else host.quick_jobs()) + built_jobs()


def built_jobs() -> list[Job]:
    """Returns the jobs of the suite `test` besides the host tests: they are known before anything is built."""
    return tools_jobs() + scenario_jobs("test") + bugs.apply_jobs()


def soak_jobs() -> list[Job]:
    return soak_jobs_anywhere() + browser.jobs()


def soak_jobs_anywhere() -> list[Job]:
    """Returns the soak's jobs without those that need a browser, which print a message if there is none."""
    jobs = host.jobs() + conditions.jobs() + debugger.soak_jobs() + tool.soak_jobs() + mutants.soak_jobs()
    jobs += tracing.soak_jobs() + sharing.soak_jobs() + terminal.soak_jobs() + machines.soak_jobs() + planted.jobs()
    return jobs + docs.soak_jobs() + scenario_jobs("soak")


def scenario_jobs(suite: str) -> list[Job]:
    return [job for one in scenario.load(suite) for job in scenario.jobs(one)]


def tools_jobs() -> list[Job]:
    """Returns the jobs for what surrounds the kernel: its tools, terminals, documents, GDB."""
    modules = (tool, shell, sharing, terminal, suspend, docs, debugger, panics, tracing, machines)
    return [job for module in modules for job in module.jobs()]


def select(jobs: list[Job], names: collections.abc.Sequence[str]) -> list[Job]:
    return [job for job in jobs if not names or any(means(name, job.name) for name in names)]


def means(name: str, test: str) -> bool:
    """
    Returns whether a name is a whole test (`cow-chain fault=full cpus=2`), its first word, or a pattern for either.
    """
    return any(fnmatch.fnmatchcase(text, name) for text in (test, test.split()[0]))


def refuse_unknown(names: list[str], tests: list[str]) -> int:
    unknown = [name for name in names if not any(means(name, test) for test in tests)]
    if unknown:
        of_soak = all(any(means(name, job.name) for job in soak_jobs_anywhere()) for name in unknown)
        raise UsageError(f"{' and '.join(unknown)}: of make soak, not of make test" if of_soak else
                         f"no test is called {' or '.join(unknown)}; tests/run list shows them")
    return 0


def print_list() -> int:
    """Prints the tests: scenarios by their first word, whatever they are swept over."""
    for one in scenario.load("test"):
        print(f"{one['name']:30} {one['proves']}")
    for job in tools_jobs() + host.jobs():
        print(job.name)
    for part in parts.PARTS:
        print(f"{'soak-all PART=' + part.name:30} {part.proves}")
    for path in bugs.patches():
        print(f"bug/{bugs.name_of(path):26} {bugs.header(path)['Why']}")
    return 0
