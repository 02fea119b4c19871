# SPDX-License-Identifier: MIT
"""
The tours, word for word: each comparison in them must hold. Those that the program has scenes for: its arguments, or all, one
after the other.
"""

from harness import *
from faultline_gdb import tour

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
        check(f"tour {name}", said.rstrip().splitlines()[-1].startswith("That is the end of this tour."), said)
    except gdb.error as error:
        check(f"tour {name}", False, str(error))
        break
finish()
