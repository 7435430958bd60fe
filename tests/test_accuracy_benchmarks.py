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


def test_runs_of_other_comparisons_are_taken_over_once(complete, load):
    settings = load("variants").parse_variant("article").settings
    known = {"variant": "article", "data": "test", "n_images": None}
    known |= {"settings": load("variants").digest(settings), "accuracy": 0.7}
    seeds = []

    def note(run, n_images):
        seeds.append(run.seed)

    records = [known | {"seed": seed} for seed in (0, 7)]
    for _ in range(2):
        report = complete(note, "article", records=records)
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


def test_small_data_side_by_side(load):
    one, two = "Fashion-MNIST, 500", "digits, 8 x 8"
    accuracies = {
        ("default", one): (0.5, 0.6),
        ("default", two): (0.5, 0.6),
        ("fast", one): (0.51, 0.63),
        ("fast", two): (0.41, 0.53),
        ("fast, no flips", two): (0.61, 0.73),
        ("tiny", two): (0.4,),
    }
    runs = [
        {"data": data, "variant": label, "seed": seed, "accuracy": accuracy, "log_loss": 0.5}
        for (label, data), values in accuracies.items()
        for seed, accuracy in enumerate(values)
    ]
    rows = load("small_data").table({"runs": runs}).splitlines()
    assert "| data | default | fast | tiny |" in rows
    assert f"| {one} | 55.00 | 57.00 (+2.00 ± 1.00) |  |" in rows
    assert f"| {two} | 55.00 | 47.00 (-8.00 ± 1.00) | 40.00 (-10.00) |" in rows
    assert f"| {two}, no flips |  | 67.00 (+12.00 ± 1.00) |  |" in rows
    assert f"| {one} | 0.500 | 0.500 |  |" in rows
    assert "| fast | digits, 8 x 8 | 2 | 2 | -3.00 |" in rows
    assert "| fast, no flips | never | 1 | 2 | +12.00 |" in rows
    assert "| tiny | never | 0 | 1 | -10.00 |" in rows


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


def test_the_curve_is_drawn_of_fits_and_of_epochs_of_other_libraries(load, tmp_path):
    pytest.importorskip("matplotlib")
    curve, parse = load("time_to_accuracy"), load("variants").parse_variant
    listed = curve.list_runs([parse("the rival: keras"), parse("article")], [2, 4], seeds=1)
    rival, *others = [run.variant.label for run in listed]
    assert listed[0].variant.overrides == {"points": True}
    assert [run.variant.settings["epochs"] for run in listed[1:]] == [2, 4, 12]
    assert listed[3].variant.overrides == {}
    runs = runs_of(rival, [30, 40], points=[[10.0, 0.8], [20.0, 0.9]], n_iter_=2)
    for label, epochs in zip(others[:2], (2, 4), strict=True):
        runs += runs_of(label, [epochs, epochs + 1], n_iter_=epochs)
    made = runs_of("article", [13, 99], n_iter_=12, labels="012")
    made[1]["alone"] = False
    taken = curve.take_from_recipes({"runs": made})
    assert [(run["variant"], run["seconds"]) for run in taken] == [(others[2], 13)]
    assert "labels" not in taken[0]
    report = {"runs": runs + taken}
    assert "| article | 12 | 1 | 13.0 | 90.00 % |" in curve.table(report)
    assert "| article | 4 | 2 | 4.5 | 90.00 % |" in curve.table(report)
    assert "| the rival | 1 | 2 | 10.0 | 80.00 % |" in curve.table(report)
    curve.draw(report, tmp_path / "curve.json")
    assert (tmp_path / "curve.svg").stat().st_size > 1000


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


def test_tests_do_not_count_as_training(load, monkeypatch):
    other_libraries, times = load("other_libraries"), iter([0.0, 10.0, 10.0, 13.0, 20.0, 20.0])
    monkeypatch.setattr(other_libraries.time, "perf_counter", lambda: next(times))
    clock = other_libraries.TrainingClock(np.array([0, 1]), notes=True)
    clock.end_epoch(lambda: np.array([[0.6, 0.4], [0.7, 0.3]]))
    assert clock.points == [(10.0, 0.5)]
    assert clock.seconds == 17.0
    clock = other_libraries.TrainingClock(np.array([0, 1]), notes=False)
    clock.end_epoch(lambda: pytest.fail("a test"))


