"""A stand-in for TensorRT where there is no GPU: names, arguments and answers of its Python bindings 10.9 and 11.4.

An engine is an ONNX file with its profile, and ONNX Runtime runs it on the memory that `cuda` stands in for. Arguments
of another type than the bindings take are a TypeError here as there.
"""

import ctypes
import enum
import json

import numpy as np
import onnx
import onnxruntime
from secateur.quantization.exact import exact_options

# What a test sets: which vintage it is, and what is missing.
__version__ = "10.9.0.34"
GPU = True
BUILDS = True

float32, float16, uint8 = "float32", "float16", "uint8"


def pretend(version, gpu=True, builds=True):
    """Be that version; without a GPU builders and runtimes cannot be made, as with the bindings."""
    global __version__, GPU, BUILDS, BuilderFlag, NetworkDefinitionCreationFlag  # noqa: PLW0603
    __version__, GPU, BUILDS = version, gpu, builds
    old = version.startswith("10.")
    BuilderFlag = enum.IntEnum("BuilderFlag", ["FP16", "INT8", "TF32"] if old else ["TF32"], start=0)
    NetworkDefinitionCreationFlag = enum.IntEnum(
        "NetworkDefinitionCreationFlag", ["EXPLICIT_BATCH", "STRONGLY_TYPED"] if old else ["STRONGLY_TYPED"], start=0
    )


def nptype(kind):
    return np.dtype(kind).type


def taking(*values):
    """Raise what pybind11 does for an argument of another type."""
    for value, kind in values:
        if not isinstance(value, kind) or (kind is int and isinstance(value, enum.Enum)):
            raise TypeError(f"incompatible function arguments: {value!r}")


class Logger:
    WARNING = "WARNING"

    def __init__(self, min_severity=WARNING):
        self.min_severity = min_severity


class MemoryPoolType(enum.IntEnum):
    WORKSPACE = 0


class NetworkDefinition:
    def __init__(self, flags):
        self.flags, self.content = flags, None


class OptimizationProfile:
    def set_shape(self, input, min, opt, max):
        taking((input, str), (min, tuple), (opt, tuple), (max, tuple))
        self.input, self.shapes = input, (min, opt, max)


class BuilderConfig:
    def __init__(self):
        self.flags, self.pools, self.profiles = [], {}, []

    def set_flag(self, flag):
        taking((flag, BuilderFlag))
        self.flags.append(flag.name)

    def set_memory_pool_limit(self, pool, pool_size):
        taking((pool, MemoryPoolType), (pool_size, int))
        self.pools[pool.name] = pool_size

    def add_optimization_profile(self, profile):
        taking((profile, OptimizationProfile))
        self.profiles.append(profile)
        return len(self.profiles) - 1


class Builder:
    def __init__(self, logger):
        taking((logger, Logger))
        if not GPU:
            raise TypeError("pybind11::init(): factory function returned nullptr")

    def create_network(self, flags=0):
        taking((flags, int))
        return NetworkDefinition(flags)

    def create_builder_config(self):
        return BuilderConfig()

    def create_optimization_profile(self):
        return OptimizationProfile()

    def build_serialized_network(self, network, config):
        taking((network, NetworkDefinition), (config, BuilderConfig))
        if not BUILDS or network.content is None:
            return None
        (profile,) = config.profiles
        about = {
            "input": profile.input,
            "shapes": profile.shapes,
            "flags": config.flags,
            "workspace": config.pools["WORKSPACE"],
            "typed": bool(network.flags & 1 << NetworkDefinitionCreationFlag.STRONGLY_TYPED),
        }
        return memoryview(json.dumps(about).encode() + b"\0" + network.content)


class OnnxParser:
    def __init__(self, network, logger):
        taking((network, NetworkDefinition), (logger, Logger))
        self.network, self.errors = network, []

    @property
    def num_errors(self):
        return len(self.errors)

    def parse(self, model, path=None):
        taking((model, bytes))
        try:
            onnx.load_from_string(model)
        except Exception as error:
            self.errors.append(str(error))
            return False
        self.network.content = model
        return True

    def get_error(self, index):
        return self.errors[index]


class ExecutionContext:
    def __init__(self, engine):
        self.engine, self.addresses, self.shape = engine, {}, None

    def set_tensor_address(self, name, memory):
        taking((name, str), (memory, int))
        self.addresses[name] = memory
        return True

    def set_input_shape(self, name, shape):
        taking((name, str), (shape, tuple))
        smallest, _, largest = self.engine.about["shapes"]
        fits = all(low <= side <= high for low, side, high in zip(smallest, shape, largest, strict=True))
        self.shape = shape if fits else None
        return fits

    def execute_async_v3(self, stream_handle):
        taking((stream_handle, int))
        session = self.engine.session
        given, made = session.get_inputs()[0].name, session.get_outputs()[0].name
        if self.shape is None or {given, made} - set(self.addresses):
            return False
        inputs = np.empty(self.shape, nptype(self.engine.get_tensor_dtype(given)))
        ctypes.memmove(inputs.ctypes.data, self.addresses[given], inputs.nbytes)
        answers = session.run([made], {given: inputs})[0]
        ctypes.memmove(self.addresses[made], answers.ctypes.data, answers.nbytes)
        return True


class CudaEngine:
    def __init__(self, about, content):
        self.about = about
        # TensorRT adds up int8 products in 32 bits, on every GPU.
        self.session = onnxruntime.InferenceSession(content, exact_options(), providers=["CPUExecutionProvider"])

    def create_execution_context(self):
        return ExecutionContext(self)

    def _tensor(self, name):
        return next(t for t in [*self.session.get_inputs(), *self.session.get_outputs()] if t.name == name)

    def get_tensor_shape(self, name):
        return tuple(side if isinstance(side, int) else -1 for side in self._tensor(name).shape)

    def get_tensor_dtype(self, name):
        return {"tensor(float)": float32, "tensor(uint8)": uint8}[self._tensor(name).type]


class Runtime:
    def __init__(self, logger):
        taking((logger, Logger))
        if not GPU:
            raise TypeError("pybind11::init(): factory function returned nullptr")

    def deserialize_cuda_engine(self, serialized_engine):
        taking((serialized_engine, bytes))
        about, _, content = serialized_engine.partition(b"\0")
        return CudaEngine(json.loads(about), content)


pretend(__version__)
