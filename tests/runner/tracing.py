# SPDX-License-Identifier: MIT
"""
Tests of `tools/faultline trace` and `report`. The trace must satisfy Perfetto (slices nest on each track, each arrow
has two ends, each in an attempt; browser.py opens it there), and the report must be one self-contained file. The checks
are tried on broken traces first.
"""

import collections.abc
import copy
import csv
import io
import json
import re
import shlex
import typing

from faultline_host.costs import Run, verdict, waits_decide

from .job import Job, Result, unjudged

# As JSON:
Event = dict[str, typing.Any]
Trace = dict[str, typing.Any]
Report = dict[str, typing.Any]

PROGRAM = "build/user/threads"
REPORTED = "build/user/threads"
ONE_THREAD = "build/user/cow"
BENCH = "build/user/bench"
BENCH_ROWS = {"first-read": "first read of anonymous memory (zero page)",
              "swap-in-write": "write to a swapped-out page"}
CPUS = 1 << 22  # the process of the CPUs in a trace
NANOSECOND = 0.001
POLICY_ANSWERS = {"mmap": "mmap answered", "vma": "vma answered", "spec": "spec answered", "full": "spec answered"}


def jobs() -> list[Job]:
    return [trace_job(), states_job()]


def soak_jobs() -> list[Job]:
    return [report_job(), schedules_job(), processes_job(), own_job(), bench_job()]


# --- trace ------------------------------------------------------------------------------------------------------------


def trace_job() -> Job:
    job = Job(name="trace/file", has_log=True, command=[], judge=unjudged, weight=4)
    job.command, path = trace_command(job)
    job.judge = lambda result: judge_trace(result, path)
    return job


def trace_command(job: Job) -> tuple[list[str], str]:
    path = job.file(".json")
    return ["tools/faultline", "trace", "-o", path, "--cpus", "3", "--schedule", "1", PROGRAM], path


def judge_trace(result: Result, path: str) -> list[str]:
    if result.status:
        return [f"exit status {result.status}, expected 0"]
    with open(path, encoding="utf-8") as file:
        trace = json.load(file)
    return checks_that_hold_nothing_back(trace) + complaints_about(trace) + missing_from(trace)


def complaints_about(trace: Trace) -> list[str]:
    slices: dict[tuple[int, int], list[tuple[int, int]]] = {}
    arrows: dict[int, list[Event]] = {}
    complaints = wrong_names(trace)
    for event in trace["traceEvents"]:
        if not {"ph", "name", "pid", "tid"} <= event.keys():
            complaints.append(f"an event without ph, name, pid or tid: {event}")
        elif event["ph"] == "X":
            start, end = round(event["ts"] * 1000), round((event["ts"] + event["dur"]) * 1000)
            slices.setdefault((event["pid"], event["tid"]), []).append((start, end))
        elif event["ph"] in "sf":
            arrows.setdefault(event["id"], []).append(event)
        elif event["ph"] != "M":
            complaints.append(f"an event of unknown kind {event['ph']}")
    for track, found in slices.items():
        complaints += not_nested(track, found)
    for number, ends in arrows.items():
        complaints += not_paired(number, ends)
    return (complaints + not_bound(trace["traceEvents"]) + two_at_once(trace["traceEvents"]))[:10]


def wrong_names(trace: Trace) -> list[str]:
    """Checks that a thread number occurs in one process only: Perfetto finds a track by the thread alone."""
    processes: dict[int, int] = {}
    complaints = []
    for event in trace["traceEvents"]:
        if processes.setdefault(event["tid"], event["pid"]) != event["pid"]:
            complaints.append(f"thread {event['tid']} is of two processes")
    return complaints


def not_nested(track: tuple[int, int], slices: list[tuple[int, int]]) -> list[str]:
    stack: list[int] = []
    complaints = []
    for start, end in sorted(slices, key=lambda one: (one[0], -one[1])):
        while stack and stack[-1] <= start:
            stack.pop()
        if stack and end > stack[-1]:
            complaints.append(f"track {track}: the slice {start} to {end} leaves the one around it, "
                              f"which ends at {stack[-1]}")
        stack.append(end)
    return complaints


