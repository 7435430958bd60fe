# SPDX-License-Identifier: BSD-3-Clause
"""Matrix products in the calling thread.

OpenBLAS, which comes with NumPy, divides a large product among its threads, and these wait for one
another without letting others compute. With a second process on the same cores, as in a server of
several workers, a product that takes 0.1 ms then takes 10. So products are computed in blocks for
which OpenBLAS starts no threads: below the limits of its files interface/gemm.c and gemv.c. It
costs a sixth of the time of one thread, and the bits don't depend on the number of threads.
"""

from collections.abc import Iterator

import numpy as np

_MAX_PRODUCT = 2**18  # multiplications of two matrices: SMP_THRESHOLD_MIN * 4
_MAX_VECTOR_PRODUCT = 2**13  # of a vector and a matrix: less than 2304 * 4, of OpenBLAS 0.3.26
_MAX_TERMS, _MAX_COLUMNS = 128, 64  # of a block, which leaves it enough rows to be worth a call
_ROWS = 12  # computed side by side by OpenBLAS's kernels, which are for 4, 6 or 12


def multiply(rows: np.ndarray, kernel: np.ndarray, out: np.ndarray) -> None:
    """Multiply two matrices, float32 of shape (n, k) and (k, m), into one of shape (n, m)."""
    for columns in _parts(kernel.shape[1], _MAX_COLUMNS):
        for terms in _parts(kernel.shape[0], _MAX_TERMS):
            block = kernel[terms, columns]
            most = _MAX_PRODUCT if block.shape[1] > 1 else _MAX_VECTOR_PRODUCT
            size = max(_ROWS, most // block.size // _ROWS * _ROWS)
            whole = len(rows) - len(rows) % size
            for part, n_rows in ((slice(whole), size), (slice(whole, None), len(rows) - whole)):
                if len(rows[part]):
                    # NumPy hands a stack of matrices to BLAS one by one.
                    stack = rows[part, terms].reshape(-1, n_rows, block.shape[0])
                    results = out[part, columns].reshape(-1, n_rows, block.shape[1])
                    if terms.start:
                        results += stack @ block
                    else:
                        np.matmul(stack, block, out=results)


def multiply_vector(values: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Multiply a vector by a matrix, float32 of shape (k,) and (k, m), to one of shape (m,)."""
    product = np.empty(kernel.shape[1], np.float32)
    for columns in _parts(kernel.shape[1], 2 * _MAX_COLUMNS):
        block = kernel[:, columns]
        size = _MAX_VECTOR_PRODUCT // block.shape[1]
        whole = len(values) - len(values) % size
        stack = values[:whole].reshape(-1, 1, size) @ block[:whole].reshape(-1, size, len(block.T))
        product[columns] = stack.sum(axis=(0, 1)) + values[whole:] @ block[whole:]
    return product


def _parts(n: int, most: int) -> Iterator[slice]:
    """Divide a range into as few parts of at most so many as possible, of about equal size."""
    n_parts = -(-n // most)
    for i in range(n_parts):
        yield slice(n * i // n_parts, n * (i + 1) // n_parts)
