# SPDX-License-Identifier: BSD-3-Clause
"""Faults of a process and of what it stands in, each injected for real in a process of its own.

Where the tests of each fault are; "here" is this file:

- Ctrl-C: test_interruption.py, at any step and moment; in a save test_atomic_file.py.
- SIGTERM and SIGHUP: here in a fit; in a save test_atomic_file_in_processes.py and
  test_saving_faults.py.
- SIGKILL: in a fit test_killed_fits.py; in a save as SIGTERM; of a worker of joblib here.
- An error in a refit: test_interruption.py, at any step; test_properties.py.
- A loss or weights that are not finite: test_training.py, test_callbacks.py, test_search.py; in
  predictions test_prediction_engines.py.
- A full disk, a limited size of files, a folder for reading only, too many open files:
  test_saving_faults.py, test_atomic_file_in_processes.py; of a checkpoint test_checkpoint.py.
- A file that changes while it is read: test_model_file_paths.py; of two writers
  test_saving_faults.py.
- A fork after TensorFlow ran: test_forks.py; of a server test_serving.py.
- Threads of workers, and sums that depend on them: here; test_search.py.
- Memory over many fits and predictions, and too little of it: test_memory.py; test_interruption.py.
- Another trace: test_program.py.
- Fits and predictions in threads: test_program.py; while TensorFlow is imported here.
- Global state and seeds: test_isolation.py.
- A GPU that several workers share: test_search.py, without one.
- Maps of joblib in a folder of the user: here.
- A stdout that takes no text: test_training.py; a process without standard streams here.
- The end of the interpreter, also while a daemon thread is within TensorFlow: here.
"""

import json
import os
import pickle
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import fashioncnn

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(os.name != "posix", reason="POSIX only"),
]

BEGINNING = """
import json, os, signal, sys, threading, time
from contextlib import nullcontext
from functools import partial
import numpy as np
from fashioncnn import FashionCNNClassifier, load_fashion_mnist_sample

X, y = load_fashion_mnist_sample("train")
X, y = X[:300], y[:300]
make = partial(FashionCNNClassifier, (4,), (), epochs=3, random_state=0)

class CallAt:  # a stdout that calls a function when an epoch begins
    def __init__(self, epoch, function):
        self.start, self.function = f"Epoch {epoch}/", function

    def write(self, text):
        if text.startswith(self.start):
            self.function()

    def flush(self):
        pass
"""


@pytest.fixture
def run(tmp_path, user_environment):
    """Give a function that runs a script in a folder and returns what it prints as JSON."""

    def run(script, *arguments, command=(sys.executable,), returncode=0, **variables):
        (tmp_path / "script.py").write_text(BEGINNING + script)
        folder = tmp_path / "folder"
        folder.mkdir()
        ended = subprocess.run(
            [*command, tmp_path / "script.py", *arguments],
            cwd=folder,
            env=user_environment | variables,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert ended.returncode == returncode, ended.stderr
        assert not re.search("Traceback|Fatal|ignored|terminate called", ended.stderr), ended.stderr
        assert os.listdir(folder) == []  # no fault leaves a file of ours
        return json.loads(ended.stdout or "null")

    return run


def test_nothing_of_ours_is_called_when_it_is_deleted():
    """So that the end of the interpreter, when modules are gone, calls nothing of ours."""
    sources = Path(fashioncnn.__file__).parent.rglob("*.py")
    assert not [path.name for path in sources if "__del__" in path.read_text(encoding="utf-8")]


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
        found.append([losses, search.best_params_, search.predict_proba(X).tolist()])
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
    for n_threads in (2, 5):
        with parallel_config("loky", n_jobs=2, inner_max_num_threads=n_threads):
            found.append(Parallel()(map(delayed(n_started), range(2))))
    get_reusable_executor().shutdown()
    print(json.dumps(found))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_worker_starts_as_many_threads_as_it_is_granted(run):
    two, five = map(max, run(THREADS))
    assert five - two == 2 * 3  # a pool within operations, and one between them


MAPS = """
from joblib import Parallel, delayed, parallel_config
from joblib.externals.loky import get_reusable_executor

def fitted_on(X, y):
    names = [array.filename if isinstance(array, np.memmap) else None for array in (X, y)]
    clf = make().fit(X, y)
    return names, X.flags.writeable, clf.predict_proba(X).tolist(), clf.score(X, y)

if __name__ == "__main__":
    found = []
    for most in (None, 1):
        with parallel_config("loky", n_jobs=2, max_nbytes=most):
            found += Parallel()([delayed(fitted_on)(X, y)])
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


SIGNALS = """
def end(number, frame):
    sys.exit(number)

def fit_until(handler, number=signal.SIGTERM):  # hear a signal in the third epoch
    before = signal.signal(number, handler)
    sys.stdout = CallAt(3, lambda: os.kill(os.getpid(), number))
    clf = make(verbose=2)
    try:
        clf.fit(X, y)
    except (KeyboardInterrupt, SystemExit) as error:
        return type(error).__name__, vars(clf).get("n_iter_"), clf
    finally:
        sys.stdout = sys.__stdout__

def end_the_import():
    while "tensorflow" not in sys.modules:
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGTERM)

