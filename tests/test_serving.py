# SPDX-License-Identifier: BSD-3-Clause
"""The examples of serving, as they are: gunicorn, uvicorn, and a script that answers once."""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from servers import assert_answers, assert_refused, server

EXAMPLES = Path(__file__).parent.parent / "examples" / "serve"
MANY = 100

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system can't fork")


@pytest.fixture
def folder(tmp_path, trained, pictures):
    """Give a folder with the applications, the file of the model, and pictures."""
    for path in EXAMPLES.glob("*_app.py"):
        shutil.copy(path, tmp_path)
    trained.save(tmp_path / "model.safetensors")
    np.save(tmp_path / "pictures.npy", pictures)
    return tmp_path


REFUSED = [
    (b"abc", "X has 3 features, but FashionCNNClassifier is expecting 784"),
    ([[[1, 2], [3, 4]]], "X has images of shape (2, 2, 1)"),
    ([[["a"]]], "pass an array of numbers"),
    ([], "0 sample(s)"),
]

# Predicts in the master, before it forks; the answer to b"?" tells about the worker.
PRELOADED = """
import json, os
import numpy as np
from wsgi_app import app as answer, clf
from fashioncnn._tensorflow.start import has_lost_tensorflow

clf.predict(np.load("pictures.npy")[:{n_images}])

def app(environ, start_response):
    if environ["PATH_INFO"] != "/worker":
        return answer(environ, start_response)
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps([os.getpid(), has_lost_tensorflow()]).encode()]
"""


@pytest.mark.skipif(not find_spec("gunicorn"), reason="gunicorn is not installed")
@pytest.mark.processes
@pytest.mark.parametrize("n_images", [1, MANY], ids=["by NumPy", "by TensorFlow"])
@pytest.mark.parametrize("kind", ["sync", "gthread"])
def test_workers_forked_after_a_prediction(folder, n_images, kind, trained, pictures):
    (folder / "preloaded.py").write_text(PRELOADED.format(n_images=n_images), encoding="utf-8")
    command = ["gunicorn", "--preload", "--workers", "2", "--bind", "127.0.0.1:0"]
    command += ["--worker-class", kind, "--threads", "4" if kind == "gthread" else "1"]
    with server(folder, *command, "preloaded:app") as ask_server:
        assert_answers(ask_server, trained, pictures)
        for body, message in REFUSED:
            assert_refused(ask_server, "/", body, message)
        with ThreadPoolExecutor(4) as pool:
            workers = list(pool.map(lambda _: ask_server(b"", "/worker")[1], range(200)))
    assert len({process for process, _ in workers}) == 2
    assert {has_lost for _, has_lost in workers} == {n_images == MANY}


@pytest.mark.skipif(
    not find_spec("fastapi") or not find_spec("uvicorn"),
    reason="fastapi and uvicorn are not installed",
)
@pytest.mark.processes
def test_threads_of_uvicorn(folder, trained, pictures):
    with server(folder, "uvicorn", "--port", "0", "fastapi_app:app") as ask_server:
        assert_answers(ask_server, trained, pictures, "/raw", "/json")
        for body, message in REFUSED:
            assert_refused(
                ask_server, "/raw" if isinstance(body, bytes) else "/json", body, message
            )
        assert_refused(ask_server, "/json", {"no": "list"}, "valid list")


ONCE = """
import runpy, sys
del sys.argv[0]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    print("TensorFlow" if "tensorflow" in sys.modules else "no TensorFlow")
"""


def answer_once(folder, name):
    """Run the script in a process of its own, and let that say whether it imported TensorFlow."""
    command = [sys.executable, "-c", ONCE, EXAMPLES / "answer_once.py", "model.safetensors", name]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_a_script_that_answers_once(folder, trained, pictures):
    np.save(folder / "picture.npy", pictures[0])
    Image.fromarray(pictures[0]).save(folder / "picture.png")
    label, probability = trained.predict(pictures[:1])[0], trained.predict_proba(pictures[:1]).max()
    for name in ("picture.npy", "picture.png"):
        result = answer_once(folder, name)
        expected = f"{label}, probability {probability:.2f}\nno TensorFlow\n"
        assert result.stdout == expected, result.stderr


def test_a_script_that_answers_once_says_what_is_wrong(folder, pictures):
    np.save(folder / "picture.npy", pictures[0, :20])
    result = answer_once(folder, "picture.npy")
    assert (result.returncode, result.stdout) == (1, "no TensorFlow\n")
    assert result.stderr.startswith("picture.npy: X has images of shape (20, 28, 1), but")
