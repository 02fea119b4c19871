# SPDX-License-Identifier: MIT
"""
Scenario files: reads them, checks every key, and expands them over policies, CPUs, seeds, repetitions. See
tests/README.md.
"""

import difflib
import glob
import itertools
import os
import re
import subprocess
import tomllib
import typing

from faultline_host import options

from . import ROOT, minimise, oracle
from .job import Job, Result

Scenario = dict[str, typing.Any]  # a table of TOML, with the keys of DEFAULTS

DEFAULTS: Scenario = {
    "name": str, "proves": str, "program": str, "mode": str,
    "needs": [], "args": [], "policies": ["full"], "cpus": [2], "memory": "256M", "disks": [], "swaps": [],
    "seeds": [None], "repeat": [None], "deterministic": False, "boot": "direct", "release": False, "stdin": "",
    "stdin_hex": "", "live_stdin": False, "files": [], "env": [], "append": "", "limit": 120, "cap": 1200,
    "suite": "test", "soak": {}, "part": {}, "status": 0, "stdout": None, "stderr": None, "stdout_match": [],
    "stdout_reject": [], "stderr_match": [], "log_match": [], "log_reject": [],
}
REQUIRED = ("name", "proves", "program", "mode")
SHOWN_DIFF = 30
UNKNOWN = (0, None, None)  # the result on Linux; only the program's own checks remain, whose result is its status


class ScenarioError(Exception):
    """A scenario file that does not follow tests/README.md."""


def load(suite: str) -> list[Scenario]:
    """
    Returns all scenarios of a suite ("test", "soak", or "part" of soak-all) as checked dictionaries with every key
    present.
    """
    scenarios = []
    for path in sorted(glob.glob(os.path.join(ROOT, "tests", "scenarios", "*.toml"))):
        scenarios += load_file(path, suite)
    names = [scenario["name"] for scenario in scenarios]
    for name in names:
        if names.count(name) > 1:
            raise ScenarioError(f"two scenarios are called {name}")
    if suite == "part":
        return [scenario for scenario in scenarios if scenario["part"]]
    return [scenario for scenario in scenarios if suite == "soak" or scenario["suite"] == "test"]


def load_file(path: str, suite: str) -> list[Scenario]:
    with open(path, "rb") as file:
        try:
            content = tomllib.load(file)
        except tomllib.TOMLDecodeError as error:
            raise ScenarioError(f"{path}: {error}") from error
    return [complete(table, path, suite) for table in content.get("scenario", [])]


def complete(table: Scenario, path: str, suite: str) -> Scenario:
    where = f"{path}: {table.get('name', 'a scenario without a name')}"
    for key in REQUIRED:
        if not isinstance(table.get(key), str):
            raise ScenarioError(f"{where}: “{key}” is missing")
    for key in itertools.chain(table, table.get("soak", {}), table.get("part", {})):
        if key not in DEFAULTS:
            raise ScenarioError(f"{where}: there is no key “{key}”")
    if not re.fullmatch(r"[a-z0-9-]+", table["name"]):
        raise ScenarioError(f"{where}: a name is made of a-z, 0-9 and -")
    if table["mode"] not in ("oracle", "expect"):
        raise ScenarioError(f"{where}: mode is oracle or expect")
    if not set(table.get("needs", [])) <= set(oracle.PROPERTIES):
        raise ScenarioError(f"{where}: needs are {' and '.join(oracle.PROPERTIES)}")
    scenario = {**DEFAULTS, **table}
    for wider in {"soak": ("soak",), "part": ("soak", "part")}.get(suite, ()):
        scenario |= table.get(wider, {})
    scenario["seeds"] = numbers(scenario["seeds"])
    scenario["repeat"] = numbers(scenario["repeat"])
    return scenario


def numbers(value: str | list[int | None]) -> list[int | None]:
    """Expands "1-32" to 1, …, 32; returns a list unchanged."""
    if isinstance(value, str):
        first, _, last = value.partition("-")
        return list(range(int(first), int(last or first) + 1))
    return value


def jobs(scenario: Scenario, kernel: str | None = None) -> list[Job]:
    """Returns one job for each point of the scenario's sweep; `kernel` replaces the kernel image."""
    sweep = itertools.product(scenario["policies"], scenario["cpus"], scenario["seeds"], scenario["repeat"])
    return [job(scenario, *point, kernel) for point in sweep]


