# SPDX-License-Identifier: MIT
# Processes, signals and waiting, through BusyBox: prints the same on every Linux. What the shell says of jobs
# depends on when it notices their end. No sleep is long enough on a loaded machine: what must have happened is awaited.
exec 2> /dev/null
await_state() { until grep "State:.$2" /proc/$1/status; do sleep 0.01; done; }
sleep 0.2 & pid=$!; kill -0 $pid && echo alive; wait $pid; echo "waited: $?"; kill -0 $pid 2> /dev/null || echo gone
sleep 100 & pid=$!; kill $pid; wait $pid; echo "terminated: $?"
sleep 100 & pid=$!; kill -STOP $pid; await_state $pid T; kill -CONT $pid; await_state $pid S
kill -9 $pid; wait $pid; echo "killed: $?"
sh -c 'trap "echo caught USR1" USR1; kill -USR1 $$; trap - USR1' # not by this shell: BusyBox 1.38 then forgets traps of its subshells
trap 'echo leaving' EXIT
(exit 7); echo $?; sh -c 'kill -SEGV $$'; echo $?; sh -c 'kill -TERM $$'; echo $?
false || echo or; true && echo and; ! true; echo $?
for i in 1 2 3 4 5; do (exit $i) & done; wait; echo all done
seq 1 8 | xargs -n 1 -P 4 sh -c 'echo $(($0 * $0))' | sort -n | tr '\n' ' '; echo
yes | head -n 100000 | wc -l
mkfifo /tmp/jobs.$$; (trap 'echo got TERM; exit 3' TERM; echo ready > /tmp/jobs.$$; while :; do sleep 0.05; done) & pid=$!
read -r word < /tmp/jobs.$$; kill $pid; wait $pid; echo "$word: $?"; rm /tmp/jobs.$$
setsid sh -c 'test "$(cut -d" " -f6 /proc/self/stat)" = $$ && echo own session' < /dev/null
sh -c 'renice -n 5 $$ 2> /dev/null; cut -d" " -f19 /proc/$$/stat'; timeout 0.1 sleep 1000; echo "timed out: $?"; timeout -s KILL 0.1 sleep 1000; echo "killed: $?"
env -i A=1 B=2 env | sort; A=5 sh -c 'echo $A'; export B=6; sh -c 'echo $B'; unset B; sh -c 'echo ${B-unset}'
taskset -p $$ > /dev/null && echo affinity; nproc > /dev/null && echo processors
tr '\0' ' ' < /proc/self/cmdline; echo; cat /proc/self/comm; readlink /proc/self/exe | sed 's/.*\///'
exec 9< /dev/null; ls /proc/$$/fd 2> /dev/null | grep -c '^9$'; readlink /proc/$$/fd/9; ls -l /proc/$$/fd/9 | cut -c 1-10
ulimit -n 64; ulimit -n; ulimit -c; test "$(awk '/Max open files/ { print $4 }' /proc/self/limits)" = 64 && echo limited
pidof nothing-of-that-name; echo "pidof: $?"; killall nothing-of-that-name 2> /dev/null; echo "killall: $?"
cat /proc/self/status | grep -c ^Vm; awk '{ print NF }' /proc/self/stat /proc/self/statm /proc/uptime /proc/loadavg
test -d /proc/$$/task/$$ && cat /proc/$$/task/$$/comm; cat /proc/1/wchan > /dev/null; cat /proc/self/oom_score_adj
time -p true 2>&1 | cut -d' ' -f1; usleep 1000; date -u -d @86400 +%F; TZ=UTC0 date -d '2020-02-29 12:00' +%j
mkfifo /tmp/jobs.$$; tail -f /proc/self/comm > /tmp/jobs.$$ & pid=$!
(read -r word; echo $word; kill $pid) < /tmp/jobs.$$; wait $pid; echo "tail: $?"
i=0; while [ $i -lt 100 ]; do
	(echo again > /tmp/jobs.$$ &); while read -r word; do last=$word; done < /tmp/jobs.$$; i=$((i + 1))
done; echo $last $i; rm /tmp/jobs.$$ # each reader waits for the end, so the writers never overlap
mkfifo /tmp/jobs.$$; (sleep 0.1; echo late > /tmp/jobs.$$) & until read -r word < /tmp/jobs.$$; do :; done
echo $word; rm /tmp/jobs.$$ # an orphan of the loop above, whose end a first process is told of, may have interrupted the open
