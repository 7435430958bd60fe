# SPDX-License-Identifier: BSD-3-Clause
"""Faults of a process and of what it stands in, each injected for real in a process of its own."""

import json
import os
import signal
import subprocess
import sys

import pytest

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(os.name != "posix", reason="POSIX only"),
]

BEGINNING = """
import json, os, signal, sys, threading, time
from functools import partial
import numpy as np
from fashioncnn import FashionCNNClassifier, load_fashion_mnist_sample

X, y = load_fashion_mnist_sample("train")
X, y = X[:300], y[:300]
make = partial(FashionCNNClassifier, (4,), (), epochs=3, random_state=0)
"""


@pytest.fixture
def run(tmp_path, user_environment):
    """Give a function that runs a script in a folder, and returns what it writes as JSON."""

    def run(script, *arguments, **variables):
        (tmp_path / "script.py").write_text(BEGINNING + script)
        folder = tmp_path / "folder"
        folder.mkdir()
        ended = subprocess.run(
            [sys.executable, tmp_path / "script.py", *arguments],
            cwd=folder,
            env=user_environment | variables,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert ended.returncode == 0, ended.stderr
        assert os.listdir(folder) == []  # no fault leaves a file of ours
        return json.loads(ended.stdout)

    return run


KILLED_WORKER = """
import joblib
from joblib.externals.loky.process_executor import TerminatedWorkerError
from keras.callbacks import Callback
from sklearn.model_selection import GridSearchCV

class Dies(Callback):
    def on_epoch_end(self, epoch, logs=None):
        if epoch == 1:
            os.kill(os.getpid(), signal.SIGKILL)

def scores(n_jobs, **grid):
    grid = {"learning_rate": [0.01, 0.001], **grid}
    search = GridSearchCV(make(), grid, cv=2, n_jobs=n_jobs, scoring="neg_log_loss")
    return search.fit(X, y).cv_results_["mean_test_score"].tolist()

if __name__ == "__main__":
    before = scores(2)
    try:
        scores(2, callbacks=[None, Dies()])
    except TerminatedWorkerError as error:
        text = str(error)
    print(json.dumps([text, before, scores(2), scores(1)]))
"""


def test_after_a_killed_worker_another_search_works(run, tmp_path):
    """joblib loses the results of the others; nothing of ours is in the way of another search."""
    (tmp_path / "temporary").mkdir()
    text, before, after, alone = run(KILLED_WORKER, TMPDIR=str(tmp_path / "temporary"))
    assert "SIGKILL" in text
    assert after == before == pytest.approx(alone, rel=1e-3)
    assert os.listdir(tmp_path / "temporary") == []


ONE_THREAD = """
from sklearn.model_selection import GridSearchCV

if __name__ == "__main__":
    grid = {"learning_rate": [0.01, 0.001], "batch_size": [32, 77]}
    found = []
    for n_jobs in (1, 2):
        search = GridSearchCV(make(), grid, cv=2, n_jobs=n_jobs, scoring="neg_log_loss").fit(X, y)
        losses = [search.cv_results_[f"split{fold}_test_score"].tolist() for fold in (0, 1)]
        found.append([losses, search.best_index_, search.predict_proba(X).tolist()])
    print(json.dumps(found))
"""


def test_one_job_and_two_agree_to_the_bit_with_one_thread_each(run):
    one, two = run(ONE_THREAD, TF_NUM_INTRAOP_THREADS="1")
    assert one == two


THREADS = """
from joblib import Parallel, delayed, parallel_config
from joblib.externals.loky import get_reusable_executor

def n_started(_):
    before = len(os.listdir("/proc/self/task"))
    make().fit(X, y).predict(X)
    return len(os.listdir("/proc/self/task")) - before

if __name__ == "__main__":
    found = []
    for n_threads in (1, 2, 5):
        with parallel_config("loky", n_jobs=2, inner_max_num_threads=n_threads):
            found.append(Parallel()(map(delayed(n_started), range(2))))
    get_reusable_executor().shutdown()
    print(json.dumps(found))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_worker_starts_as_many_threads_as_it_is_granted(run):
    one, two, five = map(max, run(THREADS))
    assert 1 <= two - one <= 2  # a pool within operations, and one between them
    assert five - two == 2 * 3


MAPS = """
from joblib import Parallel, delayed, parallel_config
from joblib.externals.loky import get_reusable_executor

def fitted_on(X, y):
    names = [array.filename if isinstance(array, np.memmap) else None for array in (X, y)]
    clf = make().fit(X, y)
    return names, X.flags.writeable, clf.predict_proba(X).tolist(), clf.score(X, y)

if __name__ == "__main__":
    for dtype in (np.uint8, np.float32, np.float64):
        data, found = X.astype(dtype), []
        for most in (None, 1):
            with parallel_config("loky", n_jobs=2, max_nbytes=most):
                found += Parallel()([delayed(fitted_on)(data, y)])
        (_, _, *copied), (names, is_writeable, *mapped) = found
        assert all(name.startswith(os.environ["JOBLIB_TEMP_FOLDER"]) for name in names), names
        assert not is_writeable
        assert copied == mapped
    get_reusable_executor().shutdown()
    print("null")
"""


def test_workers_train_on_maps_in_a_folder_of_the_user(run, tmp_path):
    (tmp_path / "maps").mkdir()
    run(MAPS, JOBLIB_TEMP_FOLDER=str(tmp_path / "maps"))
    assert os.listdir(tmp_path / "maps") == []
