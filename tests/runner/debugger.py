# SPDX-License-Identifier: MIT
"""Tests of the GDB commands: each script of tests/gdb/ runs inside GDB, attached to one boot."""

import os
import re

from . import OUTPUT, ROOT, scenario
from .job import Job, Result

STAGE = ["--deterministic", "--cpus", "3", "--swap", "1M"]
SITUATIONS = ["--deterministic", "--cpus", "2", "--disk", "4M", "--swap", "4M"]
POLICIES = {"mmap": "1", "vma": "2", "spec": "3", "full": "4"}  # as in enum policy of user/lib/faultline.h
ENDINGS = (  # program and its arguments, the tool's status, GDB's message
    (["end", "exit", "3"], 3, "The program has ended with status 3; the machine is off."),
    (["end", "signal", "11"], 139, "The program was killed by signal 11; the machine is off."),
    (["hang", "panic"], 125, "The kernel has panicked: its log says why; the machine is off."),
)
TOURS = ("demand-zero", "speculation", "swap-in", "shootdown")


def jobs() -> list[Job]:
    twice = Job(name="gdb/stop_at", command=["sh", "tests/gdb/stop_at.sh"], judge=judge, weight=4, limit=300)
    return [job("attach", ["--deterministic", "--cpus", "3"], ["hello-pie"]),
            job("commands", STAGE, ["reasons", "spf_abort_odd_count"]),
            job("tour", STAGE, ["tour", "cow"], "tour-cow"),
            *(ending_job(*ending) for ending in ENDINGS), twice]


def soak_jobs() -> list[Job]:
    """
    Returns the long jobs: every command in every state, and on the release kernel; all tours in one run, and each
    by itself, started as its text says; `why` for every reason, in every situation, and on a fuzzed address
    space; breakpoints counted; and reverse execution, which replays the run from its start for each step.
    """
    reasons = next(one["args"] for one in scenario.load("test") if one["name"] == "reasons")
    return [
        job("states", STAGE, ["hang", "panic"]),
        job("events", STAGE, ["reasons", "spf_abort_no_anon_vma", "spf_abort_swap_not_cached"]),
        job("commands", ["--release", *STAGE], ["reasons", "spf_abort_odd_count"], "commands-release"),
        job("why", STAGE, ["reasons", *reasons]),
        job("unwind", STAGE, ["reasons", "spf_skip_not_user", "spf_abort_odd_count"]),
        job("tour", STAGE, ["tour"]),
        *(job("tour", STAGE, ["tour", name], f"tour-{name}") for name in TOURS),
        job("why_conflict", STAGE, ["tour", "demand-zero", "speculation"]),
        *(job("why_fuzzed", ["--deterministic", "--cpus", "1", "--swap", "16M", "--fault", policy],
              ["mmfuzz", "--seeds", "1-8", "--steps", "300", "--threads", "4", "--swap"], f"why-fuzzed-{policy}")
          for policy in POLICIES),
        job("why", [*STAGE, "--memory", "64M"], ["foretold"], "why-foretold"),
        job("why_flight", SITUATIONS, ["situations", POLICIES["full"], "12"], "why-flight"),
        *(job("why_situations", SITUATIONS, ["situations", number, "1"], f"why-situations-{policy}")
          for policy, number in POLICIES.items()),
        *(job("why_flight", SITUATIONS, ["situations", number, "2"], f"why-flight-{policy}")
          for policy, number in POLICIES.items() if policy != "mmap"),
        job("all_stops", ["--cpus", "4"], ["thread_storm"]),
        job("reverse", ["--cpus", "1", "--reverse"], ["hello"]),
        *recipe_jobs(),
    ]


# --- docs/debugging.md -----------------------------------------------------------------------------------------------

def recipe_jobs() -> list[Job]:
    """
    Returns a job for each recipe: its commands must work, and every line that it shows must appear, apart from numbers.
    """
    with open(os.path.join(ROOT, "docs", "debugging.md"), encoding="utf-8") as file:
        parts = re.split(r"(?m)^    (?=tools/faultline run --gdb .*build/)", file.read())[1:]
    return [recipe_job(number, part) for number, part in enumerate(parts, start=1)
            if "COUNT" not in part.splitlines()[0]]


def recipe_job(number: int, text: str) -> Job:
    command, *lines = text.splitlines()
    lines = [line[4:] for line in lines if line.startswith("    ")]
    script = os.path.join(OUTPUT, f"recipe-{number}.gdb")
    os.makedirs(OUTPUT, exist_ok=True)
    with open(script, "w", encoding="utf-8") as file:
        file.write("".join(line.removeprefix("(gdb) ") + "\n" for line in lines if line.startswith("(gdb) ")))
    shown = [line for line in lines if not re.match(r"\(gdb\) |tools/|gdb ", line)]
    return Job(name=f"gdb/recipe-{number}", command=command.replace("--gdb", f"--gdb-script {script}").split(),
               weight=4, limit=300, judge=lambda result: judge_recipe(result, shown))


def judge_recipe(result: Result, shown: list[str]) -> list[str]:
    said = without_numbers((result.stdout + result.stderr).decode(errors="replace"))
    complaints = [f"the page shows “{line}”, which did not come" for line in shown
                  if without_numbers(line).strip() not in said]
    return complaints + ([f"exit status {result.status}: " + said[-500:]] if result.status else [])


def without_numbers(text: str) -> str:
    return re.sub(r"0x[0-9a-f]+|\d+| +", lambda match: " " if match[0].isspace() else "N", text)


def job(script: str, options: list[str], program: list[str], name: str | None = None) -> Job:
    return script_job(os.path.join("tests", "gdb", f"{script}.py"), options, program, name or script)


def script_job(path: str, options: list[str], program: list[str], name: str) -> Job:
    return Job(name=f"gdb/{name}", has_log=True, judge=judge, weight=8, limit=300,
               command=["tools/faultline", "run", *options, "--gdb-script", path, f"build/user/{program[0]}",
                        *program[1:]])


def ending_job(program: list[str], status: int, sentence: str) -> Job:
    one = job("ending", [], program, f"ending-{status}")
    one.judge = lambda result: judge(result, status) + (
        [] if sentence in result.stdout.decode() else [f"lacks “{sentence}”"])
    return one


def judge(result: Result, status: int = 0) -> list[str]:
    said = (result.stdout + result.stderr).decode(errors="replace")
    failed = re.findall(r"^FAIL (.*(?:\n(?!ok |FAIL |script: |\d+ checks).*)*)", said, re.MULTILINE)
    complaints = failed + ([f"exit status {result.status}, expected {status}"] if result.status != status else [])
    if "Traceback (most recent call last)" in said or not re.search(
            r"^script: [1-9]\d* checks, 0 failed$", said, re.MULTILINE):
        complaints.append("the script did not come to its end: " + said[-2000:])
    return complaints
