# SPDX-License-Identifier: BSD-3-Clause
"""The examples of ONNX, as they are: gunicorn, a script that answers once, and a page."""

import copy
import os
import runpy
import shutil
import subprocess
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from browsers import BROWSER, show
from servers import SECONDS, assert_answers, assert_refused, server

from fashioncnn import load_fashion_mnist_sample

EXAMPLES = Path(__file__).parent.parent / "examples" / "onnx"

# Runs first in processes that answer: importing any of these fails there.
ALONE = """
import importlib, os, sys
os.environ.pop("ORT_DISABLE_TELEMETRY", None)  # the example sees to it
for name in ("fashioncnn", "keras", "onnx", "scipy", "sklearn", "tensorflow"):
    sys.modules[name] = None
    try:
        importlib.import_module(name)
    except ImportError:
        continue
    raise AssertionError(name)
"""


@pytest.fixture
def classifier(tmp_path):
    """Give a function that exports a classifier, and reads the file as the example does."""
    example = runpy.run_path(str(EXAMPLES / "onnx_classifier.py"))

    def export(clf):
        clf.export_onnx(tmp_path / "model.onnx")
        return example["OnnxClassifier"](tmp_path / "model.onnx")

    return export


KINDS = {
    "strings": np.array(["a", "b", "c"]),
    "integers": np.array([-1, 0, 2**40]),
    "floats": np.array([0.0, 1.0, 2.0]),
    "dates": np.array(["2026-01-01", "2026-01-02", "2026-01-03"], "datetime64[D]"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_labels_of_every_kind(classifier, images, small, kind):
    X, y = images
    clf = small(epochs=1).fit(X, KINDS[kind][np.unique(y, return_inverse=True)[1]])
    expected = clf.predict(X)
    if kind in ("floats", "dates"):  # whose names the metadata have
        expected = expected.astype(str)
    assert [answer["label"] for answer in classifier(clf).answer(X)] == expected.tolist()


def test_pixels_that_are_floats(classifier, images, small):
    X, y = (images[0] / 255).astype(np.float32), images[1]
    clf = small(epochs=1).fit(X, y)
    network = classifier(clf)
    expected = clf.predict_proba(X).max(axis=1)
    for pictures in (X, X[..., np.newaxis], X.tolist()):
        found = [answer["probability"] for answer in network.answer(pictures)]
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(network.from_bytes(X[0].tobytes())[..., 0], X[:1])
    for value in (np.nan, np.inf, 1e39, -1e39):
        with pytest.raises(ValueError, match=r"got a pixel of .*, expected .* finite numbers"):
            network.answer(np.full((1, 6, 6), value))


@pytest.mark.parametrize("value", [-1, 256, 0.5, np.nan, np.inf])
def test_pixels_that_are_no_bytes(classifier, fitted, value):
    with pytest.raises(ValueError, match=r"got a pixel of .*integers from 0 to 255"):
        classifier(fitted).answer(np.full((1, 6, 6), value))


def test_no_pictures(classifier, fitted):
    assert classifier(fitted).answer(np.empty((0, 6, 6))) == []


def test_an_answer_that_is_not_finite(classifier, images, small):
    """JSON has no NaN, so that a server would send what others can't read."""
    X, y = (images[0] / 1e6).astype(np.float32), images[1]
    network = classifier(small(epochs=1).fit(X, y))
    with pytest.raises(ValueError, match="output is not finite"):
        network.answer(np.full((1, 6, 6), 3e38))


def test_a_long_text_takes_no_memory(classifier, fitted):
    """An array of texts would take that of the longest for each: here 16 GB."""
    network = classifier(fitted)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="no numbers"):
            network.answer([[["x" * 10**6, *["y"] * 4000]]])
        assert tracemalloc.get_traced_memory()[1] < 10**7
    finally:
        tracemalloc.stop()


REFUSED = [
    (b"abc", "got 3 bytes, expected 784: one picture of shape (28, 28, 1) as uint8"),
    ([[[1, 2], [3, 4]]], "got an array of shape (1, 2, 2), expected a list of pictures of shape"),
    ([[[1, 2], [3]]], "got lists of different lengths or values that are no numbers, expected a"),
    ([[["a"]]], "values that are no numbers, expected a list"),
    ([[[10**400]]], "values that are no numbers, expected a list"),
    ([[[None]]], "got an array of shape (1, 1, 1), expected a list"),
    ({"no": "list"}, "values that are no numbers, expected a list"),
    ([], "got an array of shape (0,), expected a list"),
    (3, "got an array of shape (), expected a list"),
    ([[[256] * 28] * 28], "got a pixel of 256.0, expected a list"),
]

# Answers in the master, before it forks; the answer to b"?" tells about the worker.
PRELOADED = f"""{ALONE}
import json
import numpy as np
from wsgi_app import app as answer, classifier

classifier.answer(np.load("pictures.npy"))

def app(environ, start_response):
    if environ["PATH_INFO"] != "/worker":
        return answer(environ, start_response)
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(os.getpid()).encode()]
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system can't fork")
@pytest.mark.skipif(not find_spec("gunicorn"), reason="gunicorn is not installed")
@pytest.mark.processes
@pytest.mark.parametrize("kind", ["sync", "gthread"])
def test_workers_without_this_library(tmp_path, kind, trained, pictures):
    for path in EXAMPLES.glob("*.py"):
        shutil.copy(path, tmp_path)
    trained.export_onnx(tmp_path / "model.onnx")
    np.save(tmp_path / "pictures.npy", pictures)
    (tmp_path / "preloaded.py").write_text(PRELOADED, encoding="utf-8")
    command = ["gunicorn", "--preload", "--workers", "2", "--bind", "127.0.0.1:0"]
    command += ["--graceful-timeout", str(10 * SECONDS)]  # a worker that can't end is a failure
    command += ["--worker-class", kind, "--threads", "4" if kind == "gthread" else "1"]
    with server(tmp_path, *command, "preloaded:app", model="model.onnx") as ask_server:
        assert_answers(ask_server, trained, pictures)
        for body, message in REFUSED:
            assert_refused(ask_server, "/", body, message)
        _, answers = ask_server(pictures.tolist())
        with ThreadPoolExecutor(4) as pool:
            workers = set(pool.map(lambda _: ask_server(b"", "/worker")[1], range(200)))
    assert len(workers) == 2
    found = [answer["probability"] for answer in answers]
    expected = trained.predict_proba(pictures).max(axis=1)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def answer_once(folder, name):
    """Run the script in a process of its own, without what it may not need."""
    script = EXAMPLES / "onnx_classifier.py"
    code = (
        f"{ALONE}\nimport runpy\ndel sys.argv[0]\nrunpy.run_path(sys.argv[0], run_name='__main__')"
    )
    command = [sys.executable, "-c", code, script, "model.onnx", name]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_a_script_that_answers_once(tmp_path, fitted, images):
    X = images[0]
    fitted.export_onnx(tmp_path / "model.onnx")
    np.save(tmp_path / "right.npy", X[0])
    np.save(tmp_path / "wrong.npy", X[0, :5])
    probability = fitted.predict_proba(X[:1]).max()
    right, wrong = (answer_once(tmp_path, name) for name in ("right.npy", "wrong.npy"))
    assert right.stdout == f"{fitted.predict(X[:1])[0]}, probability {probability:.2f}\n", right
    assert wrong.returncode == 1
    assert wrong.stderr.startswith("wrong.npy: got an array of shape (1, 5, 6), expected"), wrong


@pytest.fixture
def page(tmp_path, trained):
    """Give a folder with the page, the network, and pictures that it was not trained on."""
    if not BROWSER:
        pytest.skip("needs chromium")
    X, y = load_fashion_mnist_sample("test", as_names=True)
    for name in ("index.html", "package.json"):
        shutil.copy(EXAMPLES / "web" / name, tmp_path)
    write(trained, X[:24], y[:24], tmp_path)
    return tmp_path


def write(clf, X, y, folder):
    runpy.run_path(str(EXAMPLES / "make_model.py"))["write"](clf, X, y, folder)


@pytest.fixture
def with_runtime(page):
    """Give the folder with onnxruntime-web, which is removed at the end: it is large."""
    if not shutil.which("npm"):
        pytest.skip("needs npm")
    options = ["--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"]
    result = subprocess.run(["npm", "install", *options], cwd=page, capture_output=True, text=True)
    try:
        assert "ETARGET" not in result.stderr, result.stderr  # there is no such version
        if result.returncode:
            reason = next((line for line in result.stderr.splitlines() if " code " in line), "")
            pytest.skip(f"npm did not get onnxruntime-web: {reason}")
        yield page
    finally:
        shutil.rmtree(page / "node_modules", ignore_errors=True)


@pytest.mark.slow
def test_a_page_that_answers(with_runtime, trained):
    X, y = load_fashion_mnist_sample("test", as_names=True)
    shown = show(with_runtime)
    assert shown["state"] == "done", shown
    expected = trained.predict(X[:24])
    assert shown["label"] == expected.tolist()
    assert shown["name"] == y[:24].tolist()
    percent = [float(text.removesuffix(" %")) for text in shown["probability"]]
    highest = 100 * trained.predict_proba(X[:24]).max(axis=1)
    np.testing.assert_allclose(percent, highest, rtol=0, atol=0.05 + 1e-3)  # of one digit
    right = (expected == y[:24]).sum()
    assert shown["status"].startswith(f"{right} of 24 are right. One took "), shown

    numbered = copy.copy(trained)  # which takes float32, too
    numbered.classes_ = np.arange(10)
    pixel_range = trained._network.pixel_range._replace(integer_dtype=None)
    numbered._network = replace(trained._network, pixel_range=pixel_range)
    numbers = np.searchsorted(trained.classes_, y[:24])
    write(numbered, X[:24], numbers, with_runtime)
    shown = show(with_runtime)
    assert shown["label"] == numbered.predict(X[:24]).astype(str).tolist()
    assert shown["name"] == numbers.astype(str).tolist()
    assert shown["status"].startswith(f"{right} of 24 are right. One took "), shown


@pytest.mark.slow
@pytest.mark.parametrize("missing", ["node_modules", "pictures.json"])
def test_a_page_that_says_what_is_missing(page, missing):
    if missing == "pictures.json":
        (page / missing).unlink()
    shown = show(page)
    assert (shown["state"], shown["label"]) == ("failed", []), shown
    assert missing in shown["status"]
    assert shown["status"].endswith("start a server as README.md says.")
