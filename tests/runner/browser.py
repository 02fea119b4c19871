# SPDX-License-Identifier: MIT
"""
Tests in a real browser: a trace opened in Perfetto itself, and a report. They need Chromium and, for traces,
Perfetto's program from the network; otherwise the runner reports what is left out.
"""

import collections
import copy
import json
import os
import re
import shlex
import shutil
import subprocess
import typing

from . import ROOT
from .job import Job, Result, unjudged
from .tracing import report_command, trace_command

Event = dict[str, typing.Any]  # of a trace, as JSON
Picture = dict[str, typing.Any]  # what Perfetto has understood, as JSON

TELEPHONE = """<iframe src="{path}" style="width: 360px; height: 700px; border: 0" onload="
const page = this.contentDocument.documentElement;
document.title = 'too wide by ' + (page.scrollWidth - page.clientWidth)"></iframe>"""
PERFETTO = os.path.join("tests", "browser", "perfetto.py")


def jobs() -> list[Job]:
    browser = shutil.which("chromium")
    if not browser:
        print("trace/perfetto and report/browser are left out: there is no Chromium here")
        return []
    return perfetto_jobs() + [report_job(browser)]


# --- a trace in Perfetto ----------------------------------------------------------------------------------------------


def perfetto_jobs() -> list[Job]:
    fetched = subprocess.run([PERFETTO, "--fetch"], cwd=ROOT, capture_output=True, text=True, check=False)
    if fetched.returncode:
        print(f"trace/perfetto is left out: {fetched.stderr.strip()}")
        return []
    job = Job(name="trace/perfetto", command=[], judge=unjudged, weight=6)
    command, path = trace_command(job)
    job.command = ["sh", "-c", f"{shlex.join(command)} > /dev/null && {PERFETTO} {path}"]
    job.judge = lambda result: judge_perfetto(result, path)
    return [job]


def judge_perfetto(result: Result, path: str) -> list[str]:
    if result.status:
        return [f"exit status {result.status}, expected 0"]
    understood = json.loads(result.stdout)
    if "failed" in understood:
        return [f"Perfetto does not open the trace: {understood['failed']}"]
    with open(path, encoding="utf-8") as file:
        events = json.load(file)["traceEvents"]
    return misunderstandings(events, understood) + misunderstandings_that_escape(events, understood)


def misunderstandings(events: list[Event], understood: Picture) -> list[str]:
    """Returns the differences between Perfetto's picture and the file."""
    slices, name = [event for event in events if event["ph"] == "X"], names(events)
    wanted: dict[str, collections.Counter[typing.Any]] = {
        "slices": collections.Counter(slice_of(event, name) for event in slices),
        "arrows": collections.Counter(arrows(events)),
        "sources": collections.Counter(event["args"]["source"] for event in slices if "source" in event["args"]),
        # Perfetto appends a thread's number to its name.
        "tracks": collections.Counter({f"{name[event['tid']]} {event['tid']}" for event in slices}),
    }
    found: dict[str, collections.Counter[typing.Any]] = {
        "slices": collections.Counter(tuple(one[key] for key in ("ts", "dur", "category", "name", "thread", "process"))
                                      for one in understood["slices"]),
        "arrows": collections.Counter((one["start"], one["finish"]) for one in understood["arrows"]),
        "sources": collections.Counter({one["source"]: one["number"] for one in understood["sources"]}),
        "tracks": collections.Counter(understood["tracks"]),
    }
    complaints = [f"{what}: the file has {list((wanted[what] - found[what]).items())[:3]} more, "
                  f"Perfetto {list((found[what] - wanted[what]).items())[:3]}" for what in wanted
                  if wanted[what] != found[what]]
    complaints += [f"Perfetto counts {one['name']} {one['value']}" for one in understood["stats"]]
    complaints += [f"{one['name']} at {one['ts']} leaves the slice that it is in" for one in understood["outside"][:3]]
    return complaints


def names(events: list[Event]) -> dict[int, str]:
    """Returns {thread: name}, and {-process: name} for processes."""
    found = {}
    for event in events:
        if event["name"] == "thread_name":
            found[event["tid"]] = event["args"]["name"]
        elif event["name"] == "process_name":
            found[-event["pid"]] = event["args"]["name"]
    return found


