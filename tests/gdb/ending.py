# SPDX-License-Identifier: MIT
"""
Tests the end of the machine. GDB reports it in a sentence, without an error, and the commands know of it. The runner
compares the words.
"""

import gdb

from harness import answer, check, finish, refuses, run_to

run_to("start_first_process")
said, error = answer("continue")
print(said)
check("the machine ends without an error", error is None, str(error))
check("GDB has let go of it", gdb.selected_thread() is None)
for question in ("vmas", "cpus", "why 0", "break-fault spec"):
    refuses(question, "no machine is attached, or it has ended")
refuses("continue", "not being run")
finish()