def not_paired(number: int, ends: list[Event]) -> list[str]:
    if [end["ph"] for end in ends] != ["s", "f"]:
        return [f"arrow {number} has not a start and then an end: {ends}"]
    start, finish = ends
    return [f"arrow {number} goes back in time"] if finish["ts"] < start["ts"] else []


def not_bound(events: list[Event]) -> list[str]:
    """
    Replays the events as Perfetto does: the end of an arrow belongs to the slice that was opened last and is still
    open.
    """
    opened: dict[tuple[int, int], list[tuple[int, str]]] = {}
    complaints, now = [], 0
    for event in events:
        if event["ph"] == "M":
            continue
        moment = round(event["ts"] * 1000)
        if moment < now:
            complaints.append(f"not in the order of time: {event}")
        now = moment
        stack = opened.setdefault((event["pid"], event["tid"]), [])
        while stack and stack[-1][0] <= now:
            stack.pop()
        if event["ph"] == "X":
            stack.append((now + round(event["dur"] * 1000), event["cat"]))
        elif not stack or stack[-1][1] != "attempt":
            complaints.append(f"an end of arrow {event['id']} is not in an attempt but in {stack[-1:]}")
    return complaints


def two_at_once(events: list[Event]) -> list[str]:
    """Checks that on a CPU's track, no slice is inside one of another thread."""
    running: dict[int, tuple[float, int]] = {}
    complaints = []
    for event in (event for event in events if event["ph"] == "X" and event["pid"] >= CPUS):
        end, thread = event["ts"] + event["dur"], event["args"]["thread"]
        until, other = running.get(event["tid"], (0, thread))
        if event["ts"] + NANOSECOND / 2 < until and thread != other:
            complaints.append(f"thread {thread} runs at {event['ts']} where thread {other} does: {event}")
        if end > until:
            running[event["tid"]] = end, thread
    return complaints


def missing_from(trace: Trace) -> list[str]:
    events = trace["traceEvents"]
    names = {event["args"].get("name", "") for event in events if event["ph"] == "M"}
    threads = {event["tid"] for event in events
               if event["name"] == "thread_name" and event["args"]["name"] == "threads"}
    processes = {event["pid"] for event in events
                 if event["name"] == "process_name" and event["args"]["name"] == "threads"}
    slices = [event for event in events if event["ph"] == "X"]
    wanted = {
        "a track for each CPU": {"CPU 0", "CPU 1", "CPU 2"} <= names,
        "tracks for the program's threads, by its name and of its one process": len(threads) >= 3 and processes == {1},
        "arrows": any(event["ph"] == "s" for event in events),
        "locks as slices": {"mmap_lock, writing", "VMA lock", "speculation (RCU)"} <= {one["name"] for one in slices},
        "functions where there are no lines": not any("?" in one["args"].get("source", "") for one in slices),
        "source lines": any(re.search(r" at \w+\.\w+:\d+$", one["args"].get("source", "")) for one in slices),
        "shootdowns, sent and answered": {"TLB shootdown", "TLB flush for others"} <= {one["name"] for one in slices},
    }
    return [f"the trace lacks {what}" for what, there in wanted.items() if not there]


def checks_that_hold_nothing_back(trace: Trace) -> list[str]:
    """Breaks the trace in several ways, each of which the check must notice."""
    def without_finish(events: list[Event]) -> None:
        events.remove(next(event for event in events if event["ph"] == "f"))

    def longer_slice(events: list[Event]) -> None:
        outer = next(one for one in events if one["ph"] == "X" and one["dur"] > 1)
        events.append(dict(outer, ts=outer["ts"] + outer["dur"] / 2, dur=outer["dur"]))

    def loose_arrow(events: list[Event]) -> None:
        next(event for event in events if event["ph"] == "s")["ts"] = 0

    def arrow_before_its_slice(events: list[Event]) -> None:
        finish = next(event for event in events if event["ph"] == "f")
        events.remove(finish)
        events.insert(next(n for n, event in enumerate(events) if event.get("ts") == finish["ts"]), finish)

    def one_number_twice(events: list[Event]) -> None:
        next(event for event in events if event["ph"] == "X" and event["pid"] != 1)["tid"] = 1

    def other_thread_inside(events: list[Event]) -> None:
        outer = max((one for one in events if one["ph"] == "X" and one["pid"] >= CPUS), key=lambda one: one["dur"])
        inner = dict(outer, ts=outer["ts"] + NANOSECOND, dur=NANOSECOND, args=dict(outer["args"], thread=-1))
        events.insert(events.index(outer) + 1, inner)

    complaints = []
    for breaking in (without_finish, longer_slice, loose_arrow, arrow_before_its_slice, one_number_twice,
                     other_thread_inside):
        broken = copy.deepcopy(trace)
        breaking(broken["traceEvents"])
        if not complaints_about(broken):
            complaints.append(f"the check does not notice {breaking.__name__}")
    return complaints