def slice_of(event: Event, name: dict[int, str]) -> tuple[int, int, str, str, str, str]:
    return (ns(event["ts"]), ns(event["dur"]), event["cat"], event["name"], name[event["tid"]], name[-event["pid"]])


def ns(microseconds: float) -> int:
    return round(microseconds * 1000)


def arrows(events: list[Event]) -> list[tuple[int, int]]:
    """
    Returns (start of the slice it leaves, start of the slice it reaches): in these traces an arrow begins with its
    slice.
    """
    ends: dict[int, dict[str, int]] = {}
    for event in events:
        if event["ph"] in "sf":
            ends.setdefault(event["id"], {})[event["ph"]] = ns(event["ts"])
    return [(both["s"], both["f"]) for both in ends.values()]


def misunderstandings_that_escape(events: list[Event], understood: Picture) -> list[str]:
    """Changes the picture in several ways, each of which the check must notice."""
    def a_nanosecond(picture: Picture) -> None:
        picture["slices"][0]["ts"] += 1

    def lost_slice(picture: Picture) -> None:
        picture["slices"].pop()

    def arrow_to_elsewhere(picture: Picture) -> None:
        picture["arrows"][0]["finish"] = picture["arrows"][0]["start"]

    def unnamed_track(picture: Picture) -> None:
        picture["tracks"][0] = "Thread 1"

    def lost_line(picture: Picture) -> None:
        picture["sources"][0]["number"] -= 1

    def error(picture: Picture) -> None:
        picture["stats"].append({"name": "json_parser_failure", "value": 1})

    def not_nested(picture: Picture) -> None:
        picture["outside"].append(picture["slices"][0])

    complaints = []
    for change in (a_nanosecond, lost_slice, arrow_to_elsewhere, unnamed_track, lost_line, error, not_nested):
        changed = copy.deepcopy(understood)
        change(changed)
        if not misunderstandings(events, changed):
            complaints.append(f"the check does not notice {change.__name__}")
    return complaints


# --- a report ---------------------------------------------------------------------------------------------------------


def report_job(browser: str) -> Job:
    """
    Checks that the report's script runs to its end, on the screen and for paper, without a message, and that on a
    telephone nothing is wider than the screen. (A window cannot be that narrow here, but a frame can.)
    """
    job = Job(name="report/browser", command=[], judge=judge_report, weight=6)
    command, path = report_command(job)
    # A profile of its own: with the user's, a browser that already runs would be asked to open the page.
    look = [browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
            "--enable-logging=stderr", "--virtual-time-budget=5000"]
    job.command = ["sh", "-c", f"{shlex.join(command)} > /dev/null && profile=$(mktemp -d) && "
                   f'{shlex.join(look)} --user-data-dir="$profile" --dump-dom {path} && '
                   f'echo {shlex.quote(TELEPHONE.format(path=path))} > "$profile/telephone.html" && '
                   f'{shlex.join(look)} --user-data-dir="$profile" --allow-file-access-from-files '
                   '--dump-dom "$profile/telephone.html" && '
                   f'{shlex.join(look)} --user-data-dir="$profile" --print-to-pdf="$profile/pdf" {path} && '
                   'test -s "$profile/pdf"; status=$?; rm -rf "$profile"; exit $status']
    return job


def judge_report(result: Result) -> list[str]:
    said, page = result.stderr.decode(errors="replace"), result.stdout.decode(errors="replace")
    complaints = [line for line in said.splitlines() if "CONSOLE" in line]
    complaints += [f"exit status {result.status}: no page, or nothing on paper"] if result.status else []
    if not re.search(r'<output id="zoom-value">9</output>', page):
        complaints.append("the report's script has not come to its end")
    if "<title>too wide by 0</title>" not in page:
        complaints.append("on a telephone, 360 pixels wide, the report is "
                          f"{re.findall('too wide by [0-9]+', page) or 'not shown'}")
    if len(re.findall(r'<canvas[^>]* width="\d{3,}"', page)) < 5:  # four policies' threads, a map
        complaints.append("the report's pictures are not drawn")
    return complaints
