# SPDX-License-Identifier: BSD-3-Clause
"""The same WSGI application for each library: the pixels of a picture go in, its class comes out.

The environment variables SERVED_LIBRARY and SERVED_FOLDER name the library and its files.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from servables import SERVABLES, OnnxRuntime

OnnxRuntime.n_threads = 1  # the others read environment variables
answer = SERVABLES[os.environ["SERVED_LIBRARY"]].load(Path(os.environ["SERVED_FOLDER"]))
answer(np.zeros((1, 28, 28), np.uint8))


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Answer a request."""
    body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    label = answer(np.frombuffer(body, np.uint8).reshape(1, 28, 28))[0]
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({"label": str(label)}).encode()]
