# SPDX-License-Identifier: BSD-3-Clause
"""Servers of examples: they are started, asked, compared with this process, and stopped."""

import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

SECONDS = 60  # in which a request is answered, or something hangs


@contextlib.contextmanager
def server(folder, *command, model="model.safetensors"):
    """Serve a model at a free port, give a function that asks, and stop the server at the end."""
    log = folder / "log.txt"
    with log.open("w", encoding="utf-8") as messages:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=folder,
            env={**os.environ, "MODEL": model},
            stdout=messages,
            stderr=messages,
            start_new_session=True,
        )
    try:
        port = wait_for_port(process, log)
        yield lambda body, path="/": ask(port, body, path)
        process.terminate()
        assert process.wait(SECONDS) in (0, -signal.SIGTERM)
        assert "Traceback" not in log.read_text(encoding="utf-8")
    except Exception as error:
        error.add_note(log.read_text(encoding="utf-8"))
        raise
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # workers that hang, too
        process.wait()


def wait_for_port(process, log):
    """Return the port that a server says it listens at."""
    end = time.monotonic() + SECONDS
    while process.poll() is None and time.monotonic() < end:
        port = re.search(r"http://127\.0\.0\.1:(\d+)", log.read_text(encoding="utf-8"))
        if port:
            return int(port[1])
        time.sleep(0.05)
    raise AssertionError("the server did not start")


def ask(port, body, path):
    """Send pixels as bytes, or anything else as JSON; return the status and the answer."""
    kind = "application/octet-stream" if isinstance(body, bytes) else "application/json"
    body = body if isinstance(body, bytes) else json.dumps(body)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    with contextlib.closing(connection):
        connection.request("POST", path, body, {"Content-Type": kind})
        response = connection.getresponse()
        text = response.read()
    assert response.status in (200, 422), text
    return response.status, json.loads(text)


def assert_right(answers, clf, pictures):
    """Compare answers with the predictions of this process."""
    assert [answer["label"] for answer in answers] == clf.predict(pictures).tolist()
    highest = clf.predict_proba(pictures).max(axis=1)
    found = [answer["probability"] for answer in answers]
    np.testing.assert_allclose(found, highest, rtol=1e-4)


def assert_answers(ask_server, clf, pictures, raw="/", as_json="/"):
    """Ask for one picture, few and many, four requests at a time."""
    requests = [(picture.tobytes(), picture[None], raw) for picture in pictures[:40]]
    requests += [(X.tolist(), X, as_json) for X in (pictures[:3], pictures, pictures[:1]) * 4]
    with ThreadPoolExecutor(4) as pool:
        replies = list(pool.map(lambda request: ask_server(request[0], request[2]), requests))
    for (status, answers), (_, X, _) in zip(replies, requests, strict=True):
        assert status == 200, answers
        assert_right(answers, clf, X)


def assert_refused(ask_server, path, body, message):
    status, answer = ask_server(body, path)
    assert (status, message in str(answer["detail"])) == (422, True), answer
