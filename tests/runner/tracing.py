# SPDX-License-Identifier: MIT
"""
Tests of `tools/faultline trace` and `report`: the trace is what Perfetto takes (slices nest on each track, each arrow has two
ends, each in a slice), the report is one file that needs no other. The checks are tried on broken traces first.
"""

import copy
import json
import os
import re

from .job import Job

PROGRAM = "build/user/threads"


def jobs():
    return [trace_job(), *report_jobs()]


# --- trace ---------------------------------------------------------------------------------------------------------------


def trace_job():
    job = Job(name="trace/perfetto", has_log=True, command=[], judge=None, weight=4)
    output = job.file(".json")
    job.command = ["tools/faultline", "trace", "-o", output, "--cpus", "3", "--schedule", "1", PROGRAM]
    job.judge = lambda result: judge_trace(result, output)
    return job


def judge_trace(result, path):
    if result.status:
        return [f"exit status {result.status}, expected 0"]
    with open(path, encoding="utf-8") as file:
        trace = json.load(file)
    return checks_that_hold_nothing_back(trace) + complaints_about(trace) + missing_from(trace)


def complaints_about(trace):
    slices, arrows, complaints = {}, {}, []
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
        complaints += not_bound(number, ends, slices)
    return complaints[:10]


def not_nested(track, slices):
    stack, complaints = [], []
    for start, end in sorted(slices, key=lambda one: (one[0], -one[1])):
        while stack and stack[-1] <= start:
            stack.pop()
        if stack and end > stack[-1]:
            complaints.append(f"track {track}: the slice {start} to {end} leaves the one around it, which ends at {stack[-1]}")
        stack.append(end)
    return complaints


def not_bound(number, ends, slices):
    if [end["ph"] for end in sorted(ends, key=lambda end: end["ph"], reverse=True)] != ["s", "f"]:
        return [f"arrow {number} has {len(ends)} ends"]
    start, finish = sorted(ends, key=lambda end: end["ph"], reverse=True)
    loose = [end for end in ends if not any(low <= round(end["ts"] * 1000) < high
                                            for low, high in slices.get((end["pid"], end["tid"]), []))]
    return ([f"arrow {number} ends in no slice"] if loose else []) + (
        [f"arrow {number} goes back in time"] if finish["ts"] < start["ts"] else [])


def missing_from(trace):
    events = trace["traceEvents"]
    names = {event["args"]["name"] for event in events if event["ph"] == "M"}
    slices = [event for event in events if event["ph"] == "X"]
    wanted = {
        "a track for each CPU": {"CPU 0", "CPU 1", "CPU 2"} <= names,
        "tracks for threads": sum(name.startswith("thread ") for name in names) >= 3,
        "arrows": any(event["ph"] == "s" for event in events),
        "locks as slices": {"mmap_lock, writing", "VMA lock", "speculation (RCU)"} <= {one["name"] for one in slices},
        "source lines": any(re.search(r" at \w+\.\w+:\d+$", one["args"].get("source", "")) for one in slices),
        "shootdowns, sent and answered": {"TLB shootdown", "TLB flush for others"} <= {one["name"] for one in slices},
    }
    return [f"the trace lacks {what}" for what, there in wanted.items() if not there]


def checks_that_hold_nothing_back(trace):
    """Each way to break the trace must be noticed."""
    def without_finish(events):
        events.remove(next(event for event in events if event["ph"] == "f"))

    def longer_slice(events):
        outer = next(one for one in events if one["ph"] == "X" and one["dur"] > 1)
        events.append(dict(outer, ts=outer["ts"] + outer["dur"] / 2, dur=outer["dur"]))

    def loose_arrow(events):
        next(event for event in events if event["ph"] == "s")["ts"] = 0

    complaints = []
    for breaking in (without_finish, longer_slice, loose_arrow):
        broken = copy.deepcopy(trace)
        breaking(broken["traceEvents"])
        if not complaints_about(broken):
            complaints.append(f"the check does not notice {breaking.__name__}")
    return complaints


# --- report --------------------------------------------------------------------------------------------------------------


def report_jobs():
    return []