signal.signal(signal.SIGTERM, end)
threading.Thread(target=end_the_import).start()
try:
    make().fit(X, y)
except SystemExit:
    assert "fashioncnn._tensorflow.backend" in sys.modules  # to its end

found = []
expected = make(epochs=2).fit(X, y).predict_proba(X)
for number in (signal.SIGTERM, signal.SIGHUP):
    *answer, clf = fit_until(signal.default_int_handler, number)
    assert (clf.predict_proba(X) == expected).all()
    found.append(answer)
*answer, clf = fit_until(end)
clf.set_params(epochs=2, verbose=0).fit(X, y)
assert (clf.predict_proba(X) == expected).all()
print(json.dumps([*found, answer]), flush=True)
fit_until(signal.SIG_DFL)
"""


def test_other_signals_than_the_keyboards_keep_what_their_handlers_let(run):
    found = run(SIGNALS, returncode=-signal.SIGTERM)
    assert found == [["KeyboardInterrupt", 2]] * 2 + [["SystemExit", None]]


EXITS = """
reached, ended = threading.Event(), []

def fit():
    sys.stdout = CallAt(3, reached.set)
    ended.append(make(epochs=3 if sys.argv[1] == "another thread" else 10**6, verbose=2).fit(X, y))

def wait_for(module):
    while module not in sys.modules:
        time.sleep(0.001)

if sys.argv[1] == "another thread":
    threading.Thread(target=sys.exit).start()
    fit()
    assert len(ended) == 1
elif sys.argv[1] == "the import":
    threading.Thread(target=fit, daemon=True).start()
    wait_for("tensorflow")
elif sys.argv[1] == "an import in two threads":
    threading.Thread(target=fit, daemon=True).start()
    wait_for("tensorflow")
    threading.Thread(target=fit, daemon=True).start()
    time.sleep(0.1)
elif sys.argv[1] == "compiling":
    threading.Thread(target=fit, daemon=True).start()
    wait_for("fashioncnn._training.loop")
else:
    threading.Thread(target=fit, daemon=True).start()
    reached.wait()
sys.exit(3)
"""
STRICT = (sys.executable, "-X", "faulthandler", "-W", "error", "-W", "ignore::DeprecationWarning")


@pytest.mark.parametrize(
    "moment",
    ["another thread", "the import", "an import in two threads", "compiling", "an epoch"],
)
def test_an_exit_while_a_thread_fits_is_quiet(run, moment):
    run(EXITS, moment, command=STRICT, returncode=3)


WAITED_FOR = """
import atexit
import keras
from fashioncnn._tensorflow import interpreter_exit