# --- report -----------------------------------------------------------------------------------------------------------


def report_job() -> Job:
    job = Job(name="report/file", has_log=True, command=[], judge=unjudged, weight=6)
    job.command, path = report_command(job)
    job.judge = lambda result: judge_report(result, path)
    return job


def report_command(job: Job) -> tuple[list[str], str]:
    path = job.file(".html")
    return ["tools/faultline", "report", "-o", path, "--csv", "--cpus", "3", "--schedule", "1", REPORTED], path


def judge_report(result: Result, path: str) -> list[str]:
    if result.status:
        return [f"exit status {result.status}, expected 0"]
    with open(path, encoding="utf-8") as file:
        html = file.read()
    data = report_data(path)
    return (complaints_about_file(html) + complaints_about_numbers(data, result.stdout.decode())
            + complaints_about_verdict(data))


def complaints_about_verdict(data: Report) -> list[str]:
    """Checks that the verdict follows the numbers, and changes with them."""
    def with_costs(change: collections.abc.Callable[[Run], None]) -> str:
        runs = copy.deepcopy(data["runs"])
        for run in runs:
            run.pop("elsewhere", None)
            run.update(own=run["faults"] * 1000, time=[0, 0, run["faults"] * 1000] + [0] * (len(run["time"]) - 3),
                       lost=0)
            change(run)
        return verdict(runs, 3, data["sentences"])

    def same(_run: Run) -> None:
        pass

    def slow_mmap(run: Run) -> None:
        if run["policy"] == "mmap":
            run["time"][2] *= 2

    def waits_for_all_but_spec(run: Run) -> None:
        if run["policy"] != "spec":
            run["time"][-2] = run["faults"] * 500
            run["waits"] = [{"what": "mmap_lock for reading", "of_fault": True, "number": 2,
                             "time": run["faults"] * 500}]

    def other_schedules_differ(run: Run) -> None:
        waits_for_all_but_spec(run)
        run["elsewhere"] = [1100, 1400] if run["policy"] != "mmap" else [1700, 1800]

    def one_thread_each(run: Run) -> None:
        run.update(processes=3, attempts={"mmap answered": run["faults"]},
                   skipped={"spf_skip_single_thread": run["faults"]})

    def lost(run: Run) -> None:
        run["lost"] = 1

    def nothing(run: Run) -> None:
        run.update(faults=0, time=[0] * len(run["time"]))

    wanted = {
        same: "No difference worth naming: a fault costs 1,000 to 1,000", lost: "Events are missing",
        nothing: "No page fault", slow_mmap: "50 % fewer than under mmap (2,000)",
        waits_for_all_but_spec: "Policy spec was best: 1,000 instructions a fault, waiting included, 33 % fewer",
        other_schedules_differ:
            "Policies spec, vma and full were best: 1,100 instructions a fault, waiting included, 35 % fewer",
        one_thread_each: "since each process of the program has one thread",
    }
    said = {change: with_costs(change) for change in wanted}
    return [f"the verdict on {change.__name__} is “{said[change]}”" for change, words in wanted.items()
            if words not in said[change]] + ([] if data["verdict"] else ["the report has no verdict"])


