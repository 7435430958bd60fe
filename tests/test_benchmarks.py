# SPDX-License-Identifier: BSD-3-Clause
"""The benchmarks: their arithmetic, what they make of results, and that they all start."""

import importlib
import json
import os
import runpy
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

import pytest

CHECKOUT = Path(__file__).parent.parent
BENCHMARKS = CHECKOUT / "benchmarks"
PEERS = BENCHMARKS / "peers"
SERVING = BENCHMARKS / "serving"
ACCURACY = BENCHMARKS / "accuracy"
RESULTS = BENCHMARKS / "results"
SCRIPTS = [*sorted(BENCHMARKS.glob("*.py")), PEERS, SERVING, ACCURACY]


def results():
    seconds = {"fashioncnn": (4, 6), "fashioncnn-auto": (2, 3), "keras": (9, 10), "mlp": (1, 1)}
    measurements = []
    for repetition in range(2):
        common = {"task": "fit", "arguments": {"n_images": 10_000}, "repetition": repetition}
        for library, times in seconds.items():
            call = 20 if library == "keras" else times[repetition]
            values = {"seconds": times[repetition], "call seconds": call}
            measurements.append({**common, "library": library, "results": values})
        values = {"library": "keras", "results": {"megabytes": 1234.5}}
        measurements.append({**common, "task": "peak_memory", **values})
    return {**results_of_a_machine(), "measurements": measurements}


def results_of_a_machine():
    environment = {"processor": "of some kind", "cores": 2, "python": "3.11"}
    return {"environment": environment, "short": False}


def test_ratios_of_medians_and_of_pairs(load):
    measured = {"fashioncnn": [1, 3, 8], "keras": [2, 9, 4]}
    measurements = [
        {
            "task": "grid_search",
            "arguments": {"n_images": 600, "n_jobs": 1},
            "library": library,
            "repetition": repetition,
            "results": {"seconds": seconds},
        }
        for library, values in measured.items()
        for repetition, seconds in enumerate(values)
    ]
    report = load("report")
    summary = report.summarize(report.list_values({"measurements": measurements}))
    keras = summary.set_index("library").loc["keras"]
    assert (keras["median"], keras["least"], keras["most"]) == (4, 2, 9)
    assert keras["ratio"] == 4 / 3
    assert keras["paired"] == 2


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0.00"),
        (0.4567, "0.457"),
        (9.994, "9.99"),
        (9.999, "10.0"),
        (99.96, "100"),
        (1234.5, "1,234"),
    ],
)
def test_three_significant_digits(load, value, text):
    assert load("writing").three_digits(value) == text


def test_keras_is_timed_to_the_end_of_its_work_and_of_the_call(load):
    library = load("libraries").LIBRARIES["keras"]
    (callback,) = library.keras_callbacks()

    def work_and_wait():
        callback.on_predict_end()
        time.sleep(0.05)

    times = library.times(work_and_wait)
    assert times["call seconds"] >= times["seconds"] + 0.05
    times = library.times(lambda: None)  # which notes nothing
    assert times["call seconds"] == times["seconds"]


def test_tables(load):
    comparison, spread = load("report").tables(results()).split("## Spread")
    assert "| one epoch of 10,000 images | 5.00 s | 2.50 s (0.500) | 9.50 s (1.90) |" in comparison
    assert "| peak memory of `fit`, 10,000 images | - | - | 1,234 MB |" in comparison
    epoch, whole_call = "| one epoch of 10,000 images", ", to the end of the call"
    assert f"{epoch} | Keras | 9.50 s | 9.00 s to 10.0 s | 2 | 1.90 | 1.96 |" in spread
    assert f"{epoch}{whole_call} | Keras | 20.0 s | 20.0 s to 20.0 s | 2 | 4.00 | 4.17 |" in spread
    assert f"{epoch}{whole_call} | fashioncnn, float32 |" not in spread  # the same as its work


