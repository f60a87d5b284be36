"""Libraries compute with the threads that a step was given."""

import os
import subprocess
import sys

import numpy as np
import onnxruntime
import pytest
from secateur.export.runners import onnx_runner
from secateur.keras_to_onnx.writer import to_onnx
from secateur.quantization.calibration import measured_ranges
from secateur.quantization.exact import exact_options
from secateur.quantization.integers import integer_check
from secateur.quantization.qdq import quantised
from secateur.quantization.sensitivity import choose_float_layers
from secateur.runtime.threads import VARIABLES, limited, use_threads
from secateur.spec import Spec

from tests.unit.quantization.networks import images, network

THREADS = 3
# Threads that OpenCV and TensorFlow would use, as they say themselves. TensorFlow names its pool's threads.
ASKED = """
import os, sys
from secateur.runtime.threads import use_threads
use_threads(int(sys.argv[1]), os.environ)
import cv2
import tensorflow as tf
one = tf.ones((512, 512))
tf.matmul(one, one)
names = [open(f"/proc/self/task/{task}/comm").read() for task in os.listdir("/proc/self/task")]
print(cv2.getNumThreads(), sum(name.startswith("tf_Compute") for name in names))
"""


def test_every_variable_is_set():
    environment: dict[str, str] = {}
    use_threads(THREADS, environment)
    assert environment == dict.fromkeys(VARIABLES, "3")


def test_what_the_user_has_set_stays():
    environment = {"OMP_NUM_THREADS": "7"}
    use_threads(THREADS, environment)
    assert environment["OMP_NUM_THREADS"] == "7"
    assert environment["TF_NUM_INTRAOP_THREADS"] == "3"


def test_the_libraries_obey():
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    command = [sys.executable, "-c", ASKED, "3"]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["3", "3"]


@pytest.fixture
def opened(monkeypatch):
    """The threads of each session of ONNX Runtime that is opened."""
    found, session = [], onnxruntime.InferenceSession

    def open_session(content, options=None, **more):
        found.append(options.intra_op_num_threads)
        return session(content, options, **more)

    monkeypatch.setattr(onnxruntime, "InferenceSession", open_session)
    return found


def test_sessions_of_onnx_runtime_have_them(opened):
    proto, pixels = to_onnx(network()), images(8)
    fed = [pixels.transpose(0, 3, 1, 2)]
    ranges = measured_ranges(proto, fed, "minmax", THREADS)
    choose_float_layers(proto, ranges, fed, np.zeros(8, np.int64), 1.0, THREADS)
    integer_check(quantised(proto, ranges, "onnxruntime").SerializeToString(), THREADS)
    onnx_runner(proto.SerializeToString(), Spec(), THREADS)
    assert len(opened) >= 5
    assert set(opened) == {THREADS}


def test_without_a_number_onnx_runtime_decides():
    assert exact_options().intra_op_num_threads == 0
    assert limited(onnxruntime.SessionOptions(), None).intra_op_num_threads == 0
