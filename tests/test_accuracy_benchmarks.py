# SPDX-License-Identifier: BSD-3-Clause
"""The benchmarks of accuracy: what they run, what they run once only, and how they judge."""

import json
import os
import sys
import time

import numpy as np
import pytest

from fashioncnn import FashionCNNClassifier
from fashioncnn._inputs.architecture import build_architecture
from fashioncnn._network import checkpoint


@pytest.fixture
def options(load, monkeypatch):
    """Give a function that reads a command line."""

    def read(*words):
        monkeypatch.setattr(sys, "argv", ["accuracy", *words])
        return load("options").read_options("Some.")

    return read


def test_a_variant_is_typed_as_recipe_overrides_and_label(load):
    parse = load("variants").parse_variant
    variant = parse("long: article epochs=30 conv_stacks=((8,),16) padding=same")
    assert variant.label == "long"
    overrides = {"epochs": 30, "conv_stacks": ((8,), 16), "padding": "same"}
    assert variant == ("long", "article", overrides, None)
    assert variant.new(random_state=1).get_params().items() >= overrides.items()
    assert parse("article") == ("article", "article", {}, None)
    assert parse("default").settings["validation_fraction"] is None
    with pytest.raises(ValueError, match="'epochs' in 'article epochs' has no value"):
        parse("article epochs")


@pytest.mark.parametrize("name", ["some.json", "some.py"])
def test_variants_of_a_file(load, tmp_path, name):
    table = {"one": {"epochs": 1}, "two": {"recipe": "default"}}
    prefix = "VARIANTS = " if name.endswith(".py") else ""
    (tmp_path / name).write_text(prefix + json.dumps(table), encoding="utf-8")
    variants = load("variants").read_variants(tmp_path / name, "article")
    assert variants == [("one", "article", {"epochs": 1}, None), ("two", "default", {}, None)]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["precision", "--seeds", "0"], "argument --seeds: 0 is not at least 1"),
        (["recipes", "nothing"], "Unknown recipe 'nothing'"),
        (["recipes", "article epoch=3"], "Invalid parameter 'epoch'"),
        (["ablation", "article epochs=0"], "The 'epochs' parameter"),
        (["small"], "small needs a variant"),
        (["search"], "search needs a variant"),
    ],
)
def test_what_the_command_line_refuses(options, capsys, words, message):
    with pytest.raises(SystemExit):
        options(*words)
    assert message in capsys.readouterr().err


def test_tries_on_few_images_have_a_file_of_their_own(options):
    assert options("recipes", "article").name == "recipes"
    assert options("recipes", "article", "--images", "300").name == "recipes-300"


@pytest.fixture
def complete(load, tmp_path, monkeypatch):
    """Give a function that completes runs by a function of theirs, in this process."""
    store, parse = load("run_store"), load("variants").parse_variant
    monkeypatch.setattr(load("machine"), "CHECKOUT", tmp_path)
    monkeypatch.setattr(store, "commit", lambda: "some")  # a copy of the checkout has none

    def run_all(result, *texts, n_images=None):
        class Worker:
            def submit(self, function, *arguments):
                self.arguments = arguments
                return self

            def result(self):
                result(*self.arguments[:2])
                return {"accuracy": 0.9, "log_loss": 0.3, "seconds": 1.0}

        monkeypatch.setattr(store, "workers", lambda fresh: iter(Worker, None))
        runs = store.all_runs(list(map(parse, texts)), "test", 2)
        return store.complete(runs, store.Conditions("some", n_images))

    return run_all


def test_a_run_that_fails_does_not_end_a_search(complete, capsys):
    def fail(run, n_images):
        if run.seed == 0:
            raise ValueError("Training diverged")

    report = complete(fail, "article")
    assert [run["seed"] for run in report["runs"]] == [1]
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "1 run has failed, and is missing: article, test, seed 0: Training diverged"


