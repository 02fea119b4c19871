# SPDX-License-Identifier: MIT
"""`cpus` shows what each CPU does; `tasks` shows every thread, its state, and where it sleeps."""

import gdb

from . import kernel, stack, walk
from .command import Command, say, table

STATE = "TASK_"


def policy_name(mm: gdb.Value) -> str:
    policy = int(mm["policy"]) or int(kernel.variable("fault_policy_default"))
    return kernel.enum_name("fault_policy", policy, "POLICY_").lower()


class Cpus(Command):
    """
    Show what each CPU does: its task, the place in the code, interrupts, how many tasks are queued.
    Usage: cpus
    """

    name = "cpus"

    def run(self, words: list[str]) -> None:
        self.at_most(words, 0)
        before = gdb.selected_thread()
        try:
            table([self.describe(cpu) for cpu in range(kernel.nr_cpus())])
        finally:
            before.switch()

    def describe(self, cpu: int) -> list[str]:
        walk.thread_of_cpu(cpu).switch()
        frame = gdb.newest_frame()
        task = walk.task_on(cpu)
        queue = kernel.per_cpu(kernel.static("kernel/sched/sched.c", "run_queues"), cpu)
        interrupts = int(frame.read_register("eflags")) & kernel.define("kernel/x86/machine_arch.h", "X86_EFLAGS_IF")
        mode = "user" if int(frame.read_register("cs")) & 3 else "kernel"
        return [f"CPU {cpu}", walk.task_name(task) if task is not None else "not up yet", mode, stack.place(frame.pc()),
                "interrupts " + ("on" if interrupts else "off"), f"{int(queue['nr'])} queued"]


class Tasks(Command):
    """
    Show every thread: process, state, policy of its faults, and where in the kernel it sleeps or runs.
    Usage: tasks
    """

    name = "tasks"

    def run(self, words: list[str]) -> None:
        self.at_most(words, 0)
        rows = [self.describe(task) for task in walk.tasks()]
        if not rows:
            say("There are no threads yet.")
        table(rows)

    def describe(self, task: gdb.Value) -> list[str]:
        cpu = walk.cpu_running(task)
        state = kernel.enum_name("task_state", task["state"], STATE).lower()
        mm = task["mm"]
        return [f"pid {int(task['process']['pid'])}", walk.task_name(task), f"on CPU {cpu}" if cpu is not None else
                "waits for a CPU" if state == "running" else state,
                f"policy {policy_name(mm)}" if int(mm) else
                "kernel thread" if task["process"]["is_kernel"] else "no mm", stack.summary(task, cpu)]