def schedules_job() -> Job:
    """Where waits decide, and no schedule was given, the verdict is about three schedules; otherwise about one."""
    job = Job(name="report/schedules", has_log=True, command=[], judge=unjudged, weight=12)
    path = job.file(".html")
    job.command = ["tools/faultline", "report", "-o", path, "--cpus", "3", REPORTED]
    job.judge = lambda result: judge_schedules(result, report_data(path))
    return job


def judge_schedules(result: Result, data: Report) -> list[str]:
    decide, runs = waits_decide(data["runs"]), result.stderr.count(b"faultline: policy ")
    complaints = [f"exit status {result.status}"] if result.status else []
    if (runs != (12 if "elsewhere" in data["runs"][0] else 4)
            or ("(Medians of 3 schedules: " in data["verdict"]) != (runs == 12)):
        complaints.append(f"{runs} runs, and the verdict: {data['verdict']}")
    return complaints + ([f"the first schedule does not decide, and {runs} runs"] if decide and runs == 4 else [])


def processes_job() -> Job:
    """Threads of two processes do not meet, though they use the same addresses."""
    job = Job(name="report/processes", has_log=True, command=[], judge=unjudged, weight=4)
    path = job.file(".html")
    script = "for i in 1 2 3; do seq 1 2000 | sort -n | md5sum; done"
    job.command = ["tools/faultline", "report", "-o", path, "--fault", "full", "/bin/busybox", "sh", "-c", script]
    job.judge = lambda result: judge_processes(result, report_data(path)["runs"][0])
    return job


def judge_processes(result: Result, run: Run) -> list[str]:
    line = run["timeline"]
    right = not result.status and run["processes"] > 5 and len(line["threads"]) == 1 and line["slices"]
    return [] if right else [f"status {result.status}, {run['processes']} processes, threads {line['threads']}"]


def states_job() -> Job:
    """The map shows the state of each page: user/tests/faults/page_states.c ends with some pages in each state."""
    job = Job(name="report/states", has_log=True, command=[], judge=unjudged, weight=4)
    path = job.file(".html")
    job.command = ["tools/faultline", "report", "-o", path, "--fault", "vma", "--swap", "1M", "build/user/page_states"]
    job.judge = lambda result: judge_states(result, path)
    return job


def judge_states(result: Result, path: str) -> list[str]:
    if result.status:
        return [f"exit status {result.status}, expected 0"]
    maps = {(pages, permissions): runs for _, pages, permissions, _, runs in report_data(path)["maps"][0]["vmas"]}
    wanted = {(40, "rw-p"): [[0, 8, "anon"], [8, 8, "zero"], [16, 8, "cow"], [24, 8, "swap"]],
              (8, "rw-s"): [[0, 8, "shared"]]}
    return [f"{vma}: the map has {maps.get(vma)}, expected {runs}" for vma, runs in wanted.items()
            if maps.get(vma) != runs]


def own_job() -> Job:
    """A program with one thread costs the same with one CPU and with four, with and without the schedule fuzzer."""
    job = Job(name="report/own", command=[], judge=judge_own, weight=4)
    report = ["tools/faultline", "report", "-o", job.file(".html"), "--csv", "--fault", "full"]
    machines = (["--cpus", "1", "--deterministic"], ["--cpus", "1"], ["--cpus", "4"])
    job.command = ["sh", "-c", " && ".join(shlex.join([*report, *machine, ONE_THREAD]) for machine in machines)]
    return job


def judge_own(result: Result) -> list[str]:
    if result.status:
        return [f"exit status {result.status}, expected 0"]
    undisturbed, *fuzzed = [int(row["value"]) for row in csv_rows(result) if row["name"] == "own"]
    complaints = [] if max(fuzzed) <= min(fuzzed) * 1.02 else [
        f"with 1 and 4 CPUs the faults' instructions are {fuzzed}"]
    if max(fuzzed) > undisturbed * 1.1:  # the rest are the fuzzer's calls
        complaints.append(f"undisturbed the faults' instructions are {undisturbed}, under --schedule {fuzzed}")
    return complaints


def bench_job() -> Job:
    """The difference between policies full and mmap is the same in the report and in user/bench, in the same runs."""
    job = Job(name="report/bench", command=[], judge=judge_bench, weight=8)
    report = ["tools/faultline", "report", "-o", job.file(".html"), "--csv", "--deterministic", "--cpus", "1", "--swap",
              "16M"]
    job.command = ["sh", "-c", " && ".join(shlex.join([*report, "--fault", policy, BENCH, "rows"])
                                           for policy in ("mmap", "full"))]
    return job


