# SPDX-License-Identifier: MIT
"""
Tests of `--share DIR`: what goes into a machine, and what comes back however it ends. Run as `tests/sharing NAME`,
together with those of forged_archives.py.
"""

import functools
import os
import re
import signal
import stat
import subprocess
import tempfile

from faultline_host import cpio, initramfs, status

from . import ROOT, forged_archives
from .directory import Directory, Entry, expect
from .job import Job, Result
from .keyboard import Keyboard, Missed

Done = subprocess.CompletedProcess[bytes]

TOOL = os.path.join(ROOT, "tools", "faultline")
BUSYBOX = "/bin/busybox"
PATIENCE = 60
CHANGES = (
    "cd /share\n"
    "ls -lR | grep -v ^total | sed 's/root.*:.. //' > .seen\n"
    "echo more >> a; chmod 600 a; rm -r gone; mv moved sub/; ln -sf a link; ln a hard; mkdir -m 700 new new/er; "
    "touch new/er/x\n"
    "truncate -s 9000 holes; chmod 750 sub; rm sub/file; mkdir sub/file; echo y > sub/file/y; rm -r dir; "
    "echo z > dir; touch same\n"
    "printf 'name\\n' > \"$(printf 'b\\351 c')\"; mkfifo pipe\n"
    "exit 5\n")
BEFORE: dict[str, Entry] = {
    "a": (0o644, b"one\n"), "gone": (0o755, None), "gone/x": (0o644, b"x"), "gone/y": (0o755, None),
    "moved": (0o600, b"m" * 5000), "sub": (0o755, None), "sub/file": (0o644, b"f"), "link": "moved",
    "dir": (0o755, None), "dir/x": (0o644, b"x"),
    "same": (0o604, b"same"), "out": "/etc/passwd", "empty": (0o711, None),
}
AFTER: dict[str, Entry] = {
    "a": (0o600, b"one\nmore\n"), "hard": (0o600, b"one\nmore\n"), "sub": (0o750, None),
    "sub/moved": (0o600, b"m" * 5000),
    "link": "a", "new": (0o700, None), "new/er": (0o700, None), "new/er/x": (0o644, b""), "holes": (0o644, bytes(9000)),
    "sub/file": (0o755, None), "sub/file/y": (0o644, b"y\n"), "dir": (0o644, b"z\n"), "b\udce9 c": (0o644, b"name\n"),
    **{name: BEFORE[name] for name in ("same", "out", "empty")},
}
SEEN = (rb"(?s)-rw-r--r--.*1 a\n.*drwx--x--x.*empty\n.*lrwxrwxrwx.*link -> moved\n.*drwxr-xr-x.*sub\n.*\./sub:\n"
        rb"-rw-r--r--.*file\n")

# name, options, the program's script, how the tool is ended ("": by itself), its status, whether the new file comes
# back
LEAVES = "echo new > /share/new; echo ready; "
ENDS: tuple[tuple[str, list[str], str, str, int, bool], ...] = (
    ("program", ["run"], LEAVES + "exit 3", "", 3, True),
    ("signal", ["run", "--release"], LEAVES + "kill -SEGV $$", "", 128 + signal.SIGSEGV, True),
    ("uefi", ["run", "--boot", "uefi"], LEAVES, "", 0, True),
    ("deterministic", ["run", "--schedule", "7"], LEAVES, "", 0, True),
    ("time-out", ["run", "--timeout", "5"], LEAVES + "sleep 1000", "", status.TIMED_OUT, True),
    ("unread-input", ["run", "--timeout", "5"], LEAVES + "sleep 1000", "input", status.TIMED_OUT, False),
    ("terminated", ["run"], LEAVES + "sleep 1000", "TERM", 128 + signal.SIGTERM, True),
    ("reader-gone", ["run"], LEAVES + "while :; do echo more; done", "close", 128 + signal.SIGPIPE, True),
    ("panic", ["run"], LEAVES + "echo c > /proc/sysrq-trigger", "", status.PANIC, False),
    ("share-gone", ["run"], "rm -r /share", "", status.HOST_FAILED, False),
    ("killed", ["run"], LEAVES + "sleep 1000", "KILL", -signal.SIGKILL, False),
    ("gdb", ["run", "--gdb-script", "tests/gdb/attach.py"], LEAVES, "", 0, True),
)