def serving_results():
    seconds = {"fashioncnn": (4, 6), "onnxruntime": (1, 3), "keras": (60, 80), "mlp": (1, 1)}
    measurements = []
    for repetition in range(2):
        common = {"task": "one_image", "arguments": {}, "repetition": repetition}
        for library, times in seconds.items():
            results = {"seconds": times[repetition] / 1000}
            measurements.append({**common, "library": library, "results": results})
        for library, milliseconds in {"numpy": 2, "tensorflow": 3}.items():
            few = {"task": "few_images", "arguments": {"n_images": 4}, "library": library}
            measurements.append({**common, **few, "results": {"seconds": milliseconds / 1000}})
        for library, megabytes in {"fashioncnn": 200, "fashioncnn.classifier": 184}.items():
            sizes = {"megabytes": megabytes, "peak megabytes": megabytes + repetition}
            results = {"seconds": 1.5, **sizes, "TensorFlow": library == "fashioncnn"}
            fresh = {"task": "fresh_process", "library": library, "results": results}
            measurements.append({**common, **fresh})
        results = {"seconds": 0.001, "seconds, 95 %": 0.002, "requests": 1234.5}
        results |= {"seconds to first answer": 1.5}
        results |= {"megabytes of its own": 10, "megabytes with its share": 99.6}
        measurements.append({**common, "task": "server", "library": "keras", "results": results})
    return {**results_of_a_machine(), "measurements": measurements}


def test_tables_of_serving(load):
    text = load("serving_tables").tables(serving_results())
    for row in (
        "| onnxruntime | 2.00 ms (1.00 ms to 3.00 ms) | 0.400 |",
        "| 4 images, TensorFlow's engine | 3.00 ms (3.00 ms to 3.00 ms) | 1.50 |",
        "| fashioncnn | 1.50 s (1.50 s to 1.50 s) | 1.00 | 200 MB | 200 MB | yes |",
        "| 1,234 | 1.50 s | 10 MB | 100 MB |",
        "- Keras, model called: loaded by each worker.",
        "| one image: fashioncnn / onnxruntime | at most 2.5 times | 2.50 times | yes |",
        "| one image: Keras called / fashioncnn | at least 10 times | 14.0 times | yes |",
        "| one image: fashioncnn / MLPClassifier | at most 3 times | 5.00 times | no |",
        "| 4 images: NumPy / TensorFlow | at most 1 times | 0.667 times | yes |",
        "above `import fashioncnn.classifier` | at most 15 MB | 16.0 MB | no |",
    ):
        assert row in text
    assert "skorch" not in text


def test_tables_of_formats(load):
    times = {"first": [1, 2, 1.5], "megabytes": [99.6] * 3, "one": [0.001] * 3}
    measured = {
        "model.safetensors": {**times, "many": [0.2, 0.4, 0.8]},
        "model.onnx": {**times, "first": [0.1, 0.1, 0.3], "many": [0.3, 0.1, 0.2]},
    }
    sizes = {"model.safetensors": 2_000, "model.onnx": 2_020}
    network = {"weights": 2_000, "bytes": sizes, "measured": measured}
    results = {**results_of_a_machine(), "pictures": 10_000, "networks": {"Some": network}}
    text = load("formats").tables(results)
    for row in (
        "|  | one picture | ratio | 10,000 pictures | ratio |",
        "| ONNX, onnxruntime | 2,020 | 1.010 | 100 ms (100 to 300) | 0.100 | 100 MB |",
        "| ONNX, onnxruntime | 1.00 ms (1.00 to 1.00) | 1.00 | 200 ms (100 to 300) | 0.250 |",
        "- ONNX, onnxruntime: takes the bytes",
    ):
        assert row in text
    assert "LiteRT" not in text


