# SPDX-License-Identifier: BSD-3-Clause
"""The benchmarks: their arithmetic, what they make of results, and that they all start."""

import importlib.util
import json
import os
import runpy
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
PEERS = BENCHMARKS / "peers"
SCRIPTS = [*sorted(BENCHMARKS.glob("*.py")), PEERS, PEERS / "step_profile.py"]
PEAK = {"float32, matrix product": 200.0, "float32, second convolution": 250.0}


@pytest.fixture
def new_modules():
    """Forget afterwards what has been imported of the benchmarks."""
    before = set(sys.modules)
    yield
    own = {path.stem for path in BENCHMARKS.rglob("*.py")}
    for name in own & set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture
def load(monkeypatch, new_modules):
    """Give a function that imports a module of the comparison by its name."""
    monkeypatch.syspath_prepend(PEERS)

    def import_module(name):
        spec = importlib.util.spec_from_file_location(name, PEERS / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        return module

    return import_module


def results():
    seconds = {"fashioncnn": (4, 6), "fashioncnn-auto": (2, 3), "keras": (9, 10), "mlp": (1, 1)}
    measurements = []
    for repetition in range(2):
        common = {"repetition": repetition, "arguments": {"n_images": 10_000}, "task": "fit"}
        for library, times in seconds.items():
            values = {"seconds": times[repetition], "call seconds": 20, "precision": "float32"}
            measurements.append({**common, "library": library, "results": values})
        measurements.append({**common, "library": "cores", "results": PEAK})
        for size in (28, 56):
            arguments = {"size": size, "n_images": 1000}
            growth = {**common, "task": "growth_size", "arguments": arguments}
            measurements.append({**growth, "library": "fashioncnn", "results": {"seconds": size}})
    environment = {"processor": "of some kind", "cores": 2, "python": "3.11"}
    return {"environment": environment, "short": False, "measurements": measurements}


def test_parts_of_a_step(load, monkeypatch):
    monkeypatch.setenv("TF_NUM_INTEROP_THREADS", "2")  # which the module changes
    profile = load("step_profile")
    times = {
        "while/Relu:_MklNativeFusedConv2D": 2,
        "while/Relu_1:_MklNativeFusedConv2D": 20,
        "while/Conv2DBackpropFilter:_MklNativeConv2DBackpropFilterWithBias": 30,
        "while/Conv2DBackpropFilter_1:_MklNativeConv2DBackpropFilter": 4,
        "while/Conv2DBackpropInput:_MklNativeConv2DBackpropInput": 40,
        "while/MatMul:_MklMatMul": 5,
        "while/Relu_2:_MklNativeFusedMatMul": 6,
        "while/MaxPool2d:_MklNativeMaxPool": 7,
        "while/MaxPoolGrad:_MklNativeMaxPoolGrad": 8,
        "while/uniform:StatelessRandomUniformFullIntV2": 9,
        "while/ResourceApplyAdam:ResourceApplyAdam": 10,
        "call/adam_1/Sub:Sub": 11,
        "while/Mul:Mul": 12,
    }
    parts = profile.parts_of_step(times)
    assert {name: time * profile.N_STEPS for name, time in parts.items()} == pytest.approx(
        {
            "second convolution, forward": 20,
            "second convolution, gradient of the filter": 30,
            "second convolution, gradient of the input": 40,
            "first convolution": 6,
            "matrix products": 11,
            "pooling, forward and backward": 15,
            "random numbers of dropout": 9,
            "Adam": 21,
            "what goes value by value, and the rest": 12,
            "whole step": 164,
        }
    )


def test_operations_of_the_network(load):
    flops = load("_flops")
    assert flops.layers(28) == [389_376, 21_233_664, 2_359_296, 2_560]
    assert flops.prediction() == 23_984_896
    assert flops.training() == 71_565_312
    assert flops.training(112) > 16 * flops.training()


def test_ratios_of_medians_and_of_pairs(load):
    report = load("_report")
    assert report.ratio([2, 9, 4], [1, 3, 8]) == 4 / 3
    assert report.paired_ratio([2, 9, 4], [1, 3, 8]) == 2


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
    assert load("_report").three_digits(value) == text


def test_keras_is_timed_to_the_end_of_its_work_and_of_the_call(load):
    library = load("_libraries").Keras()

    def work_and_wait():
        library.end.on_predict_end()
        time.sleep(0.05)

    times = library.times(work_and_wait)
    assert times["call seconds"] >= times["seconds"] + 0.05
    times = library.times(lambda: None)  # which notes nothing
    assert times["call seconds"] == times["seconds"]


def test_tables(load):
    report = load("_report")
    lines = report.tables(report.Report(results())).splitlines()
    epoch = "| one epoch of 10,000 images |"
    assert f"{epoch} 5.00 s | 2.50 s (0.500) | 9.50 s (1.90) |" in lines
    assert f"{epoch} Keras | 9.50 s | 9.00 s to 10.0 s | 2 | 1.90 | 1.96 |" in lines
    assert f"{epoch} fashioncnn, float32 | 149 | 250 (float32, second convolution) | 60% |" in lines
    assert "| 56 x 56 pixels | 56.0 ms |" in lines
    to_the_end = "| one epoch of 10,000 images, to the end of the call |"
    assert f"{to_the_end} Keras | 20.0 s | 20.0 s to 20.0 s | 2 | 1.00 | 1.00 |" in lines


def test_goals_beside_what_was_reached(load):
    load("_report")
    goals = load("_goals")
    text = goals.goals(sys.modules["_report"].Report(results()))
    assert "| epoch, auto: Keras takes | ≥ 2.5 times | 3.80 times | yes |" in text
    assert "| epoch, float32: share of the cores' speed | ≥ 65 % | 59.6 % | NO |" in text
    assert "| one prediction | ≤ 0.5 ms | not measured |  |" in text


@pytest.mark.usefixtures("new_modules")
def test_rendering_again_gives_the_same_files(tmp_path, other_hash_seed):
    path = tmp_path / "some.json"
    path.write_text(json.dumps(results()), encoding="utf-8")

    def contents():
        return {file.name: file.read_bytes() for file in tmp_path.iterdir()}

    options = "--render", "--output", path
    run(PEERS, *options)
    before = contents()
    assert {"some.json", "some.md"} <= before.keys()
    subprocess.run(
        [sys.executable, PEERS, *options],
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
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_help(script, capsys):
    with pytest.raises(SystemExit) as end:
        run(script, "--help")
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith("usage: ")
