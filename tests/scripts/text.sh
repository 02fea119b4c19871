# SPDX-License-Identifier: MIT
# Text tools, pipes and redirection, through BusyBox: prints the same on every Linux.
cd "$(mktemp -d)" || exit 1
seq 1 1000 > numbers
wc numbers; wc -c < numbers
grep -c 7 numbers; grep -n '^99' numbers | tail -2
sort -rn numbers | head -3
seq 1 50 | awk '{ s += $1; q += $1 * $1 } END { print s, q, s / NR }'
sed -n '10,12p;s/1/one/gp' numbers | head -5
printf 'b 2\na 1\nc 3\n' | sort | while read -r name value; do echo "$name=$value"; done
printf 'x\nx\ny\n' | uniq -c | tr -s ' '
echo 'one two three' | cut -d' ' -f2,3 | tr a-z A-Z | rev
cat > here <<END
tab	and $((6 * 7)) and $(echo substituted)
END
cat here; cat < here > copy; cmp here copy && echo same
echo more >> copy; diff here copy; echo "diff says $?"
{ echo out; echo err >&2; } 2> errors; cat errors
{ echo out; echo err >&2; } 2>&1 | sort
exec 7> seven; echo through seven >&7; exec 7>&-; cat seven
echo left | tee one two | cat - one two
seq 1 20 | xargs -n 7 echo
find . -type f | sort
find . -name 'n*' -exec wc -l {} +
mkdir -p deep/er/est; echo needle > deep/er/est/stack; grep -r needle . ; grep -rl needle deep
dd if=numbers of=part bs=100 skip=1 count=2 2> /dev/null; wc -c part; md5sum part | cut -c 1-32
dd if=/dev/zero bs=1k count=100 2> /dev/null | sha256sum
head -c 20 /dev/zero | od -An -tx1
tar cf all.tar numbers deep && tar tf all.tar && mkdir out && tar xf all.tar -C out && diff -r deep out/deep && echo unpacked
gzip -9 < numbers > numbers.gz && gunzip < numbers.gz | cmp - numbers && echo zipped
tar cf - deep | gzip > all.tgz && zcat all.tgz | tar t | tail -1
bzip2 -c numbers | bunzip2 | tail -1
echo 'aGVsbG8K' | base64 -d
printf '%05d|%-8s|%x|%c|%s\n' 42 left 255 z 'a b'
expr 17 % 5 + 2; echo $((1 << 40)); echo "2 ^ 70" | bc
for word in a b c; do case $word in b) continue ;; esac; printf '%s ' $word; done; echo
set -- x y z; shift; echo "$# $*"
name=value; echo ${name%ue} ${name#v} ${#name} ${missing:-default}
(cd deep && pwd | sed 's/.*deep/deep/'); test -d deep/er && echo directory
paste numbers numbers | head -1 | cat -A
fold -w 10 here | head -2; nl numbers | tail -1 | tr -s ' '; tac numbers | head -1;
echo 'a,b;c' | awk -F'[,;]' '{ printf "%s-%s-%s\n", $3, $2, $1 }'
crc32 numbers
od -c here | tail -2; hexdump -C part | head -2; xxd here | head -1; strings here | head -1
yes | head -3; true | false; echo "last of a pipe: $?"
timeout 1 sleep 1000; echo "timeout says $?"
truncate -s 5000 sparse; stat -c '%s %F %a' sparse; ls -l sparse | cut -d' ' -f1