TABLES = [  # but those of accuracy, which test_accuracy_tables.py has
    path
    for path in sorted(RESULTS.glob("*.md"))
    if "python benchmarks/accuracy " not in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_committed_tables_are_of_the_committed_results(path, load):
    module = {"peers": "report", "serving": "serving_tables"}.get(path.stem, path.stem)
    text = path.with_suffix(".json").read_text(encoding="utf-8")
    assert load(module).tables(json.loads(text)) == path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("comparison", "page"), [("article", "README.md"), ("precision", "docs/training.md")]
)
def test_accuracies_in_the_docs_are_those_of_the_committed_results(comparison, page, load):
    report = load("accuracy_tables").read_results(RESULTS / f"{comparison}.json")
    table = load("comparisons").COMPARISONS[comparison].table(report)
    rows = table.replace(" %", "").splitlines()[2:]
    text = (CHECKOUT / page).read_text(encoding="utf-8").replace(" %", "")
    for row in rows:
        figures = row.split(" | ", maxsplit=2)[-1]  # after the variant and its epochs
        assert f" | {figures}\n" in text


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_short_run_leaves_committed_results_alone(load, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(load("machine"), "CHECKOUT", tmp_path)
    before = {path: path.read_bytes() for path in RESULTS.iterdir()}
    options = ("--tasks", "import_library", "--libraries", "fashioncnn")
    run(PEERS, "--short", *options)
    assert "| import | fashioncnn, float32 |" in capsys.readouterr().out
    assert {path.name for path in tmp_path.rglob("*.*")} == {"peers.json", "peers.md"}
    assert (tmp_path / "build" / "peers.json").is_file()
    assert {path: path.read_bytes() for path in RESULTS.iterdir()} == before


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_short_run_of_serving(load, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(load("machine"), "CHECKOUT", tmp_path)
    libraries = ("--libraries", "fashioncnn", "onnxruntime", "mlp", "sklearn.base")
    run(SERVING, "--short", *libraries)
    output = capsys.readouterr().out
    for row in (
        "| onnxruntime |",
        "| 7 images, NumPy's engine |",
        "| only `import sklearn.base` |",
    ):
        assert row in output
    assert {path.name for path in tmp_path.rglob("*.*")} == {"serving.json", "serving.md"}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.usefixtures("new_modules")
def test_short_run_of_formats(monkeypatch, tmp_path, capsys):
    monkeypatch.syspath_prepend(BENCHMARKS)
    monkeypatch.setattr(importlib.import_module("peers.machine"), "CHECKOUT", tmp_path)
    little = ("--repetitions", "1", "--calls", "2", "--pictures", "300")
    run(BENCHMARKS / "formats.py", *little, "--formats", "model.onnx")
    networks = capsys.readouterr().out.split("## ")[1:-1]
    assert len(networks) == 2
    for text in networks:
        assert text.count("| ONNX, onnxruntime |") == 2
    assert {path.name for path in tmp_path.rglob("*.*")} == {"formats.json", "formats.md"}


@pytest.mark.slow
@pytest.mark.usefixtures("new_modules")
def test_short_run_of_model_files(monkeypatch, tmp_path, capsys):
    monkeypatch.syspath_prepend(BENCHMARKS)
    monkeypatch.setattr(importlib.import_module("peers.machine"), "CHECKOUT", tmp_path)
    run(BENCHMARKS / "model_file.py", "--calls", "1", "--processes", "1")
    output = capsys.readouterr().out
    assert "| model file (`save`, `load`) |" in output
    assert {path.name for path in tmp_path.rglob("*.*")} == {"model_file.json", "model_file.md"}


@pytest.mark.usefixtures("new_modules")
def test_rendering_again_gives_the_same_files(tmp_path, other_hash_seed):
    path = tmp_path / "some.json"
    path.write_text(json.dumps(results()), encoding="utf-8")

    def contents():
        return {file.name: file.read_bytes() for file in tmp_path.iterdir()}

    run(PEERS, "--render", path)
    before = contents()
    assert {"some.json", "some.md"} <= before.keys()
    subprocess.run(
        [sys.executable, PEERS, "--render", path],
        check=True,
        env={**os.environ, "PYTHONHASHSEED": other_hash_seed},
        stdout=subprocess.DEVNULL,
    )
    assert contents() == before


def run(script, *options):
    """Run a script in this process, as Python does when it is started with options."""
    if script.is_dir():
        script /= "__main__.py"
    with pytest.MonkeyPatch.context() as patch, mock.patch.dict(os.environ):
        patch.setattr(sys, "argv", [str(script), *map(str, options)])
        patch.setattr(sys, "path", [str(script.parent), *sys.path])
        runpy.run_path(str(script), run_name="__main__")


@pytest.mark.usefixtures("new_modules")
@pytest.mark.parametrize("comparison", ["article", "precision", "small"])
def test_accuracies_are_shown_and_written_beside_their_file(comparison, tmp_path, capsys):
    path = tmp_path / f"{comparison}.json"
    path.write_bytes((RESULTS / path.name).read_bytes())
    run(ACCURACY, comparison, "--show", path)
    written = path.with_suffix(".md").read_text(encoding="utf-8")
    note, _, table = written.partition("\n\n")
    assert note == f"<!-- Written by python benchmarks/accuracy {comparison}. -->"
    assert capsys.readouterr().out == table


@pytest.mark.usefixtures("new_modules")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_help(script, capsys):
    with pytest.raises(SystemExit) as end:
        run(script, "--help")
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith("usage: ")