reached, lock, said = threading.Event(), threading.Lock(), []

class Callback(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs):
        reached.set()
        if epoch:
            said.append("another epoch")
        if sys.argv[1] == "for ever":
            threading.Event().wait()
        time.sleep(1)  # about as long as something is compiled
        said.append("waited for")

def fit():
    try:
        with lock:
            make(callbacks=[Callback()], epochs=10**6).fit(X, y)
    except SystemExit:
        said.append("stopped")
    fitted.predict_proba(X)
    said.append("went on")

def say():
    with lock:  # which the thread has held
        fitted.predict_proba(X)
    time.sleep(0.2)  # more than a prediction takes
    print(json.dumps(said))

fitted = make().fit(X, y)
fitted.predict_proba(X)  # from Python 3.12 on nothing is compiled during the exit
if sys.argv[1] == "for ever":
    interpreter_exit._SECONDS_TO_WAIT, lock = 0.1, nullcontext()
# What was registered last is called first: `say` is to be called after this.
atexit.unregister(interpreter_exit._wait_for_other_threads)
atexit.register(say)
atexit.register(interpreter_exit._wait_for_other_threads)
threading.Thread(target=fit, daemon=True).start()
reached.wait()
sys.exit(3)
"""


@pytest.mark.parametrize(
    ("callback_waits", "expected"), [("one second", ["waited for", "stopped"]), ("for ever", [])]
)
def test_an_exit_waits_for_a_thread_within_tensorflow(run, callback_waits, expected):
    assert run(WAITED_FOR, callback_waits, command=STRICT, returncode=3) == expected


RACE = """
import pickle
from concurrent.futures import ThreadPoolExecutor

def at_once(function, *values):
    barrier = threading.Barrier(len(values))

    def call(value):
        barrier.wait()
        return function(value)

    with ThreadPoolExecutor(len(values)) as pool:
        return list(pool.map(call, values))

def fitted(seed):
    return make(random_state=seed).fit(X, y).predict_proba(X)

if sys.argv[1] == "predict":
    path = sys.argv[2]
    clf = pickle.load(open(path, "rb"))
    assert "tensorflow" not in sys.modules
    sizes = [*range(1, 9), *range(293, 301)]
    function = lambda n: clf.predict_proba(X[:n])
else:
    sizes, function = [0, 1], fitted
raced = at_once(function, *sizes)
for size, values in zip(sizes, raced, strict=True):
    assert (values == function(size)).all(), size
"""


def test_sixteen_threads_start_tensorflow_with_their_first_predictions(run, trained, tmp_path):
    path = tmp_path / "trained"
    path.write_bytes(pickle.dumps(trained))
    run(RACE, "predict", str(path))


def test_two_threads_start_tensorflow_with_their_fits(run):
    run(RACE, "fit")


CLOSED = """
from sklearn.base import clone

path = sys.argv[1]
assert not any([sys.stdin, sys.stdout, sys.stderr])
clf = make().fit(X, y)
expected = clf.predict_proba(X)
for verbose in (1, 2):
    assert (clone(clf).set_params(verbose=verbose).fit(X, y).predict_proba(X) == expected).all()
others, done = [os.open(os.devnull, os.O_RDONLY) for _ in range(2)], threading.Event()
assert others == [0, 1]  # so that the next file would be number 2

def log():  # to stderr, as libraries do, whoever has its number now
    while not done.is_set():
        try:
            os.write(2, b"a line of a log")
        except OSError:
            pass

logger = threading.Thread(target=log)
logger.start()
try:
    for _ in range(100):
        clf.save(path)
        assert (FashionCNNClassifier.load(path).predict_proba(X) == expected).all()
finally:
    done.set()
    logger.join()
"""


def test_without_standard_streams_all_works_and_no_log_goes_into_a_file(run, tmp_path):
    without = ("sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", sys.executable)
    run(CLOSED, str(tmp_path / "model"), command=without)
