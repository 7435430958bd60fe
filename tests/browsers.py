# SPDX-License-Identifier: BSD-3-Clause
"""Pages of a folder, as a browser without a window shows them."""

import contextlib
import http.server
import json
import os
import queue
import shutil
import signal
import subprocess
import tempfile
import threading

NAMES = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)
SECONDS = 120  # in which a page is done, or something hangs

# Shows a page in a frame, waits until it is done, and sends what it shows and has loaded.
REPORT = """<!doctype html>
<iframe src="index.html"></iframe>
<script>
const timer = setInterval(() => {
  const { document: page, performance } = frames[0];
  const state = page.querySelector("main")?.dataset.state ?? "loading";
  if (state === "loading") return;
  clearInterval(timer);
  const texts = (name) => [...page.querySelectorAll(name)].map((node) => node.textContent);
  const report = { state, status: texts("#status")[0] };
  for (const name of ["label", "probability", "name"]) report[name] = texts(`li .${name}`);
  report.loaded = performance.getEntriesByType("resource").map((entry) => entry.name);
  fetch("report", { method: "POST", body: JSON.stringify(report) });
}, 50);
</script>
"""


def show(folder):
    """Open the page of a folder, and return what it shows when it is done."""
    (folder / "report.html").write_text(REPORT, encoding="utf-8")
    with serve(folder) as (url, reports), open_browser(f"{url}/report.html") as log:
        try:
            report = reports.get(timeout=SECONDS)
        except queue.Empty:
            log.seek(0)
            raise AssertionError(f"the page was not done:\n{log.read()}") from None
    assert all(name.startswith(url) for name in report["loaded"]), report
    return report


@contextlib.contextmanager
def serve(folder):
    """Serve a folder at a free port; give its address, and a queue of the reports it is sent."""
    reports = queue.Queue()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=folder)

        def do_POST(self):
            length = int(self.headers["Content-Length"])
            reports.put(json.loads(self.rfile.read(length)))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", reports
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def open_browser(url):
    """Start the browser with settings of its own, give its messages, and stop it at the end."""
    options = ["headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run"]
    options += ["disable-background-networking", "disable-component-update", "disable-sync"]
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as settings,
        tempfile.TemporaryFile("w+", encoding="utf-8") as log,
    ):
        options += ["remote-debugging-port=0", f"user-data-dir={settings}"]
        process = subprocess.Popen(
            [BROWSER, *(f"--{option}" for option in options), url],
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            yield log
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
