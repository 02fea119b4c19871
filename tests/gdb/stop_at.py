# SPDX-License-Identifier: MIT
"""
Tests --stop-at, in two runs of one seed (stop_at.sh). The first reads its events at the end, and prints the instruction
count of one of them; the second is stopped before that instruction. At that stop no later event has happened, and the
first one's event is the next of its kind. (Many debugger stops would shift the clock: the first run has only one.)
"""

import os

import gdb

from faultline_gdb import events, kernel
from harness import check, finish, frame_value, run_to, this_task

ABORTED = "spf_abort_changed_before_ptl"


def ring() -> list[gdb.Value]:
    return [event for cpu in range(kernel.nr_cpus()) for event in events.ring_events(cpu, 512)]


def aborted() -> list[gdb.Value]:
    return [event for event in ring() if events.attempt_words(event["story"])[2] == ABORTED]


def find() -> None:
    run_to("check_done")
    event = aborted()[-1]
    check("the event is in a ring", int(event["end"]) > int(event["start"]))
    print(f"COUNT {int(event['start'])} {int(event['address'])} {int(event['tid'])}")


def stop_before(count: int, address: int, tid: int) -> None:
    gdb.execute("continue", to_string=True)
    happened = [int(event["end"]) for event in ring()]
    stopped = f"{len(happened)} events, the last at {max(happened, default=0)}, to stop at {count}"
    check("what was recorded before is there", len(happened) > 20, stopped)
    check("nothing later has happened", max(happened, default=0) < count, stopped)
    check("the event itself has not happened", all(int(event["start"]) < count for event in aborted()))
    gdb.execute(f"break-fault {ABORTED}", to_string=True)
    gdb.execute("continue", to_string=True)
    check("it is the next of its kind", int(frame_value("f")["address"]) == address
          and int(this_task()["tid"]) == tid)


wanted = os.environ.get("STOP_AT")
stop_before(*map(int, wanted.split())) if wanted else find()
finish()
