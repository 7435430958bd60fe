# SPDX-License-Identifier: BSD-3-Clause
"""Where the time of a training step goes, in this library and in plain Keras.

    python benchmarks/peers/step_profile.py

trains the article's network in batches of 128 images under TensorFlow's profiler, which notes how
long each operation takes. They run one after the other, each on all threads, so that no time counts
twice; outside this script two may run at once. Beside them the second convolution's three
operations run alone. Rounds go from one to the next, on a machine that should do nothing else.
Writes medians of all rounds to ``benchmarks/results/step_profile.md``.
"""

import argparse
import os
import re
import statistics
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow's notes on CPU and GPU
os.environ["TF_NUM_INTEROP_THREADS"] = "1"

from _libraries import BATCH_SIZE, LIBRARIES
from _measure import Session, second_convolution
from _report import markdown

RESULTS = Path(__file__).parent.parent / "results" / "step_profile.md"
HEAD = "<!-- Written by python benchmarks/peers/step_profile.py. -->"
N_STEPS = 20
NAMES = ("fashioncnn", "fashioncnn-auto", "keras")
FIRST, SECOND, REST, WHOLE = (
    "first convolution",
    "second convolution, ",
    "what goes value by value, and the rest",
    "whole step",
)
CONVOLUTIONS = {  # of which the network has two
    "forward": r"Conv2D$",
    "gradient of the filter": r"Conv2DBackpropFilter(WithBias)?$",
    "gradient of the input": r"Conv2DBackpropInput$",
}
OTHERS = {
    "matrix products": r"MatMul$",
    "pooling, forward and backward": r"MaxPool(Grad)?$",
    "random numbers of dropout": r"StatelessRandomUniform\w*$",
    "Adam": r"/adam|Adam$",
}
PARTS = (*(SECOND + text for text in CONVOLUTIONS), FIRST, *OTHERS, REST, WHOLE)

Times = Mapping[str, float]


def operation_times(call: Callable[[], object]) -> Times:
    """Return the milliseconds of each operation, ``name:kind``, during a call."""
    import tensorflow as tf
    from tensorflow.tsl.profiler.protobuf.xplane_pb2 import XSpace

    with tempfile.TemporaryDirectory() as folder:
        options = tf.profiler.experimental.ProfilerOptions(host_tracer_level=2)
        with tf.profiler.experimental.Profile(folder, options):
            call()
        (path,) = Path(folder).rglob("*.xplane.pb")
        space = XSpace.FromString(path.read_bytes())
    times: Counter[str] = Counter()
    for plane in space.planes:
        for line in plane.lines:
            for event in line.events:
                name = plane.event_metadata[event.metadata_id].name
                if re.fullmatch(r"[\w/.-]+:_?[A-Z]\w*", name):
                    times[name] += event.duration_ps / 1e9
    return times


def parts_of_step(times: Times) -> Times:
    """Sum operations by what they are for. Of two convolutions, the second takes longer."""
    parts = dict.fromkeys(PARTS, 0.0) | {WHOLE: sum(times.values())}
    for text, pattern in CONVOLUTIONS.items():
        matches = (time for name, time in times.items() if re.search(pattern, name))
        parts[SECOND + text], *others = sorted(matches, reverse=True)
        parts[FIRST] += sum(others)
    for name, time in times.items():
        if not re.search("|".join(CONVOLUTIONS.values()), name):
            matching = (text for text, pattern in OTHERS.items() if re.search(pattern, name))
            parts[next(matching, REST)] += time
    return {name: time / N_STEPS for name, time in parts.items()}


def convolution_alone(precision: str) -> Callable[[], object]:
    """Make a call of the second convolution's three operations, N_STEPS times."""
    import tensorflow as tf

    tensors = second_convolution(precision)

    @tf.function
    def operations(images: Any, kernel: Any, gradient: Any) -> list[Any]:
        return [
            tf.nn.conv2d(images, kernel, 1, "VALID"),
            tf.raw_ops.Conv2DBackpropFilter(
                input=images,
                filter_sizes=kernel.shape,
                out_backprop=gradient,
                strides=[1] * 4,
                padding="VALID",
            ),
            tf.raw_ops.Conv2DBackpropInput(
                input_sizes=images.shape,
                filter=kernel,
                out_backprop=gradient,
                strides=[1] * 4,
                padding="VALID",
            ),
        ]

    return lambda: [operations(*tensors) for _ in range(N_STEPS)]


def main() -> None:
    """Measure all rounds, then write and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--output", type=Path, default=RESULTS)
    args = parser.parse_args()

    calls, precisions = {}, []
    for name in NAMES:
        session = Session(name)
        precisions.append(getattr(session.model(), "precision_", "float32"))
        calls[LIBRARIES[name].label] = session.library.ready_to_fit(
            *session.images(N_STEPS * BATCH_SIZE)
        )
    for precision in dict.fromkeys(precisions):
        calls[f"{precision}, alone"] = convolution_alone(precision)
    for call in calls.values():
        call()

    rounds: dict[str, list[Times]] = defaultdict(list)
    for _ in range(args.rounds):
        for label, call in calls.items():
            rounds[label].append(parts_of_step(operation_times(call)))

    medians = {
        label: {part: statistics.median(times[part] for times in some) for part in PARTS}
        for label, some in rounds.items()
    }
    rows = [
        [part, *(f"{times[part]:.1f}" if times[part] else "" for times in medians.values())]
        for part in PARTS
    ]
    table = markdown([f"ms in a step of {BATCH_SIZE} images", *medians], rows)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(f"{HEAD}\n\n{table}\n", encoding="utf-8")
    print(table)


if __name__ == "__main__":
    main()
