# SPDX-License-Identifier: MIT
"""
The host side of Faultline, Python standard library only. In reading order:

entry      what surrounds each command: its streams, and a status for what goes wrong here
main       the verbs of tools/faultline
options    the arguments of `run`: what they mean, and what is said about a wrong one
status     the exit statuses, one list
cpio       writes a newc archive
initramfs  what goes into it: the program, its arguments, extra files
machine    the QEMU command line
iso        the GRUB image for BIOS and UEFI
console    carries stdin, stdout, stderr and the kernel's log between QEMU and us
terminal   our terminal while the machine has it
run        boots one program and says how it ended
debugger   the same under GDB
userland   the same for a shell: BusyBox and what it needs around it
demo       `make demo`
bench      `make bench`
lines      runs a program under the QEMU plugin of tools/plugin: which cache lines CPUs share
trace      runs a program and writes what its faults did, for Perfetto
report     runs a program under each policy and writes a page about it
lists      the kernel's X-macro lists, read from its headers
"""