def test_finished_runs_are_not_run_again(complete, tmp_path):
    def started(*texts, n_images=None):
        labels = []

        def note(run, n_images):
            labels.append((run.variant.label, run.seed, n_images))

        report = complete(note, *texts, n_images=n_images)
        text = (tmp_path / "build" / "some.json").read_text(encoding="utf-8")
        assert json.loads(text).items() >= report.items()
        return labels, [report["settings"][run["settings"]]["epochs"] for run in report["runs"]]

    assert started("a: article") == ([("a", 0, None), ("a", 1, None)], [12, 12])
    labels, epochs = started("a: article", "b: article epochs=3")
    assert (labels, epochs) == ([("b", 0, None), ("b", 1, None)], [12, 12, 3, 3])
    labels, _ = started("a: article epochs=5")  # the label alone does not tell a run
    assert labels == [("a", 0, None), ("a", 1, None)]
    labels, _ = started("a: article", n_images=100)
    assert labels == [("a", 0, 100), ("a", 1, 100)]
    assert started("a: article", "b: article epochs=3")[0] == []


def test_a_fit_is_timed_over_its_parts(load, tmp_path, monkeypatch):
    resumption, path = load("resumption"), tmp_path / "folder" / "some.checkpoint"
    clock = resumption.Clock(path)
    assert (clock.n_parts, clock.seconds_before) == (1, 0.0)
    path.write_text("where it stands", encoding="utf-8")
    os.utime(path, (time.time() + 40, time.time() + 40))  # and then it is cut off
    clock = resumption.Clock(path)
    assert clock.n_parts == 2
    assert clock.seconds_before == pytest.approx(40, abs=5)
    os.utime(path, (time.time() + 2, time.time() + 2))
    clock = resumption.Clock(path)
    assert clock.n_parts == 3
    assert clock.seconds_before == pytest.approx(42, abs=5)
    assert clock.seconds > clock.seconds_before
    resumption.forget(path)
    assert not os.listdir(path.parent)
    assert resumption.Clock(path).n_parts == 1
    assert resumption.Clock(None).n_parts == 1


def test_the_code_tells_checkpoints_apart(load, monkeypatch):
    run_store = load("run_store")
    path = run_store.checkpoint_path({"seed": 0})
    assert path == run_store.checkpoint_path({"seed": 0})
    assert path != run_store.checkpoint_path({"seed": 1})
    monkeypatch.setattr(run_store, "CODE", "other")
    assert path != run_store.checkpoint_path({"seed": 0})


@pytest.mark.parametrize(
    ("differences", "verdict"),
    [
        ([0.01, 0.02, 0.03], "better"),
        ([-0.01, 0.00, 0.02], "no worse"),
        ([-0.010, -0.011, -0.012], "worse"),  # surely
        ([-0.2, 0.0, 0.1], "worse"),  # much
        ([-0.5], "not judged: one seed"),
    ],
)
def test_the_rule_on_small_data(load, differences, verdict):
    small_data, pd = load("small_data"), pytest.importorskip("pandas")
    values = pd.Series(differences)
    difference = small_data.difference(values + 0.5, values * 0 + 0.5)
    assert difference.mean == pytest.approx(np.mean(differences))
    if len(differences) > 1:
        error = np.std(differences, ddof=1) / np.sqrt(len(differences))
        assert difference.error == pytest.approx(error)
    assert difference.verdict == verdict


@pytest.mark.parametrize(
    ("params", "changes"),
    [
        ({}, {}),
        ({"augment": None, "test_time_flip": False}, {}),
        ({"augment": "shift", "test_time_flip": True}, {"test_time_flip": False}),
        ({"augment": "flip"}, {"augment": None}),
        ({"augment": "flip_shift"}, {"augment": "shift"}),
        ({"augment": {"flip": "alternating"}}, {"augment": None}),
        ({"augment": {"flip": "random", "shift": 2}}, {"augment": {"shift": 2}}),
    ],
)
def test_recipes_without_flips(load, params, changes):
    assert load("small_data").without_flips(params) == changes