# --- What goes in, what comes back ---

def changes() -> list[str]:
    with Directory(BEFORE) as shared:
        done = shell(shared, CHANGES)
        seen = shared.read(".seen")
        checks = {"its status": done.returncode == 5, "what was copied in": re.search(SEEN, seen),
                  "names of one file": shared.same("a", "hard"),
                  "a word about the pipe":
                      "/share/pipe is not copied to the host: it is not a regular file" in said(done)}
        return shared.differences(AFTER, ignored=(".seen",)) + expect(checks, said(done) + seen.decode())


def untouched() -> list[str]:
    """Checks that unchanged files are not written again: same inode, same time."""
    with Directory(BEFORE) as shared:
        before = {name: identity(shared.at(name)) for name in BEFORE}
        done = shell(shared, "cat /share/a > /dev/null; cp /share/a /share/sub/.b; rm /share/sub/.b\n")
        other = [name for name in BEFORE if identity(shared.at(name)) != before[name]]
        checks = {"silence": (done.returncode, said(done)) == (0, ""), "no writes": not other}
        return shared.differences(BEFORE) + expect(checks, said(done))


def identity(path: str) -> tuple[int, int]:
    """Returns the inode and the time; a directory's time is not compared, since temporary entries change it."""
    found = os.lstat(path)
    return found.st_ino, 0 if stat.S_ISDIR(found.st_mode) else found.st_mtime_ns


def mapped() -> list[str]:
    """Checks that a write through a mapping comes back, and that a link that leads outside does not."""
    with Directory({"a": (0o644, bytes(8192))}) as shared:
        done = run(shared, ["--file", "build/user/map_write:/map_write"], "cd /share; /map_write a 5000 here; "
                   "ln -s ../etc/x evil; ln -s /etc/x evil2; ln -s ./a good; mkdir d; ln -s ../a d/good")
        wanted: dict[str, Entry] = {
            "a": (0o644, bytes(5000) + b"here" + bytes(3188)), "good": "./a", "d": (0o755, None), "d/good": "../a"}
        checks = {"its status": done.returncode == status.HOST_FAILED,
                  "a word about both": said(done).count("out of the dir") == 2}
        return shared.differences(wanted) + expect(checks, said(done))


def names_of_one_file() -> list[str]:
    """Checks an archive of GNU cpio, which stores the contents of a file of several names with the last one only."""
    script = "cat /first; ls -l /first /second | sed 's/ 0 .*//'; echo more >> /first; cat /second"
    archive = cpio.Archive()
    archive.add_file(".faultline/argv", initramfs.nul_terminated(["/busybox", "sh", "-c", script]))
    archive.add_file(".faultline/env", initramfs.nul_terminated(initramfs.merge_environment(())))
    with open(BUSYBOX, "rb") as file:
        archive.add_file("busybox", file.read(), 0o755)
    archive.add_names(("first", "second"), b"contents\n")
    with tempfile.NamedTemporaryFile() as file:
        file.write(archive.to_bytes())
        file.flush()
        done = finished(["run", "--qemu=-initrd", f"--qemu={file.name}", BUSYBOX])
    wanted = b"contents\n" + b"-rw-r--r--    2\n" * 2 + b"contents\nmore\n"
    checks = {"its status": done.returncode == 0, "one file": done.stdout == wanted}
    return expect(checks, said(done) + str(done.stdout))