def judge_bench(result: Result) -> list[str]:
    if result.status:
        return [f"exit status {result.status}, expected 0"]
    medians = {(row["policy"], row["name"]): int(row["value"]) for row in csv_rows(result) if row["group"] == "median"}
    complaints = []
    for name, kind in BENCH_ROWS.items():
        mmap, full = (float(value) for value
                      in re.findall(rf"^row {name} ([\d.]+)", result.stderr.decode(), re.MULTILINE))
        seen = medians["full", kind] - medians["mmap", kind]
        if abs(seen - (full - mmap)) > 0.02 * mmap:
            complaints.append(f"{name}: in the report full costs {seen} more than mmap, in bench {full - mmap:g}")
    return complaints


def csv_rows(result: Result) -> list[dict[str, str]]:
    """Returns the CSV rows of all reports in the output."""
    return [row for row in csv.DictReader(io.StringIO(result.stdout.decode())) if row["policy"] != "policy"]


def report_data(path: str) -> Report:
    with open(path, encoding="utf-8") as file:
        return json.loads(re.findall(r"^const report = (.*);$", file.read(), re.MULTILINE)[0])


def complaints_about_file(html: str) -> list[str]:
    """Checks that the report needs no other file, and no network."""
    outside = re.findall(r"""(?:src|href)\s*=\s*["']?(?!data:)[^"'>\s]+|"""
                         r"@import|url\((?!data:)|\bfetch\(|XMLHttpRequest", html)
    return [f"the report refers to something outside: {text}" for text in outside] + (
        [] if html.count("<script") == html.count("</script>") == 1 else ["the report's script is not one"])


def complaints_about_numbers(data: Report, text: str) -> list[str]:
    rows = list(csv.DictReader(io.StringIO(text)))
    complaints = []
    if [run["policy"] for run in data["runs"]] != ["mmap", "vma", "spec", "full"]:
        complaints.append("the report is not about each policy")
    for run in data["runs"]:
        states = run["states"]
        vmas = next(one["vmas"] for one in data["maps"] if run["policy"] in one["policies"])
        mine = {(row["group"], row["name"]): int(row["value"]) for row in rows if row["policy"] == run["policy"]}
        ends = sum(number for (group, _), number in mine.items() if group == "attempts")
        gave_up = sum(number for (group, name), number in mine.items()
                      if group == "attempts" and name.endswith(("gave_up", "retry")))
        reasons = sum(number for (group, name), number in mine.items()
                      if group == "reasons" and name != "vma_lock_detached")
        kinds = sum(number for (group, _), number in mine.items() if group == "kinds")
        pages = {key: sum(entry[1] for vma in vmas for entry in vma[4] if entry[2] == key) for key in states}
        wanted = {
            "attempts": ends > 100, "as many reasons as attempts that gave up": reasons == gave_up,
            "a kind for each answer": kinds == ends - gave_up, "nothing lost": mine["run", "lost"] == 0,
            "the strategy of its policy": any(name.startswith(POLICY_ANSWERS[run["policy"]]) for group, name in mine
                                              if group == "attempts"),
            "a map with as many pages as the numbers say": pages == states and sum(pages.values()) > 10,
            "a sentence about each reason":
                {name for group, name in mine if group in ("reasons", "skipped")} <= data["sentences"].keys(),
            "a fault for each answer":
                run["faults"] == ends - gave_up == sum(one["number"] for one in run["costs"].values()),
            "times that are its own": data["own"] and 300 < run["own"] / run["faults"] < 3000,
            "parts that make the whole": sum(run["time"][:-2]) == run["own"],
            "a headline": f"{run['faults']:,} faults, " in run["headline"],
            "threads that meet": len(run["timeline"]["threads"]) >= 2 and run["timeline"]["slices"],
        }
        complaints += [f"policy {run['policy']}: the report lacks {what}" for what, there in wanted.items()
                       if not there]
    return complaints