def job(scenario: Scenario, policy: str, cpus: int, seed: int | None, number: int | None, kernel: str | None) -> Job:
    program = os.path.join("build", "user", scenario["program"])
    args = [arg.replace("{n}", str(number)).replace("{cpus}", str(cpus)).replace("{policy}", policy)
            for arg in scenario["args"]]
    command = ["tools/faultline", "run", "--cpus", str(cpus), "--fault", policy, "--memory", scenario["memory"]]
    command += ["--boot", scenario["boot"]] if scenario["boot"] != "direct" else []
    command += ["--release"] if scenario["release"] and not kernel else []
    command += ["--deterministic"] if scenario["deterministic"] else []
    command += ["--schedule", str(seed)] if seed is not None else []
    command += ["--append", scenario["append"]] if scenario["append"] else []
    command += [word for disk in scenario["disks"] for word in ("--disk", disk)]
    command += [word for disk in scenario["swaps"] for word in ("--swap", disk)]
    command += [word for name in scenario["files"] for word in ("--file", name)]
    command += [word for pair in scenario["env"] for word in ("--env", pair)]
    command += ["--kernel", kernel] if kernel else []
    point = f"fault={policy} cpus={cpus}"
    point += f" seed={seed}" if seed is not None else ""
    point += f" n={number}" if number is not None else ""
    return Job(
        name=f"{scenario['name']} {point}", command=[*command, program, *args], has_log=True,
        stdin=input_of(scenario), live_stdin=scenario["live_stdin"], limit=scenario["limit"],
        cap=scenario["cap"],
        weight=cpus + (10 if seed is not None else 0) + (20 if scenario["boot"] != "direct" else 0),
        judge=lambda result: judge(scenario, program, args, result), says=lambda result: said_of(scenario),
    )


def judge(scenario: Scenario, program: str, args: list[str], result: Result) -> list[str]:
    complaints = judge_patterns("kernel log", result.log, scenario["log_match"], scenario["log_reject"])
    try:
        status, stdout, stderr = expectation(scenario, program, args)
    except (OSError, subprocess.TimeoutExpired) as error:
        return [*complaints, f"the program does not run on this Linux: {error}"]
    if scenario["mode"] == "expect":
        complaints += judge_patterns("stdout", result.stdout, scenario["stdout_match"], scenario["stdout_reject"])
        complaints += judge_patterns("stderr", result.stderr, scenario["stderr_match"], [])
    elif stdout is not None:
        complaints += failed_checks(stdout, "on this Linux: ")
    if stdout is None:
        complaints += failed_checks(result.stdout, "stdout: ")
    if result.status != status:
        complaints.append(f"exit status {result.status}, expected {status}")
    complaints += difference("stdout", result.stdout, stdout)
    complaints += minimise.hint(args, stdout, result.stdout) if scenario["program"] == "mmfuzz" and stdout else []
    complaints += difference("stderr", result.stderr, stderr)
    return complaints


def expectation(scenario: Scenario, program: str, args: list[str]) -> tuple[int, bytes | None, bytes | None]:
    """Returns status, stdout and stderr; None for one that is not checked."""
    if scenario["mode"] == "expect":
        return scenario["status"], encoded(scenario["stdout"]), encoded(scenario["stderr"])
    if lacks(scenario):
        return UNKNOWN
    files = tuple(options.file_pair(name) for name in scenario["files"])
    return oracle.on_linux(program, tuple(args), files, tuple(scenario["env"]), input_of(scenario))


def lacks(scenario: Scenario) -> str:
    return oracle.why_not(tuple(scenario["needs"])) if scenario["mode"] == "oracle" else ""


def said_of(scenario: Scenario) -> str:
    return f"only its own checks, no comparison: this Linux {lacks(scenario)}" if lacks(scenario) else ""


def failed_checks(stdout: bytes, where: str) -> list[str]:
    """
    Returns a complaint if a program reports that a check failed. One that fails on Linux is wrong about Linux, or about
    this machine: its failure here proves nothing. One that fails in a child process need not show in the exit status.
    """
    failed = re.findall(r"^FAIL .*", stdout.decode(errors="replace"), re.MULTILINE)
    return [f"{where}{failed[0]}"] if failed else []


def input_of(scenario: Scenario) -> bytes:
    return bytes.fromhex(scenario["stdin_hex"]) or scenario["stdin"].encode()


def encoded(text: str | None) -> bytes | None:
    return None if text is None else text.encode()


def difference(what: str, got: bytes, expected: bytes | None) -> list[str]:
    if expected is None or got == expected:
        return []
    lines = difflib.unified_diff(expected.decode(errors="replace").splitlines(),
                                 got.decode(errors="replace").splitlines(), "expected", "got", lineterm="", n=2)
    return ["\n".join([f"{what} differs:", *itertools.islice(lines, SHOWN_DIFF)])]


def judge_patterns(what: str, data: bytes, wanted: list[str], rejected: list[str]) -> list[str]:
    text = data.decode(errors="replace")
    complaints = [f"{what}: nothing matches “{regex}”" for regex in wanted
                  if not re.search(regex, text, re.MULTILINE)]
    for regex in rejected:
        match = re.search(regex, text, re.MULTILINE)
        if match:
            complaints.append(f"{what}: “{match[0]}” should not be there (“{regex}”)")
    return complaints