def test_means_of_differences_over_data_sets(load):
    small_data = load("small_data")
    accuracies = {"default": (0.5, 0.6), "fast": (0.51, 0.63)}
    runs = [
        {"data": data, "variant": label, "settings": label, "seed": seed, "seconds": 2.0}
        | {"accuracy": accuracy + shift * (label == "fast"), "log_loss": 0.5}
        for data, shift in {"one": 0.0, "two": -0.1}.items()
        for label, values in accuracies.items()
        for seed, accuracy in enumerate(values)
    ]
    text = small_data.table({"runs": runs})
    assert "| one | default | 2 | 55.00 % ± 7.07 | 0.500 ± 0.000 | 2.0 ± 0.0 |  |  |" in text
    assert (
        "| one | fast | 2 | 57.00 % ± 8.49 | 0.500 ± 0.000 | 2.0 ± 0.0 | +2.00 ± 1.00 | no worse |"
        in text
    )
    assert "| -8.00 ± 1.00 | worse |" in text
    assert "fast: -3.00 points on 2 data sets, below 0" in text


def test_ablation_changes_what_the_recipe_has(load, monkeypatch, capsys):
    ablation, variants = load("ablation"), load("variants")
    changes = {
        "constant": {"learning_rate_schedule": "constant"},  # it is
        "no dropout": {"conv_dropout": 0.0},
        "no magic": {"magic": None},
    }
    monkeypatch.setattr(ablation, "CHANGES", changes)
    monkeypatch.setattr(ablation, "IDEAS", ["luck"])
    recipe, *changed = ablation.list_variants(variants.parse_variant("article"))
    assert changed == [
        recipe.changed("article, no dropout", {"conv_dropout": 0.0}),
        recipe._replace(label="article, luck", idea="luck"),
    ]
    assert changed[1].settings == {**recipe.settings, "idea": "luck"}
    assert "no magic, for there is no parameter magic" in capsys.readouterr().out


def started_from(clf, idea, load, X):
    """Return the weights that a fit starts from, with an idea and without."""
    architecture = build_architecture(vars(clf), X.shape[1:], 2)
    start = [checkpoint.new_checkpoint(architecture, 0).weights]
    with load("ideas").tried(idea, X):
        start.append(checkpoint.new_checkpoint(architecture, 0).weights)
    np.testing.assert_equal(checkpoint.new_checkpoint(architecture, 0).weights, start[0])
    return start[::-1]


def test_ideas_change_the_weights_that_training_starts_from(load):
    X = np.random.default_rng(0).integers(0, 255, (300, 8, 8, 2)).astype(np.uint8)
    clf = FashionCNNClassifier((40, 30), kernel_size=3, batch_normalization=True)
    whitened, before = started_from(clf, "whitened first layer", load, X)
    kernel = whitened.pop("stack1_conv1/kernel").reshape(-1, 40)
    np.testing.assert_allclose(kernel[:, :18], -kernel[:, 18:36])
    images = (X - X.mean((0, 1, 2))) / X.std((0, 1, 2))
    windows = np.lib.stride_tricks.sliding_window_view(images, (3, 3), axis=(1, 2))
    outputs = np.moveaxis(windows, 3, -1).reshape(-1, 18) @ kernel[:, :18]
    np.testing.assert_allclose(outputs.T @ outputs / len(outputs), np.eye(18), atol=0.01)
    np.testing.assert_equal(whitened, {name: before[name] for name in whitened})

    passing, before = started_from(clf, "partial-identity kernels", load, X)
    kernel = passing.pop("stack2_conv1/kernel")
    np.testing.assert_array_equal(kernel.sum((0, 1)), np.eye(40, 30))
    np.testing.assert_array_equal(kernel[1, 1], np.eye(40, 30))
    np.testing.assert_equal(passing, {name: before[name] for name in passing})


