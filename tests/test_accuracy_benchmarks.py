# SPDX-License-Identifier: BSD-3-Clause
"""The benchmarks of accuracy: what they run, and what they run once only."""

import json
import os
import sys
import time

import numpy as np
import pytest
import sklearn.utils

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

    def run_all(result, *texts, n_images=None, records=()):
        class Worker:
            def submit(self, function, *arguments, keeps_labels):
                self.arguments = arguments
                return self

            def result(self):
                result(*self.arguments[:2])
                return {"accuracy": 0.9, "log_loss": 0.3, "seconds": 1.0}

        monkeypatch.setattr(store, "workers", lambda fresh: iter(Worker, None))
        runs = store.all_runs(list(map(parse, texts)), "test", 2)
        return store.complete(runs, store.Conditions("some", n_images), records)

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


def test_tables_show_the_settings_that_were_asked_for_last(complete, load):
    def shown(text):
        report = complete(lambda run, n_images: None, text)
        runs = load("accuracy_tables").with_last_settings(report)["runs"]
        return [report["settings"][run["settings"]]["epochs"] for run in runs]

    assert [shown(f"a: article epochs={n}") for n in (1, 2, 1)] == [[1, 1], [2, 2], [1, 1]]


def test_results_name_the_machine_of_their_last_run(complete, tmp_path):
    path = tmp_path / "build" / "some.json"
    path.parent.mkdir()
    path.write_text('{"environment": {"processor": "another"}, "settings": {}, "runs": []}')
    complete(lambda run, n_images: None, "article")
    environment = json.loads(path.read_text(encoding="utf-8"))["environment"]
    assert environment["processor"] != "another"
    assert "tensorflow" in environment


def test_runs_of_other_comparisons_are_taken_over_once(complete, load, tmp_path):
    settings = load("variants").parse_variant("article").settings
    known = {"variant": "article", "data": "test", "n_images": None}
    known |= {"settings": load("variants").digest(settings), "accuracy": 0.7}
    seeds = []

    def note(run, n_images):
        seeds.append(run.seed)

    records = [known | {"seed": seed} for seed in (0, 7)]
    for _ in range(2):
        complete(note, "article", records=records)
        report = json.loads((tmp_path / "build" / "some.json").read_text(encoding="utf-8"))
        assert [(run["seed"], run["accuracy"]) for run in report["runs"]] == [(0, 0.7), (1, 0.9)]
    assert seeds == [1]
    taken = load("small_data").take_from_recipes({"runs": [{**known, "labels": "01"}]})
    assert taken == [{**known, "data": "Fashion-MNIST, 60,000"}]


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


def test_the_code_tells_checkpoints_apart(load, monkeypatch):
    run_store = load("run_store")
    path = run_store.checkpoint_path({"seed": 0})
    assert path == run_store.checkpoint_path({"seed": 0})
    assert path != run_store.checkpoint_path({"seed": 1})
    monkeypatch.setattr(run_store, "CODE", "other")
    assert path != run_store.checkpoint_path({"seed": 0})


def test_ablation_changes_what_the_recipe_has(load, monkeypatch, capsys):
    ablation, variants = load("ablation"), load("variants")
    changes = {
        "constant": {"learning_rate_schedule": "constant"},  # it is
        "no dropout": {"conv_dropout": 0.0},
        "no magic": {"magic": None},
        "random": {"augment": {"flip": "random"}},
    }
    monkeypatch.setattr(ablation, "CHANGES", changes)
    monkeypatch.setattr(ablation, "IDEAS", ["luck"])
    recipe, *changed = ablation.list_variants(variants.parse_variant("article"))
    assert changed == [
        recipe.changed("article, no dropout", {"conv_dropout": 0.0}),
        recipe.changed("article, random", {"augment": {"flip": "random"}}),
        recipe._replace(label="article, luck", idea="luck"),
    ]
    assert changed[2].settings == {**recipe.settings, "idea": "luck"}
    tiny = ablation.list_variants(variants.parse_variant("tiny"))
    assert tiny[2].overrides == {"augment": {"flip": "random", "erase": 0.5}}
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


@pytest.mark.parametrize(
    "name", ["mlp", *(pytest.param(each, marks=pytest.mark.slow) for each in ("keras", "skorch"))]
)
def test_other_libraries_train_and_tell_of_epochs(load, name):
    if name == "skorch":
        pytest.importorskip("skorch")
    random = np.random.default_rng(0)
    X = random.integers(0, 255, (200, 28, 28)).astype(np.uint8)
    data = load("data_sets").Data(X, np.arange(200) % 10, X[:20], np.arange(20) % 10)
    variant = load("variants").parse_variant(f"{name} epochs=2 points=True")
    run = load("fitting").Run(variant, "test", 1)
    figures, classes, probabilities = load("fitting").fit_other(run, data)
    assert probabilities.shape == (20, 10)
    assert list(classes) == list(range(10))
    (first, _), (second, accuracy) = figures["points"]
    assert 0 < first < second <= figures["seconds"]
    assert accuracy == np.mean(probabilities.argmax(axis=1) == data.y_test)
    assert figures["n_parameters"] == (784 * 128 + 128 + 1290 if name == "mlp" else 1_199_882)
    assert figures["n_iter_"] == variant.settings["epochs"] == 2


def test_the_passes_of_mlp_have_batches_of_their_own(load, monkeypatch):
    orders = []

    def shuffle(rows, **options):
        orders.append(sklearn.utils.shuffle(rows, **options))
        return orders[-1]

    monkeypatch.setattr("sklearn.neural_network._multilayer_perceptron.shuffle", shuffle)
    X, y = np.zeros((200, 28, 28), np.uint8), np.arange(200) % 10
    load("other_libraries").train("mlp", load("data_sets").Data(X, y, X, y), 0, epochs=3)
    assert len(orders) == len(set(map(tuple, orders))) == 3


def test_tests_do_not_count_as_training(load, monkeypatch):
    other_libraries, times = load("other_libraries"), iter([0.0, 10.0, 10.0, 13.0, 20.0, 20.0])
    monkeypatch.setattr(other_libraries.time, "perf_counter", lambda: next(times))
    clock = other_libraries.TrainingClock(np.array([0, 1]), notes=True)
    clock.end_epoch(lambda: np.array([[0.6, 0.4], [0.7, 0.3]]))
    assert clock.points == [(10.0, 0.5)]
    assert clock.seconds == 17.0
    clock = other_libraries.TrainingClock(np.array([0, 1]), notes=False)
    clock.end_epoch(lambda: pytest.fail("a test"))


@pytest.mark.parametrize("name", ["mistakes", "leaderboard"])
def test_what_only_shows_reads_committed_results(options, load, name, tmp_path):
    assert options(name).results == load("options").RESULTS
    assert options(name, "--results", str(tmp_path)).results == tmp_path


def test_settings_are_committed_before_the_test_set_is_used(load, options, monkeypatch):
    comparisons = load("comparisons")
    monkeypatch.setattr(comparisons, "commit", lambda path="src": "abc+")
    with pytest.raises(SystemExit, match="src has changes"):
        comparisons.frozen(options("recipes", "article"))
    assert not comparisons.frozen(options("recipes", "article", "--images", "300")).alone
    monkeypatch.setattr(comparisons, "commit", lambda path="src": "abc")
    conditions = comparisons.frozen(options("curve", "article", "--alone"))
    assert conditions == ("curve", None, True, True, False, (("settings_commit", "abc"),))


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
