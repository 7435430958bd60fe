# SPDX-License-Identifier: BSD-3-Clause
"""Matrix products in blocks: what NumPy computes at once, in the calling thread alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from fashioncnn._network.products import multiply, multiply_vector

SIZES = [1, 2, 11, 12, 13, 64, 65, 128, 129, 300]


def assert_near(product, expected, n_terms):
    assert product.dtype == np.float32
    np.testing.assert_allclose(product, expected, rtol=0, atol=1e-6 * n_terms**0.5 * 5)


@pytest.mark.parametrize("n_terms", [*SIZES, 1000])
@pytest.mark.parametrize("n_columns", SIZES)
def test_products_are_those_of_numpy(n_terms, n_columns):
    random = np.random.default_rng(0)
    kernel = random.normal(size=(n_terms, n_columns)).astype(np.float32)
    for n_rows in (1, 5, 36, 700):
        rows = random.normal(size=(n_rows, n_terms)).astype(np.float32)
        out = np.full((n_rows, n_columns), np.nan, np.float32)
        multiply(rows, kernel, out)
        exact = rows.astype(np.float64) @ kernel
        assert_near(out, exact, n_terms)
        assert_near(multiply_vector(rows[0], kernel), exact[0], n_terms)


@pytest.mark.parametrize(
    ("n_terms", "n_columns"), [(63, 10), (64, 10), (8192, 1), (9217, 10), (3, 9000), (9217, 200)]
)
def test_vectors_of_any_length(n_terms, n_columns):
    random = np.random.default_rng(0)
    values = random.normal(size=n_terms).astype(np.float32)
    kernel = random.random((n_terms, n_columns), np.float32)
    product = multiply_vector(values, kernel)
    assert_near(product, values.astype(np.float64) @ kernel, n_terms)


def test_bits_do_not_depend_on_the_number_of_threads():
    random = np.random.default_rng(0)
    rows, kernel = random.random((700, 300), np.float32), random.random((300, 200), np.float32)
    values, matrix = random.random(9216, np.float32), random.random((9216, 128), np.float32)
    results = []
    for n_threads in (1, 2, 3):
        with threadpool_limits(n_threads, user_api="blas"):
            out = np.empty((700, 200), np.float32)
            multiply(rows, kernel, out)
            results.append((out.tobytes(), multiply_vector(values, matrix).tobytes()))
    assert len(set(results)) == 1


WORK = """
import json, threading, time
from pathlib import Path
import numpy as np
from fashioncnn._network.convolution import prepared_kernel
from fashioncnn._network.products import multiply, multiply_vector

def ticks():  # of the processor, by threads other than this one
    tasks = Path("/proc/self/task").iterdir()
    others = [task for task in tasks if int(task.name) != threading.get_native_id()]
    fields = [(task / "stat").read_text().rpartition(")")[2].split() for task in others]
    return len(others), sum(int(each[11]) + int(each[12]) for each in fields)

def work(function, n_calls=300):
    time.sleep(0.3)  # threads that have nothing to do still look for work for a while
    _, before = ticks()
    for _ in range(n_calls):
        function()
    return ticks()[1] - before

rows, kernel = np.ones((576, 288), np.float32), np.ones((288, 64), np.float32)
values, matrix = np.ones(9216, np.float32), np.ones((9216, 128), np.float32)
deep = np.ones((3, 3, 256, 256), np.float32)
column, out = np.ones((288, 1), np.float32), np.empty((576, 64), np.float32)
ours = [
    work(lambda: multiply(rows, kernel, out)),
    work(lambda: multiply(rows, column, out[:, :1])),
    work(lambda: multiply_vector(values, matrix)),
    work(lambda: prepared_kernel(deep), 20),
]
print(json.dumps([ticks()[0], ours, work(lambda: rows @ kernel, 1000)]))
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are read from /proc")
@pytest.mark.skipif(
    {blas["internal_api"] for blas in threadpool_info() if blas["user_api"] == "blas"}
    != {"openblas"},
    reason="the limits are those of OpenBLAS",
)
def test_no_other_thread_computes():
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "2"}
    child = subprocess.run(
        [sys.executable, "-c", WORK], env=environment, capture_output=True, text=True, check=True
    )
    n_others, ours, of_numpy = json.loads(child.stdout)
    assert n_others >= 1
    assert ours == [0, 0, 0, 0]
    assert of_numpy > 0  # so the ticks would tell
