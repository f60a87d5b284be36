"""The engine step: a TensorRT engine of the exported file, measured as every exported file is.

It runs only where TensorRT and a GPU are. Up to TensorRT 10 the precision is a builder's flag; from 11 on networks are
strongly typed, and the precision is that of the file (TensorRT 11 release notes).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from secateur.artifacts import write_bytes, write_json
from secateur.errors import ModelError, SpecError
from secateur.export.engine_options import EngineOptions, engine_options, engine_source
from secateur.export.onnx_writer import INPUT_NAME, OUTPUT_NAME
from secateur.export.parity import measured_parity, require_agreement
from secateur.export.runners import Runner, fed
from secateur.export.source import load_source
from secateur.run import Exported, Run
from secateur.sealed import read_sealed
from secateur.spec import Spec
from secateur.working import working

PACKAGES = ("tensorrt", "cuda")
INSTALL = "pip install tensorrt cuda-python, on a machine with an NVIDIA GPU"


def has_tensorrt() -> bool:
    """Whether the packages are installed."""
    return all(importlib.util.find_spec(name) is not None for name in PACKAGES)


def build_engine(run: Run, stream: IO[str]) -> dict[str, Any]:
    """Write `engine/model.engine` and `engine/metrics.json`, and `export.engine_file` where it is given.

    Raises:
        ModelError: TensorRT is not here, cannot read the file, or its engine answers differently from Keras.
    """
    if not has_tensorrt():
        raise ModelError("a TensorRT engine can be built only where TensorRT is installed", INSTALL)
    folder, spec = run.results / "engine", run.spec
    with working(run, "engine") as status:
        file, options = engine_source(spec), engine_options(spec)
        path = run.results / "export" / file.name
        content = read_sealed(path, run.key) if file.sealed else path.read_bytes()
        engine = _built(content, options, file)
        with engine_runner(engine, spec, options) as runner:
            parity = measured_parity(load_source(run), Exported("model.engine", options.data_type, "tensorrt"), runner)
        require_agreement(parity, spec)
        for target in dict.fromkeys(
            (folder / "model.engine", run.resolve(spec.export.engine_file, folder / "model.engine"))
        ):
            write_bytes(target, engine)
        write_json(folder / "metrics.json", {**parity, "tensorrt": _tensorrt().__version__})
        status.write("RUNNING", "engine", kpi={"top_1": parity["accuracy"]["top_1"]})
    print(
        f"engine  {options.data_type}  {len(engine):,} bytes  top-1 {parity['accuracy']['top_1']:.4f}",
        file=stream,
        flush=True,
    )
    return parity


def _tensorrt() -> Any:
    import tensorrt  # noqa: PLC0415 - only where it is installed

    return tensorrt


def _built(content: bytes, options: EngineOptions, file: Exported) -> bytes:
    trt = _tensorrt()
    builder = trt.Builder(trt.Logger(trt.Logger.WARNING))
    flagged = hasattr(trt.BuilderFlag, "FP16")
    if not flagged and options.data_type != file.data_type:
        raise SpecError(
            f"this TensorRT ({trt.__version__}) builds engines of the file's own precision, {file.data_type}",
            f"set export.data_type: {options.data_type}",
        )
    typed = 0 if flagged else 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(typed)
    parser = trt.OnnxParser(network, trt.Logger(trt.Logger.WARNING))
    if not parser.parse(content):
        reasons = "; ".join(str(parser.get_error(index)) for index in range(parser.num_errors))
        raise ModelError(f"TensorRT cannot read the exported model: {reasons}", "report this model")
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_mib << 20)
    if flagged:
        for name in {"fp32": (), "fp16": ("FP16",), "int8": ("INT8", "FP16")}[options.data_type]:
            config.set_flag(getattr(trt.BuilderFlag, name))
    profile, shapes = builder.create_optimization_profile(), options.shapes()
    profile.set_shape(INPUT_NAME, shapes["min"], shapes["opt"], shapes["max"])
    config.add_optimization_profile(profile)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise ModelError("TensorRT could not build the engine", "see what it says in the log")
    return bytes(engine)


@contextmanager
def engine_runner(engine: bytes, spec: Spec, options: EngineOptions) -> Iterator[Runner]:
    """Run an engine on the current GPU, in batches that it takes.

    Raises:
        ModelError: a call of CUDA fails.
    """
    from cuda.bindings import runtime as cuda  # noqa: PLC0415 - only where it is installed

    trt = _tensorrt()
    loaded = trt.Runtime(trt.Logger(trt.Logger.WARNING)).deserialize_cuda_engine(engine)
    context = loaded.create_execution_context()
    smallest, _, largest = options.batches
    classes = int(loaded.get_tensor_shape(OUTPUT_NAME)[-1])

    def checked(result: tuple[Any, ...]) -> Any:
        if int(result[0]) != 0:
            raise ModelError(f"CUDA: {result[0]}", "see whether the GPU is free and has memory")
        return result[1] if len(result) > 1 else None

    stream = checked(cuda.cudaStreamCreate())
    item = np.dtype(trt.nptype(loaded.get_tensor_dtype(INPUT_NAME))).itemsize
    given = checked(cuda.cudaMalloc(largest * int(np.prod(options.image)) * item))
    made = checked(cuda.cudaMalloc(largest * classes * 4))
    context.set_tensor_address(INPUT_NAME, int(given))
    context.set_tensor_address(OUTPUT_NAME, int(made))

    def call(batch: NDArray[Any]) -> NDArray[np.float32]:
        """A short batch is filled up with its last image."""
        count = len(batch)
        padded = np.ascontiguousarray(np.concatenate([batch, *[batch[-1:]] * max(smallest - count, 0)]))
        answers = np.empty((len(padded), classes), np.float32)
        to_device, to_host = cuda.cudaMemcpyKind.cudaMemcpyHostToDevice, cuda.cudaMemcpyKind.cudaMemcpyDeviceToHost
        checked(cuda.cudaMemcpy(given, padded.ctypes.data, padded.nbytes, to_device))
        context.set_input_shape(INPUT_NAME, padded.shape)
        context.execute_async_v3(int(stream))
        checked(cuda.cudaStreamSynchronize(stream))
        checked(cuda.cudaMemcpy(answers.ctypes.data, made, answers.nbytes, to_host))
        return answers[:count]

    try:
        yield _in_batches(call, largest, spec)
    finally:
        for address in (given, made):
            cuda.cudaFree(address)
        cuda.cudaStreamDestroy(stream)


def _in_batches(call: Callable[[NDArray[Any]], NDArray[np.float32]], largest: int, spec: Spec) -> Runner:
    def run(pixels: NDArray[np.generic]) -> NDArray[np.float32]:
        inputs = fed(pixels, spec)
        return np.concatenate([call(inputs[start : start + largest]) for start in range(0, len(inputs), largest)])

    return run
