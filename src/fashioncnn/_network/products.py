# SPDX-License-Identifier: BSD-3-Clause
"""Matrix products in the calling thread.

OpenBLAS, which comes with NumPy, divides a large product among its threads, and these wait for one
another without letting others compute. With a second process on the same cores, as in a server of
several workers, products took 7 to 50 times as long. So products are computed in blocks for
which OpenBLAS starts no threads: below the limits of its files interface/gemm.c and gemv.c. It
costs a sixth of the time of one thread, and the bits don't depend on the number of threads.
"""

import math
from collections.abc import Iterator

import numpy as np

_MAX_PRODUCT = 2**18  # multiplications of two matrices: SMP_THRESHOLD_MIN * 4
_MAX_VECTOR_PRODUCT = 2**13  # of a vector and a matrix: less than 2304 * 4, of OpenBLAS 0.3.26
_MAX_TERMS, _MAX_COLUMNS = 128, 64  # of a block, which leaves it enough rows to be worth a call
_ROWS = 12  # computed side by side by OpenBLAS's kernels, which are for 4, 6 or 12


def multiply(rows: np.ndarray, kernels: np.ndarray, out: np.ndarray) -> None:
    """Multiply matrices, float32 of shape (..., n, k) and (..., k, m), into some of (..., n, m)."""
    n_rows, n_terms = rows.shape[-2:]
    n_columns = kernels.shape[-1]
    if min(n_rows, n_columns) > 1 and n_rows * n_terms * n_columns <= _MAX_PRODUCT:
        np.matmul(rows, kernels, out=out)
        return
    for columns in _parts(n_columns, _MAX_COLUMNS):
        for terms in _parts(n_terms, _MAX_TERMS):
            block = kernels[..., np.newaxis, terms, columns]
            is_first = terms.start == 0
            _multiply_by_block(rows[..., terms], block, out[..., columns], is_first)


def _multiply_by_block(
    rows: np.ndarray, block: np.ndarray, out: np.ndarray, is_first: bool
) -> None:
    """Write the products of rows and a block, or add them to what is there."""
    most = _MAX_PRODUCT if block.shape[-1] > 1 else _MAX_VECTOR_PRODUCT
    size = max(_ROWS, most // math.prod(block.shape[-2:]) // _ROWS * _ROWS)
    n_rows = rows.shape[-2]
    whole = n_rows - n_rows % size
    for part in (slice(0, whole), slice(whole, n_rows)):
        if part.start == part.stop:
            continue
        # NumPy hands a stack of matrices to BLAS one by one.
        stack, results = _stacked(rows[..., part, :], size), _stacked(out[..., part, :], size)
        if is_first:
            np.matmul(stack, block, out=results)
        else:
            results += stack @ block


def _stacked(matrices: np.ndarray, most: int) -> np.ndarray:
    """View matrices of shape (..., n, k) as some of (..., n / size, size, k)."""
    *others, n_rows, n_columns = matrices.shape
    return matrices.reshape(*others, -1, min(n_rows, most), n_columns)


def multiply_vector(values: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Multiply a vector by a matrix, float32 of shape (k,) and (k, m), to one of shape (m,)."""
    if kernel.size <= _MAX_VECTOR_PRODUCT:
        return values @ kernel
    product = np.empty(kernel.shape[1], np.float32)
    for columns in _parts(kernel.shape[1], 2 * _MAX_COLUMNS):
        block = kernel[:, columns]
        size = _MAX_VECTOR_PRODUCT // block.shape[1]
        whole = len(values) - len(values) % size
        stack = values[:whole].reshape(-1, 1, size) @ block[:whole].reshape(-1, size, len(block.T))
        stack.sum(axis=(0, 1), out=product[columns])
        if whole < len(values):
            product[columns] += values[whole:] @ block[whole:]
    return product


def _parts(n: int, most: int) -> Iterator[slice]:
    """Divide a range into as few parts of at most so many as possible, of about equal size."""
    n_parts = -(-n // most)
    for i in range(n_parts):
        yield slice(n * i // n_parts, n * (i + 1) // n_parts)
