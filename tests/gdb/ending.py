# SPDX-License-Identifier: MIT
"""The end of the machine: a sentence that says how, no error, and nothing left to ask. Its words are compared by the runner."""

from harness import *

run_to("start_first_process")
said, error = answer("continue")
print(said)
check("the machine ends without an error", error is None, str(error))
check("GDB has let go of it", gdb.selected_thread() is None)
for question in ("vmas", "cpus", "why 0", "break-fault spec"):
    refuses(question, "no machine is attached, or it has ended")
refuses("continue", "not being run")
finish()
