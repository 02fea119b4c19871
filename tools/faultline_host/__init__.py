# SPDX-License-Identifier: MIT
"""
The host side of Faultline, Python standard library only. In reading order:

entry      runs a command: opens its streams, and turns each failure into a message and an exit status
main       the verbs of tools/faultline
options    the arguments of `run`: parses and checks them, and explains the errors
status     the exit statuses
cpio       writes and reads newc archives
initramfs  builds the initramfs: the program, its arguments, extra files
machine    the QEMU command line
iso        the GRUB image for BIOS and UEFI
console    copies stdin, stdout, stderr and the kernel's log between QEMU and this process
terminal   the host terminal in raw mode, while the guest uses it
run        boots one program and reports how it ended
debugger   boots one program under GDB
userland   builds the initramfs of a shell: BusyBox, its files and the programs of user/
demo       `make demo`
bench      `make bench`
lines      runs a program under the QEMU plugin of tools/plugin and reports the cache lines that CPUs share
trace      runs a program and writes its fault events for Perfetto
report     runs a program under each policy and writes a report about its faults
lists      the kernel's X-macro lists, read from its headers
"""
