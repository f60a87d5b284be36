"""A stand-in for cuda-python's runtime where there is no GPU: its memory is the computer's, and its bounds are kept."""

import ctypes
import enum

ALLOCATED = {}
STREAMS = set()


class cudaError_t(enum.IntEnum):
    cudaSuccess = 0
    cudaErrorInvalidValue = 1
    cudaErrorMemoryAllocation = 2


class cudaMemcpyKind(enum.IntEnum):
    cudaMemcpyHostToDevice = 1
    cudaMemcpyDeviceToHost = 2


# More than this is not there.
MEMORY = 1 << 30
SUCCESS = cudaError_t.cudaSuccess


def cudaStreamCreate():
    STREAMS.add(7)
    return SUCCESS, 7


def cudaStreamSynchronize(stream):
    return (SUCCESS if stream in STREAMS else cudaError_t.cudaErrorInvalidValue,)


def cudaStreamDestroy(stream):
    STREAMS.remove(stream)
    return (SUCCESS,)


def cudaMalloc(size):
    if size > MEMORY:
        return cudaError_t.cudaErrorMemoryAllocation, None
    buffer = ctypes.create_string_buffer(size)
    ALLOCATED[ctypes.addressof(buffer)] = buffer
    return SUCCESS, ctypes.addressof(buffer)


def cudaFree(address):
    del ALLOCATED[address]
    return (SUCCESS,)


def cudaMemcpy(dst, src, count, kind):
    device = dst if kind is cudaMemcpyKind.cudaMemcpyHostToDevice else src
    if device not in ALLOCATED or count > len(ALLOCATED[device]):
        return (cudaError_t.cudaErrorInvalidValue,)
    ctypes.memmove(dst, src, count)
    return (SUCCESS,)
