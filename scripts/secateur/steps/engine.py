"""The engine step: it builds a TensorRT engine of the exported file and measures it like every exported file.

It needs TensorRT and a GPU. Up to TensorRT 10 a flag of the builder sets the precision. From 11 on networks are
strongly typed (TensorRT 11 release notes), so `export` writes the file in the precision of the engine. This code was
never run on a GPU; API calls were checked against the Python bindings of TensorRT 10.9 and 11.4, cuda-python 13.4.

See docs/decisions/tensorrt.md.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from secateur.errors import ModelError
from secateur.export.engine_options import EngineOptions, engine_options, engine_source
from secateur.export.exported_files import Exported
from secateur.export.input_scaling import fed
from secateur.export.parity import require_agreement
from secateur.export.runners import Runner
from secateur.keras_to_onnx.tensor_names import INPUT_NAME, OUTPUT_NAME
from secateur.run import Run
from secateur.spec import Spec
from secateur.steps.context import step_context
from secateur.steps.export_parity import parity_of
from secateur.steps.exported_model import load_final_model
from secateur.steps.run_files import read_exported
from secateur.storage.atomic import write_bytes, write_json

# Imported package -> the package that installs it.
PACKAGES = {"tensorrt": "tensorrt", "cuda.bindings": "cuda-python"}
# Precisions that the builder can use beside float32, up to TensorRT 10. Layers that are not int8 use half precision.
FLAGS = {"fp32": (), "fp16": ("FP16",), "int8": ("INT8", "FP16")}


def _missing() -> list[str]:
    """The packages that must be installed before an engine can be built."""
    return [package for module, package in PACKAGES.items() if not _importable(module)]


def _importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # files of the package around it
        return False


def build_engine(run: Run, stream: IO[str]) -> dict[str, Any]:
    """Write `engine/model.engine` and `engine/metrics.json`, and `export.engine_file` if it is set.

    Raises:
        ModelError: there is no TensorRT or no GPU, TensorRT cannot read the file, or the engine answers differently
            from Keras.
    """
    if missing := _missing():
        raise ModelError(
            f"packages for building a TensorRT engine are missing: {', '.join(missing)}",
            f"run on a machine with an NVIDIA GPU: pip install {' '.join(missing)}",
        )
    target = run.file("engine", "engine")
    with step_context(run, "engine") as status:
        run, final, _ = load_final_model(run, "engine", stream)
        spec = run.spec
        file, options = engine_source(spec), engine_options(spec)
        engine = serialized_engine(read_exported(run, file), options)
        with engine_runner(engine, spec, options) as runner:
            file_of_engine = Exported(target.name, options.data_type, "tensorrt")
            parity = parity_of(run, final, file_of_engine, runner)
        require_agreement(parity, spec)
        for path in dict.fromkeys((target, run.resolve(spec.export.engine_file, target))):
            write_bytes(path, engine)
        write_json(run.file("engine", "metrics"), {**parity, "tensorrt": _tensorrt().__version__})
        status.write("RUNNING", "engine", kpi={"top_1": parity["accuracy"]["top_1"]})
    print(
        f"engine  {options.data_type}  {len(engine):,} bytes  top-1 {parity['accuracy']['top_1']:.4f}",
        file=stream,
        flush=True,
    )
    return parity


def _tensorrt() -> Any:
    import tensorrt  # noqa: PLC0415 - it need not be installed

    return tensorrt


def serialized_engine(content: bytes, options: EngineOptions) -> bytes:
    """Build an engine of an ONNX file in the precision of the engine.

    Raises:
        ModelError: TensorRT finds no GPU, or cannot read or build the network.
    """
    trt = _tensorrt()
    logger = trt.Logger(trt.Logger.WARNING)
    builder = _started(trt.Builder, logger)
    flagged = hasattr(trt.BuilderFlag, "FP16")
    network = builder.create_network(0 if flagged else 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(content):
        reasons = "; ".join(str(parser.get_error(index)) for index in range(parser.num_errors))
        raise ModelError(
            f"TensorRT cannot read the exported model: {reasons}",
            "set export.converter: tf2onnx, or try another version of TensorRT; the exported ONNX file shows the fault",
        )
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_mib << 20)
    for name in FLAGS[options.data_type] if flagged else ():
        config.set_flag(getattr(trt.BuilderFlag, name))
    profile, shapes = builder.create_optimization_profile(), options.shapes()
    profile.set_shape(INPUT_NAME, shapes["min"], shapes["opt"], shapes["max"])
    config.add_optimization_profile(profile)
    return bytes(_succeeded(builder.build_serialized_network(network, config), "build the engine"))


def _started(kind: Callable[[Any], Any], logger: Any) -> Any:
    """A builder or a runtime. Without a GPU the bindings raise TypeError, and the logger prints the reason."""
    try:
        return kind(logger)
    except TypeError as error:
        raise ModelError(
            "TensorRT cannot start: it finds no GPU or no driver", "check that nvidia-smi lists a GPU"
        ) from error


def _succeeded(result: Any, what: str) -> Any:
    """Raise ModelError if a call failed: the bindings then return None or False, and the logger prints the reason."""
    if result is None or result is False:
        raise ModelError(f"TensorRT could not {what}", "read TensorRT's messages above this line or in the log")
    return result


@contextmanager
def engine_runner(engine: bytes, spec: Spec, options: EngineOptions) -> Iterator[Runner]:
    """Run an engine on the current GPU, in batches of a size that it accepts.

    Raises:
        ModelError: a call of TensorRT or CUDA fails.
    """
    trt = _tensorrt()
    runtime = _started(trt.Runtime, trt.Logger(trt.Logger.WARNING))
    loaded = _succeeded(runtime.deserialize_cuda_engine(engine), "load the engine")
    context = _succeeded(loaded.create_execution_context(), "prepare the engine")
    smallest, _, largest = options.batches
    taken = np.dtype(trt.nptype(loaded.get_tensor_dtype(INPUT_NAME)))
    classes = int(loaded.get_tensor_shape(OUTPUT_NAME)[-1])
    with ExitStack() as stack:
        gpu = Gpu(stack)
        given = gpu.memory(largest * math.prod(options.image) * taken.itemsize)
        made = gpu.memory(largest * classes * np.dtype(np.float32).itemsize)
        for name, address in ((INPUT_NAME, given), (OUTPUT_NAME, made)):
            _succeeded(context.set_tensor_address(name, address), f"use the memory of {name}")

        def call(batch: NDArray[Any]) -> NDArray[np.float32]:
            """Run one batch. A short batch is filled with copies of its last image."""
            padded = np.concatenate([batch, *[batch[-1:]] * (smallest - len(batch))]).astype(taken, order="C")
            answers = np.empty((len(padded), classes), np.float32)
            gpu.copy_to(given, padded)
            _succeeded(context.set_input_shape(INPUT_NAME, padded.shape), f"take a batch of shape {padded.shape}")
            _succeeded(context.execute_async_v3(gpu.stream), "run the engine")
            gpu.copy_from(made, answers)
            return answers[: len(batch)]

        yield _in_batches(call, largest, spec)


class Gpu:
    """A stream and memory on the current GPU. `stack` frees them; every call raises ModelError if CUDA fails."""

    def __init__(self, stack: ExitStack) -> None:
        from cuda.bindings import runtime  # noqa: PLC0415 - it need not be installed

        self._cuda, self._stack = runtime, stack
        self._stream = self._checked(runtime.cudaStreamCreate())
        stack.callback(runtime.cudaStreamDestroy, self._stream)

    @property
    def stream(self) -> int:
        """The handle of the stream."""
        return int(self._stream)

    def memory(self, size: int) -> int:
        """The address of `size` bytes of new memory."""
        address = self._checked(self._cuda.cudaMalloc(size))
        self._stack.callback(self._cuda.cudaFree, address)
        return int(address)

    def copy_to(self, address: int, array: NDArray[Any]) -> None:
        """Copy an array, in C order, to the GPU."""
        kind = self._cuda.cudaMemcpyKind.cudaMemcpyHostToDevice
        self._checked(self._cuda.cudaMemcpy(address, array.ctypes.data, array.nbytes, kind))

    def copy_from(self, address: int, array: NDArray[Any]) -> None:
        """Wait for the stream, and copy an array from the GPU."""
        kind = self._cuda.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self._checked(self._cuda.cudaStreamSynchronize(self._stream))
        self._checked(self._cuda.cudaMemcpy(array.ctypes.data, address, array.nbytes, kind))

    def _checked(self, result: tuple[Any, ...]) -> Any:
        if int(result[0]) != 0:
            raise ModelError(f"CUDA: {result[0].name}", "check with nvidia-smi that the GPU is free and has memory")
        return result[1] if len(result) > 1 else None


def _in_batches(call: Callable[[NDArray[Any]], NDArray[np.float32]], largest: int, spec: Spec) -> Runner:
    def run(pixels: NDArray[np.generic]) -> NDArray[np.float32]:
        inputs = fed(pixels, spec)
        return np.concatenate([call(inputs[start : start + largest]) for start in range(0, len(inputs), largest)])

    return run
