# SPDX-License-Identifier: BSD-3-Clause
"""The precision of training: what decides it, and what stays float32."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from fashioncnn._tensorflow.precision import training_precision


@pytest.fixture
def machine(monkeypatch):
    """Pretend to have a processor with some flags, and GPUs of some compute capabilities."""

    def pretend(flags="", gpus=(), onednn=None, isa=None):
        text = f"processor\t: 0\nflags\t\t: fpu sse2 {flags}\nbugs\t: none\n"
        monkeypatch.setattr(Path, "read_text", lambda self, **kwargs: text)
        monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: list(gpus))
        details = lambda gpu: {"compute_capability": gpu} if gpu else {}  # noqa: E731
        monkeypatch.setattr(tf.config.experimental, "get_device_details", details)
        monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
        for name in ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"):
            monkeypatch.delenv(name, raising=False)
        if isa:
            monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", isa)
        if onednn:
            monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", onednn)

    return pretend


CASES = [
    ({"flags": "avx2 avx512f avx512_bf16"}, "bfloat16"),
    ({"flags": "amx_bf16 amx_tile"}, "bfloat16"),
    ({"flags": "avx512_bf16", "onednn": "1"}, "bfloat16"),
    ({"flags": "avx512_bf16", "onednn": "0"}, "float32"),
    ({"flags": "avx512_bf16 amx_bf16", "isa": "AVX2"}, "float32"),
    ({"flags": "avx512_bf16 amx_bf16", "isa": "avx512_core"}, "float32"),
    ({"flags": "avx512_bf16 amx_bf16", "isa": "AVX512_CORE_BF16"}, "bfloat16"),
    ({"flags": "avx512_bf16 amx_bf16", "isa": "AVX10_1_512"}, "bfloat16"),
    ({"flags": "avx2", "isa": "AVX2"}, "float32"),
    ({"flags": "avx512f avx512_bf16", "isa": "AVX2", "onednn": "0"}, "float32"),
    ({"flags": "avx512f avx512_bf16", "isa": "AVX512_CORE"}, "float32"),
    ({"flags": "avx2 avx512f avx512_vnni"}, "float32"),
    ({"flags": "not_avx512_bf16_at_all"}, "float32"),
    ({"gpus": [(8, 0)]}, "bfloat16"),
    ({"gpus": [(9, 0), (8, 6)]}, "bfloat16"),
    ({"gpus": [(7, 5)], "flags": "avx512_bf16"}, "float32"),
    ({"gpus": [(8, 0), (7, 5)]}, "float32"),
    ({"gpus": [None]}, "float32"),
]


@pytest.mark.parametrize(("features", "expected"), CASES)
def test_auto_is_a_function_of_the_machine(machine, features, expected):
    machine(**features)
    with warnings.catch_warnings(action="error"):
        assert training_precision("auto") == expected
        assert training_precision("float32") == "float32"
    if expected == "float32":
        with pytest.warns(UserWarning, match=r"many times slower. Use precision='auto'"):
            assert training_precision("bfloat16") == "bfloat16"
    else:
        assert training_precision("bfloat16") == "bfloat16"


@pytest.mark.parametrize("isa", ["SSE41", "AVX", "avx2", "AVX2_VNNI_2"])
def test_bfloat16_is_refused_where_onednn_may_not_compute_in_it(machine, isa):
    machine("avx512f avx512_bf16", isa=isa)
    assert training_precision("auto") == "float32"
    match = f"ONEDNN_MAX_CPU_ISA={isa} keeps oneDNN from .* Unset it before Python starts"
    with pytest.raises(ValueError, match=match):
        training_precision("bfloat16")


@pytest.mark.parametrize(
    ("settings", "cause"),
    [
        ({"onednn": "0"}, "the environment variable TF_ENABLE_ONEDNN_OPTS=0 keeps TensorFlow"),
        ({"isa": "AVX512_CORE"}, "the environment variable ONEDNN_MAX_CPU_ISA=AVX512_CORE keeps"),
    ],
)
def test_a_warning_names_the_setting_that_is_its_cause(machine, settings, cause):
    machine("avx512f avx512_bf16", **settings)
    with pytest.warns(UserWarning, match=f"precision='bfloat16', but {cause}"):
        assert training_precision("bfloat16") == "bfloat16"
    machine("avx512f", **settings)
    with pytest.warns(UserWarning, match="no processor is found that computes in it"):
        training_precision("bfloat16")


@pytest.mark.parametrize("text", [None, "", "processor : 0\nFeatures : asimd bf16\n"])
def test_without_flags_to_read_auto_is_float32(monkeypatch, text):
    def read(self, **kwargs):
        if text is None:
            raise FileNotFoundError
        return text

    monkeypatch.setattr(Path, "read_text", read)
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: [])
    assert training_precision("auto") == "float32"


@pytest.fixture
def with_bfloat16(monkeypatch):
    monkeypatch.setattr("fashioncnn._tensorflow.precision._has_bfloat16", lambda: True)


@pytest.mark.usefixtures("with_bfloat16")
@pytest.mark.parametrize("precision", ["auto", "bfloat16"])
def test_bfloat16_trains_float32_weights(images, small, precision):
    X, y = images
    exact = small(epochs=20).fit(X, y)
    clf = small(epochs=20, precision=precision).fit(X, y)
    assert (exact.precision_, clf.precision_) == ("float32", "bfloat16")
    weights = clf._network.weights
    assert {value.dtype for value in weights.values()} == {np.dtype(np.float32)}
    rounded = {name: tf.cast(tf.cast(v, tf.bfloat16), tf.float32) for name, v in weights.items()}
    assert all((rounded[name] != value).numpy().any() for name, value in weights.items())
    assert clf.score(X, y) > 0.9
    assert clf.history_["loss"][0] == pytest.approx(exact.history_["loss"][0], rel=0.02)
    assert clf.history_["loss"] != exact.history_["loss"]
    probabilities = clf.predict_proba(X)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(
        clf.model_.predict(X, verbose=0), probabilities, rtol=1e-4, atol=1e-6
    )


@pytest.mark.usefixtures("with_bfloat16")
@pytest.mark.parametrize("optimizer", ["adam", "muon", "rmsprop", "sgd"])
def test_bfloat16_learns_with_batch_normalisation(images, small, optimizer):
    X, y = images
    settings = {"optimizer": optimizer, "learning_rate": None, "epochs": 40, "batch_size": 30}
    clf = small(batch_normalization=True, precision="bfloat16", **settings).fit(X, y)
    assert clf.score(X, y) > 0.9


@pytest.mark.usefixtures("with_bfloat16")
def test_precision_may_change_between_fits(images, small):
    X, y = images
    clf = small(epochs=2, warm_start=True).fit(X, y)
    clf.set_params(precision="bfloat16").fit(X, y)
    assert (clf.precision_, clf.n_iter_) == ("bfloat16", 4)
    clf.set_params(precision="float32").partial_fit(X, y)
    assert (clf.precision_, clf.n_iter_) == ("float32", 5)


@pytest.mark.slow
def test_bfloat16_works_and_warns_without_hardware(tmp_path):
    code = (
        "import warnings\n"
        "from fashioncnn import FashionCNNClassifier, load_fashion_mnist_sample\n"
        "X, y = load_fashion_mnist_sample('train')\n"
        "X, y = X[:400, ::2, ::2], y[:400]\n"
        "clf = FashionCNNClassifier((4, 8), (16,), precision='bfloat16', epochs=12,\n"
        "                           batch_size=40, learning_rate=0.005, random_state=0)\n"
        "with warnings.catch_warnings(record=True) as caught:\n"
        "    warnings.simplefilter('always')\n"
        "    clf.fit(X, y)\n"
        "messages = [str(w.message) for w in caught if 'bfloat16' in str(w.message)]\n"
        "print(len(messages), caught[0].filename == '<string>', clf.score(X, y) > 0.5,\n"
        "      clf.set_params(precision='auto').fit(X, y).precision_)"
    )
    environment = {**os.environ, "TF_ENABLE_ONEDNN_OPTS": "0"}
    output = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, check=True, capture_output=True
    ).stdout
    assert output.split() == [b"1", b"True", b"True", b"float32"]
