# SPDX-License-Identifier: MIT
"""
Loads the GDB commands of tools/gdb/faultline_gdb/ when GDB sources this file. `help faultline` lists them.
`tools/faultline run --gdb` does so by itself; by hand: gdb -x tools/gdb/faultline.py build/faultline.elf
"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import faultline_gdb  # noqa: E402  (the path comes first)

faultline_gdb.load()