def meanwhile() -> list[str]:
    """
    Checks that files that change on the host while the machine runs are not overwritten, and that conflicts are
    reported.
    """
    before: dict[str, Entry] = {name: (0o644, b"old") for name in ("both", "removed", "here", "gone", "equal")}
    before["d"] = (0o755, None)
    by_host = {"both": b"host", "removed": b"host", "here": b"host", "new": b"host", "d/x": b"host", "equal": b"same"}
    by_machine = {name: b"machine" for name in ("both.machine", "new.machine", "d.new.machine", "gone")}
    with Directory(before) as shared:
        command = [TOOL, "run", "--share", shared.path, BUSYBOX, "sh"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              cwd=ROOT) as tool:
            assert tool.stdin and tool.stdout
            tool.stdin.write(b"cd /share; printf machine | tee both new gone d.new > /dev/null; printf same > equal\n"
                             b"rm -r removed d; echo ready\n")
            tool.stdin.flush()
            tool.stdout.readline()
            for name, text in by_host.items():
                with open(shared.at(name), "wb") as file:
                    file.write(text)
            os.unlink(shared.at("gone"))
            os.mkfifo(shared.at("d.new"))
            told = tool.communicate(b"exit 0\n", PATIENCE)[1].decode()
        wanted: dict[str, Entry] = {"d": (0o755, None),
                                    **{name: (0o644, text) for name, text in (by_host | by_machine).items()}}
        checks = {"its status": tool.returncode == status.HOST_FAILED,
                  "both": "both has changed here meanwhile, and stays" in told,
                  "removed": "removed is gone in the machine, but has changed here" in told,
                  "d": "d is gone in the machine, but is not empty" in told,
                  "no word about others": told.count("\n") == 5}
        return shared.differences(wanted, ignored=("d.new",)) + expect(checks, told)


def terminal() -> list[str]:
    """Ends the machine by Ctrl-] three times, at a terminal."""
    with Directory({"a": (0o644, b"a")}) as shared:
        keys = Keyboard([TOOL, "shell", "--share", shared.path])
        try:
            keys.wait_for("~ # ")
            keys.line("echo new > /share/new; echo ready", r"ready\r\n")
            keys.type("\x1d" * 3)
            ended = keys.end()
        except Missed as missed:
            return [str(missed)]
        finally:
            keys.close()
        return shared.differences({"a": (0o644, b"a"), "new": (0o644, b"new\n")}) + expect(
            {"its status": ended == 130}, str(ended))


def ends(name: str, options: list[str], script: str, how: str, expected: int, comes_back: bool) -> list[str]:
    with Directory({"a": (0o644, b"a")}) as shared:
        command = [TOOL, *options, "--share", shared.path, BUSYBOX, "sh", "-c", script]
        with subprocess.Popen(command, stdin=subprocess.PIPE if how == "input" else subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) as tool:
            assert tool.stdout and tool.stderr
            if how == "input":
                assert tool.stdin
                tool.stdin.write(b"nobody reads this\n" * 600)
                tool.stdin.flush()
            tool.stdout.readline()
            if how == "close":
                tool.stdout.close()
            elif how in ("TERM", "KILL"):
                tool.send_signal(getattr(signal, f"SIG{how}"))
            told = tool.stderr.read().decode()
            tool.wait(PATIENCE)
        wanted = {"a": (0o644, b"a"), **({"new": (0o644, b"new\n")} if comes_back else {})}
        tells = "is as it was" in told or "stays as it was" in told
        return shared.differences(wanted) + expect(
            {f"status {expected}": tool.returncode == expected,
             "a word of nothing": tells != comes_back or how == "KILL"},
            f"{name}: {tool.returncode}: {told}")


# --- What is refused before the boot ---

def refused() -> list[str]:
    with Directory({"file": (0o644, b"x"), "big": (0o755, None)}) as shared:
        with open(shared.at("big/file"), "wb") as file:
            file.truncate(200 << 20)
        hello = os.path.join(shared.path, "share", "hello")
        os.mkdir(os.path.dirname(hello))
        os.symlink(BUSYBOX, hello)
        docs = os.path.join(ROOT, "docs")
        cases = (
            (["--share", "nowhere", BUSYBOX], "there is no directory nowhere"),
            (["--share", "", BUSYBOX], "name a directory"),
            (["--share", shared.at("file"), BUSYBOX], "file is not a directory: name one"),
            (["--share", shared.at("file/x"), BUSYBOX], "there is no directory"),
            (["--share", "/proc/self", BUSYBOX], "nothing can be written to /proc/self"),
            (["--share", shared.path, BUSYBOX],
             "is too big: the machine would have to hold it twice, and has 256M.*--memory"),
            (["--share", docs, "--file", "file:/share/x", BUSYBOX], "--file: /share/x is where --share puts"),
            (["--share", docs, "--cpus", "1", "--gdb", "--reverse", BUSYBOX], "exclude each other"),
            (["--share"], "expected one argument"),
            (["--share", docs, "share/hello"], f"share/hello would be where --share .*: write {hello}"),
            (["--file", shared.at("big/file"), BUSYBOX], "too big: 20[0-9] MiB.*in 256M of memory; --memory"),
        )
        commands = [(["run", *arguments], words) for arguments, words in cases]
        for verb in ("trace", "report", "lines", "demo"):
            commands.append(([verb, "--share", docs, BUSYBOX], "unrecognized arguments: --share"))
        found = [complaint for command, words in commands for complaint in refusal(command, words, shared.path)]
        return found + expect({"nothing written": sorted(os.listdir(shared.path)) == ["big", "file", "share"]}, "")


