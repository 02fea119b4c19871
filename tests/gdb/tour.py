# SPDX-License-Identifier: MIT
"""
Tests the tours: each comparison in them must hold. Takes the tours for which the program has scenes: its arguments, or
all of them, one after the other.
"""

import io
import sys

import gdb

from faultline_gdb import tour
from harness import ask, check, completes, finish, refuses, run_to

ORDER = ("demand-zero", "cow", "speculation", "swap-in", "shootdown")

check("every tour is taken", sorted(ORDER) == tour.names())
refuses("tour nowhere", "there is no tour “nowhere”. There are: cow, demand-zero")
ask("tour", *(rf"^{name} +[A-Z].*[.:]" for name in ORDER), r"run --gdb --deterministic .* build/user/tour NAME")
completes("tour de", "tour demand-zero")
run_to("main")
asked = [gdb.parse_and_eval(f"argv[{n}]").string() for n in range(1, int(gdb.parse_and_eval("argc")))]
for name in asked or ORDER:
    try:
        said = gdb.execute(f"tour {name}", to_string=True)
        check(f"tour {name}", "\nThat is the end of this tour." in said, said)
    except gdb.error as error:
        check(f"tour {name}", False, str(error))
        break


def refused() -> None:
    """Checks that a tour in the wrong place is refused."""
    name = (asked or ORDER)[-1]
    refuses("tour swap-in" if name != "swap-in" else "tour cow",
            "A tour wants a machine that has just been started for it",
            "--swap 1M build/user/tour (swap-in|cow)$")


def leaving() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    was, sys.stdin = sys.stdin, Terminal()
    try:
        tour.Walk("cow").wait()
    except gdb.GdbError as error:
        check("a tour is left at the end of input", "tour: left" in str(error), str(error))
    else:
        check("a tour is left at the end of input", False)
    finally:
        sys.stdin = was


leaving()
gdb.execute("break main")
refuses(f"tour {(asked or ORDER)[0]}", "breakpoints already", "delete removes them")
gdb.execute("delete")
refused()  # runs the program to its end
finish()
