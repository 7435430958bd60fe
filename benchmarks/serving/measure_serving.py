# SPDX-License-Identifier: BSD-3-Clause
"""The measurements: in this process, in fresh ones, and of a server with two workers."""

import contextlib
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from clocks import first_answer, time_calls
from libraries import LIBRARIES
from load import ask
from servables import SERVABLES, Answer

Results = dict[str, Any]
HERE = Path(__file__).parent
N_WORKERS = 2
N_CLIENTS = 4  # that ask at once, to see how many requests are answered in a second
ENVIRONMENT = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "KERAS_BACKEND": "tensorflow",
    "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent / "peers")]),
}
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), "1"
)


def write_models(names: list[str], folder: Path) -> None:
    """Train each library's network on a few images, and write it and a picture to a folder."""
    from fashioncnn import load_fashion_mnist_sample

    X, y = load_fashion_mnist_sample("train")
    np.save(folder / "picture.npy", X[:1])
    (folder / "picture.raw").write_bytes(X[0].tobytes())
    models: dict[str, Any] = {}
    for name in names:
        peer = SERVABLES[name].peer
        if peer not in models:
            library = LIBRARIES[peer]
            models[peer] = library.fit(*library.convert(X[:1000], y[:1000]))
        SERVABLES[name].write(models[peer], folder)


def one_image(answer: Answer, folder: Path, n_calls: int) -> Results:
    """Time the answer to one image, in this process."""
    picture = np.load(folder / "picture.npy")
    time.sleep(0.2)  # threads that wait for more work of another library fall asleep
    (seconds,) = time_calls([lambda: answer(picture)], n_calls)
    return {"seconds": seconds}


def few_images(folder: Path, n_images: int, n_calls: int) -> dict[str, Results]:
    """Time both engines of fashioncnn, call by call."""
    import joblib

    from fashioncnn._network import numpy_forward
    from fashioncnn._tensorflow import prediction

    network = joblib.load(folder / "fashioncnn")._network
    pixels = np.repeat(np.load(folder / "picture.npy"), n_images, axis=0)[..., np.newaxis]
    engines = {"numpy": numpy_forward, "tensorflow": prediction}
    calls = [lambda e=engine: e.predict_logits(network, pixels) for engine in engines.values()]
    times = time_calls(calls, n_calls)
    return {name: {"seconds": seconds} for name, seconds in zip(engines, times, strict=True)}


def fresh_process(name: str, folder: Path) -> Results:
    """Time a process from its start to its answer, and measure its memory."""
    return first_answer([sys.executable, HERE / "fresh.py", name, folder], ENVIRONMENT)


def server(name: str, folder: Path, n_requests: int) -> Results:
    """Measure a server from its start to its end."""
    started = time.perf_counter()
    with gunicorn(name, folder) as (master, port):
        body = (folder / "picture.raw").read_bytes()
        if not ask(port, body):
            raise RuntimeError(f"{name} did not answer")
        first = time.perf_counter() - started
        load(port, folder, N_CLIENTS, 20 * N_CLIENTS)  # until each worker is warm
        latencies = load(port, folder, 1, n_requests)["latencies"]
        elapsed = load(port, folder, N_CLIENTS, n_requests)["elapsed"]
        return {
            "seconds to first answer": first,
            "seconds": statistics.median(latencies),
            "seconds, 95 %": float(np.quantile(latencies, 0.95)),
            "requests": n_requests / elapsed,
            **worker_megabytes(master),
        }


@contextlib.contextmanager
def gunicorn(name: str, folder: Path) -> Iterator[tuple[int, int]]:
    """Start a server at a free port, and end it with its workers."""
    command = [sys.executable, "-m", "gunicorn", "--workers", str(N_WORKERS)]
    command += ["--preload"] * SERVABLES[name].preload + ["--bind", "127.0.0.1:0", "app:app"]
    served = {"SERVED_LIBRARY": name, "SERVED_FOLDER": str(folder)}
    with subprocess.Popen(
        command,
        env={**os.environ, **ENVIRONMENT, **ONE_THREAD, **served},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            lines = iter(process.stderr.readline, "")
            ports = (re.search(r"http://127\.0\.0\.1:(\d+)", line) for line in lines)
            yield process.pid, int(next(filter(None, ports))[1])
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # workers that hang


def load(port: int, folder: Path, n_clients: int, n_requests: int) -> Results:
    """Let a process of its own ask the server."""
    arguments = map(str, (port, folder / "picture.raw", n_clients, n_requests))
    command = [sys.executable, HERE / "load.py", *arguments]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def worker_megabytes(master: int) -> Results:
    """Measure what memory a worker has for itself, and with its share of what several have."""
    workers = Path(f"/proc/{master}/task/{master}/children").read_text(encoding="ascii").split()
    own, proportional = [], []
    for worker in workers:
        text = Path(f"/proc/{worker}/smaps_rollup").read_text(encoding="ascii")
        sizes = {name: int(size) / 2**10 for name, size in re.findall(r"(\w+): +(\d+) kB", text)}
        own.append(sizes["Private_Clean"] + sizes["Private_Dirty"])
        proportional.append(sizes["Pss"])
    return {
        "megabytes of its own": statistics.mean(own),
        "megabytes with its share": statistics.mean(proportional),
    }
