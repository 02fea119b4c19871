# SPDX-License-Identifier: MIT
# Disks through BusyBox's tools, on /dev/ram0 (4 MiB) and /dev/ram1 (2 MiB): a swap area that comes and goes, and a file system
# that is mounted, filled, searched, remounted, unmounted and found as it was left.
shared() { free -k | awk '/^Mem/ { print $5 }'; }

echo "== swap"
swapon /dev/ram0 2>&1
mkswap /dev/ram0 | sed 's/UUID=.*/UUID/'
free -k | awk '/^Swap/ { print $2, $3, $4 }'
swapon /dev/ram0 && cat /proc/swaps
free -k | awk '/^Swap/ { print $2, $3, $4 }'
swapon /dev/ram0 2>&1
mount -t faultfs -o format /dev/ram0 /mnt 2>&1 | sed 's/ on .* failed/ failed/'
swapoff /dev/ram0 && cat /proc/swaps
swapoff /dev/ram0 2>&1

echo "== shared memory"
before=$(shared)
dd if=/dev/zero of=/dev/shm/memory bs=4k count=100 2> /dev/null
echo $(($(shared) - before))
rm /dev/shm/memory
echo $(($(shared) - before))

echo "== files on a disk"
mkdir -p /mnt /other
mount -t faultfs /dev/ram1 /mnt 2>&1 | sed 's/ on .* failed/ failed/'
mount -t faultfs -o format /dev/ram1 /mnt && mount | grep /mnt && grep -c faultfs /proc/filesystems
mkdir -p /mnt/a/b/c
for i in 1 2 3; do echo "line $i of this file" > /mnt/a/b/file$i; done
ln -s b/file2 /mnt/a/link
dd if=/dev/urandom of=/mnt/a/random bs=4k count=100 2>&1 | sed 's/,.*//'
cp /mnt/a/random /tmp/random && cmp /tmp/random /mnt/a/random && echo the same
touch -d '2001-02-03 04:05:06' /mnt/a/b/file1
ls -l /mnt/a/b | awk '{ print $1, $2, $5, $9 }'
ls -l --full-time /mnt/a/b/file1 | cut -d: -f1-3 | awk '{ print $6, $7 }' | cut -c1-19
find /mnt -type f -name 'file*' | sort
grep -rn 'line 2' /mnt/a
wc -l /mnt/a/b/file* | tail -1
df -k /mnt | awk 'NR == 2 { print $1, $6, ($3 > 400) }'
umount /mnt && ls /mnt

echo "== mounted again"
mount -t faultfs /dev/ram1 /mnt
cmp /tmp/random /mnt/a/random && echo the same
cat /mnt/a/link; stat -c '%y' /mnt/a/b/file1 | cut -c1-19
cd /mnt && umount /mnt 2>&1; cd /
exec 3< /mnt/a/link; umount /mnt 2>&1; exec 3<&-
mount -o remount,ro /mnt && mount | grep /mnt
touch /mnt/no 2>&1; rm /mnt/a/link 2>&1
mount -o remount,rw /mnt && rm -r /mnt/a && ls /mnt && umount /mnt
mount | grep -c /mnt; echo done
