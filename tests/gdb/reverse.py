# SPDX-License-Identifier: MIT
"""
Tests reverse execution on one CPU: from a changed byte to the instruction that wrote it, then to the fault before that.
"""

import re

import gdb

from faultline_gdb import kernel
from harness import ask, check, finish, frame_value, run_to

run_to("check_done")
check("the byte is what it became", int(gdb.parse_and_eval("data")) == 8)
where = int(gdb.parse_and_eval("(long)&data"))
gdb.execute("watch -l data", to_string=True)
gdb.execute("reverse-continue", to_string=True)
said = gdb.execute("frame", to_string=True)
check("reverse-continue goes back to the writer",
      re.search(r"in check_storage \(\) at user/demo/hello\.c:\d+\n.*data\+\+", said), said)
gdb.execute("delete", to_string=True)
gdb.execute(f"break-fault {where:#x}", to_string=True)
gdb.execute("reverse-continue", to_string=True)
fault = frame_value("f")
check("the fault before that brought its page", int(fault["address"]) == where & -kernel.PAGE_SIZE,
      str(fault.dereference()))
ask("ptwalk &data", "page frame", "dirty")
finish()