def refusal(command: list[str], words: str, cwd: str) -> list[str]:
    name = " ".join(command)
    done = finished(command, cwd=cwd)
    return expect({f"{name}: status 126": done.returncode == status.USAGE,
                   f"{name}: “{words}”": re.search(words, said(done)),
                   f"{name}: one line": said(done).count("\n") == 1}, said(done))


# --- What could not be put back ---

def kept() -> list[str]:
    """Checks that an archive that cannot be put back is kept."""
    with Directory({"d": (0o755, None), "d/a": (0o644, b"a"), "tmp": (0o755, None)}) as shared:
        script = "echo ready; read go; echo new > /share/a"
        command = [TOOL, "run", "--share", shared.at("d"), BUSYBOX, "sh", "-c", script]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env={**os.environ, "TMPDIR": shared.at("tmp")}) as tool:
            assert tool.stdout
            tool.stdout.readline()
            os.rename(shared.at("d"), shared.at("e"))
            told = tool.communicate(b"go\n", PATIENCE)[1].decode()
        files = [name for name in os.listdir(shared.at("tmp")) if name.endswith(".cpio")]
        found = [entry.path for name in files for entry in cpio.entries(open(shared.at(f"tmp/{name}"), "rb"))]
        checks = {"its status": tool.returncode == status.HOST_FAILED, "a word": "nothing can be written to" in told,
                  "where it is": files and files[0] in told, "what it has": found == ["a"],
                  "what was there": shared.read("e/a") == b"a"}
        return expect(checks, f"{told} {files} {found}")


# --- Helpers ---

def shell(shared: Directory, script: str) -> Done:
    return finished(["shell", "--share", shared.path], stdin=script.encode())


def run(shared: Directory, options: list[str], script: str) -> Done:
    return finished(["run", "--share", shared.path, *options, BUSYBOX, "sh", "-c", script])


def finished(words: list[str], stdin: bytes = b"", cwd: str = ROOT) -> Done:
    return subprocess.run([TOOL, *words], input=stdin, capture_output=True, timeout=PATIENCE, check=False, cwd=cwd)


def said(done: Done) -> str:
    return done.stderr.decode(errors="replace")


# --- As jobs ---

TESTS = {"changes": changes, "untouched": untouched, "mapped": mapped, "names-of-one-file": names_of_one_file,
         "meanwhile": meanwhile, "terminal": terminal, "refused": refused, "kept": kept, **forged_archives.TESTS,
         **{f"end-{end[0]}": functools.partial(ends, *end) for end in ENDS}}
SOAK = ("end-uefi", "end-unread-input", "end-gdb", "end-signal", "end-share-gone", "end-killed", "end-reader-gone",
        "end-deterministic", "end-time-out", "untouched", "kept")


def jobs() -> list[Job]:
    return [job(name) for name in TESTS if name not in SOAK]


def soak_jobs() -> list[Job]:
    return [job(name) for name in SOAK]


def job(name: str) -> Job:
    return Job(name=f"sharing/{name}", command=["tests/sharing", name], judge=judge, weight=2)


def judge(result: Result) -> list[str]:
    return [] if result.status == 0 else [
        result.stdout.decode(errors="replace") + result.stderr.decode(errors="replace")]


def main(name: str) -> int:
    """Returns 0, or 1 and prints what was wrong."""
    os.chdir(ROOT)
    with tempfile.TemporaryDirectory(prefix="faultline-sharing-") as place:
        os.environ["TMPDIR"] = tempfile.tempdir = place  # for archives that could not be put back as a whole
        complaints = TESTS[name]()
    print("\n".join(complaints).encode(errors="replace").decode() or "as it should be")
    return 1 if complaints else 0