@pytest.mark.parametrize("optimizer", ["adam", "muon"])
def test_biases_learn_at_a_higher_rate(load, optimizer):
    X = np.random.default_rng(0).integers(0, 255, (40, 4, 4)).astype(np.uint8)
    y = np.arange(40) % 2
    fits = []
    for idea in (None, "8 times the rate for biases"):
        load("fitting").forget_programs()
        with load("ideas").tried(idea, X):
            params = {"optimizer": optimizer, "epochs": 1, "random_state": 0}
            clf = FashionCNNClassifier((2,), (), **params)
            fits.append(clf.fit(X, y)._network.weights)
    plain, faster = fits
    bias = "predictions/bias"
    np.testing.assert_allclose(faster[bias], 8 * plain[bias], rtol=1e-5)
    np.testing.assert_array_equal(faster["predictions/kernel"], plain["predictions/kernel"])
    load("fitting").forget_programs()


def runs_of(label, times, **more):
    figures = {"settings": label, "accuracy": 0.9, "alone": True, "log_loss": 0.3}
    return [
        {"variant": label, "seed": seed, "seconds": seconds, **figures, **more}
        for seed, seconds in enumerate(times)
    ]


def test_times_are_medians_beside_plain_keras(load):
    timing = load("timing")
    runs = runs_of(timing.ARTICLE.label, [240, 250, 999])
    text = timing.table({"runs": runs + runs_of("fast", [9, 10, 11])})
    assert "| fast | 3 | 10.0 s | 9.00 s to 11.0 s | 25.0 | 90.00 % ± 0.00 |" in text
    assert "Something else" not in text
    runs[0]["alone"] = False
    assert "Something else" in timing.table({"runs": runs})
    variants = [load("variants").parse_variant(name) for name in ("article", "default")]
    firsts = [run.variant.label for run in timing.list_runs(variants, 3)][::3]
    assert firsts == [timing.ARTICLE.label, "article", "default"]


def test_the_curve_is_drawn_of_fits_and_of_epochs_of_keras(load, tmp_path):
    pytest.importorskip("matplotlib")
    curve = load("time_to_accuracy")
    fits = load("variants").parse_variant("article")
    listed = curve.list_runs([fits], [2, 4], 12, seeds=1)
    assert [run.variant.overrides["epochs"] for run in listed] == [12, 2, 4]
    keras, *others = [run.variant.label for run in listed]
    runs = runs_of(keras, [30, 40], points=[[10.0, 0.8], [20.0, 0.9]], n_iter_=2)
    for label, epochs in zip(others, (2, 4), strict=True):
        runs += runs_of(label, [epochs, epochs + 1], n_iter_=epochs)
    report = {"runs": runs}
    assert "| article | 4 | 2 | 4.5 | 90.00 % |" in curve.table(report)
    assert f"| {keras} | 1 | 2 | 10.0 | 80.00 % |" in curve.table(report)
    curve.draw(report, tmp_path / "curve.svg")
    assert (tmp_path / "curve.svg").stat().st_size > 1000


def test_settings_are_committed_before_the_test_set_is_used(load, options, monkeypatch):
    comparisons = load("comparisons")
    monkeypatch.setattr(comparisons, "commit", lambda path="src": "abc+")
    with pytest.raises(SystemExit, match="src has changes"):
        comparisons.frozen(options("recipes", "article"))
    assert not comparisons.frozen(options("recipes", "article", "--images", "300")).alone
    monkeypatch.setattr(comparisons, "commit", lambda path="src": "abc")
    conditions = comparisons.frozen(options("time", "article", "--alone"))
    assert conditions == ("time", None, True, True, True, (("settings_commit", "abc"),))


@pytest.mark.slow
def test_data_sets(load):
    data_sets = load("data_sets")
    pytest.importorskip("PIL")
    for name in ("digits, 8 x 8", "colour patches, 16 x 16 x 3"):
        one, again, other = (data_sets.SMALL[name].load(seed) for seed in (0, 0, 1))
        assert all((a == b).all() for a, b in zip(one, again, strict=True))
        assert (one.X != other.X).any()
        assert set(one.y) == set(one.y_test)
        few = one.first(20)
        assert 20 <= len(few.X) == len(few.y) <= 20 + len(set(one.y))
        assert set(few.y) == set(one.y)
