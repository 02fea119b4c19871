# SPDX-License-Identifier: MIT
#
# Runs one seed twice under GDB: to find out when something happens, and to stop before that instruction (stop_at.py).

run() {
	tools/faultline run --schedule 5 --cpus 3 "$@" --gdb-script tests/gdb/stop_at.py build/user/tour speculation
}

found=$(run | sed -n 's/^COUNT //p')
[ -n "$found" ] && STOP_AT=$found run --stop-at "${found%% *}"
