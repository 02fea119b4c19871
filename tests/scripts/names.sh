# SPDX-License-Identifier: MIT
# Names, links, modes, owners and times, through BusyBox: prints the same on every Linux.
cd "$(mktemp -d)" || exit 1
umask 022
echo content > file; ln file hard; ln -s file soft; mkdir dir; mkfifo fifo
stat -c '%n %F %h %a %s' file hard soft dir fifo
chmod 4711 file; stat -c '%A %a' hard
chmod u-s,go=r file; stat -c '%A' file; chmod -R a+X dir; stat -c '%A' dir
readlink soft; readlink -f soft | sed 's/.*\///'; cat soft
ln -s nowhere dangling; cat dangling 2>&1; test -L dangling && echo link; test -e dangling || echo dangling
mv hard moved; rm file; cat soft 2>&1; cat moved
touch -d '2001-02-03 04:05:06' moved; stat -c '%y' moved | cut -c 1-19; ls -l --full-time moved | tr -s ' ' | cut -d' ' -f6,7
touch -r moved same; test same -nt moved || test same -ot moved || echo same time
mkdir -p a/b/c; touch a/b/c/d; rmdir a 2>&1; rm -r a && ls a 2>&1
cp moved copy; cp -p moved kept; stat -c '%y' kept | cut -c 1-10; cp -r dir dir2 && ls -d dir*
ls -1F; ls -a dir; ls -i moved kept | wc -l
echo x > "with space"; ls with*; rm -f with*; rm missing 2>&1; rm -f missing; echo $?
mktemp -d ./tmp.XXXXXX | cut -c 1-6; rmdir tmp.*
find . -type l | sort; find . -newer moved -type f | sort; find . -size +0 -type f | sort | head -2; find . -empty -type d | sort
du -a dir | wc -l; basename /a/b.c .c; dirname /a/b.c; realpath ./dir/../moved | sed 's/.*\///'
(echo through fifo > fifo &) ; cat fifo
cd dir && echo "$(basename "$PWD")" && cd .. && rmdir dir && ls dir 2>&1
umask 077; touch private; stat -c %a private; umask
test -r moved && test -w moved && ! test -x moved && echo readable
ls -la /dev/null | cut -c 1-10; stat -c '%t:%T' /dev/zero; echo gone > /dev/null; head -c 3 /dev/zero | wc -c
echo full > /dev/full; echo "status $?"; head -c 8 /dev/urandom | wc -c
