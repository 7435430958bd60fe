# SPDX-License-Identifier: BSD-3-Clause
"""A process that loads a model, answers one picture, and tells what memory it holds (Linux).

python fresh.py LIBRARY FOLDER
"""

import sys
from pathlib import Path

from servables import SERVABLES


def main() -> None:
    """Answer, and then only import what tells of it."""
    library, folder = sys.argv[1], Path(sys.argv[2])
    answer = SERVABLES[library].load(folder)
    if "numpy" in sys.modules:  # which all import that answer
        import numpy as np

        answer(np.load(folder / "picture.npy"))
    print("answered", flush=True)

    import json

    from machine import status_megabytes

    sizes = {"megabytes": status_megabytes(), "peak megabytes": status_megabytes("VmHWM")}
    print(json.dumps({**sizes, "TensorFlow": "tensorflow" in sys.modules}))


if __name__ == "__main__":
    main()
