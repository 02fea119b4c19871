# SPDX-License-Identifier: MIT
# The kernel sources that the simulated machine uses as they are, besides all of mm/.
HOST_SHARED := kernel/mutex.c kernel/rcu.c kernel/rwsem.c kernel/spinlock.c kernel/wait.c
