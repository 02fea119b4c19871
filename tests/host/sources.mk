# SPDX-License-Identifier: MIT
# The kernel sources that the simulated machine uses as they are, besides all of mm/.
HOST_SHARED := kernel/sync/mutex.c kernel/sync/rcu.c kernel/sync/rwsem.c kernel/sync/spinlock.c kernel/sync/wait.c