def report_of_labels(load):
    """Make results of two recipes and of another library, on four images."""
    parse = load("variants").parse_variant
    settings = {name: parse(name).settings for name in ("article", "fast", "keras")}
    labels = {"article": ["0123", "2103"], "fast": ["6120", "6123"], "keras": ["9999", "9999"]}
    runs = [
        {"variant": name, "settings": name, "seed": seed, "labels": text, "n_parameters": 7}
        | {"accuracy": 0.9 + seed / 100 + (name == "fast") / 10, "seconds": 3.0, "alone": False}
        for name, texts in labels.items()
        for seed, text in enumerate(texts)
    ]
    return {"settings": settings, "runs": runs}


def test_what_all_networks_miss(load, monkeypatch):
    mistakes, codes = load("mistakes"), np.array([0, 1, 2, 2])
    monkeypatch.setattr(mistakes, "fashion", lambda subset: (None, codes))
    report = report_of_labels(load)
    text = mistakes.table(report)
    # missed: article by its seeds the last and 0, 2, 3; fast 0 and the last by both.
    assert "| article | 2 | 2 | 3 | 1 | 100% |" in text
    assert "| fast | 2 | 2 | 2 | 2 | 100% |" in text
    assert "| all | 4 | 2 | 3 | 1 | 100% |" in text
    assert "keras" not in text
    is_pullover = [line for line in text.splitlines() if line.startswith("| is a Pullover")]
    assert is_pullover[0] == "| is a Pullover | 0.5 | 0.5 | 1.0 | 0.0 | 0.0 | 0.0 |"
    rows, predicted = mistakes.missed_by_all(mistakes.predicted_labels(report), codes)
    assert (list(rows), list(predicted)) == ([3], [3])


def test_the_leaderboard_joins_accuracies_and_times(load):
    leaderboard, article = load("leaderboard"), load("timing").ARTICLE.label
    recipes = report_of_labels(load)
    times = {"runs": runs_of(article, [200, 300, 260]) + runs_of("fast", [10, 11, 99])}
    text = leaderboard.table({"recipes": recipes, "time": times})
    rows = text.splitlines()[2:]
    assert rows[0] == "| fast | 100.50 % ± 0.71 | 2 | 11.0 s | 23.6 | 7 | 7.98 |"
    assert rows[1] == "| article | 90.50 % ± 0.71 | 2 | not timed alone |  | 7 | 24.0 |"
    assert rows[2].startswith("| keras ")
    for run in recipes["runs"][:2]:  # the article's
        run.update(alone=True, seconds=200.0)
    text = leaderboard.table({"recipes": recipes, "time": times})
    assert "| article | 90.50 % ± 0.71 | 2 | 200 s | 1.30 | 7 | 24.0 |" in text


def test_labels_in_doubt_are_found_by_networks_that_did_not_see_them(load, monkeypatch, tmp_path):
    pytest.importorskip("matplotlib")
    doubtful, random = load("doubtful_labels"), np.random.default_rng(0)
    y = np.arange(60) % 3
    X = (random.integers(0, 60, (60, 6, 6)) + 90 * (y == 1)[:, None, None]).astype(np.uint8)
    X[:, :3] += (100 * (y == 2))[:, None, None].astype(np.uint8)
    y[7] = (y[7] + 1) % 3  # this one is wrong
    monkeypatch.setattr(doubtful, "fashion", lambda subset: (X, y))
    text = "default conv_stacks=(4,) dense_units=(8,) epochs=20 learning_rate=0.01 batch_size=8"
    report = doubtful.find(load("variants").parse_variant(text))
    first = report["doubts"][0]
    assert (first["row"], first["label"], first["predicted"]) == (7, y[7], (y[7] - 1) % 3)
    assert first["probability of the label"] < 0.5 < first["of the predicted class"]
    assert report["n_sure"] >= 1
    assert f"{report['n_sure']} are missed" in doubtful.table(report)
    few = doubtful.find(load("variants").parse_variant(text), 30)
    assert max(doubt["row"] for doubt in few["doubts"]) == 29
    doubtful.draw(report, tmp_path / "labels.json")
    assert (tmp_path / "labels.png").stat().st_size > 1000


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
    conditions = comparisons.frozen(options("time", "article", "--alone"))
    assert conditions == ("time", None, True, True, True, False, (("settings_commit", "abc"),))


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
