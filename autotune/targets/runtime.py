"""The thread-pool runtime that parallel kernels call: ``GOMP_parallel`` of an OpenMP library that is already there."""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import sys
from collections.abc import Iterator
from pathlib import Path

from autotune.errors import TargetError


class RuntimeTable(ctypes.Structure):
    """The runtime table of the kernel calling convention (see targets/artifact.py)."""

    _fields_ = (("parallel", ctypes.c_void_p), ("threads", ctypes.c_int64))


def runtime_table(threads: int) -> RuntimeTable | None:
    """The table for a kernel of ``threads`` threads, or None for one thread, which needs no runtime.

    Raises TargetError where no OpenMP runtime is found.
    """
    if threads == 1:
        return None
    return RuntimeTable(_parallel_address(), threads)


@functools.cache
def _parallel_address() -> int:
    for library in _candidates():
        try:
            # A kernel keeps threads of the pool waiting inside the library, so it must never be unloaded; ctypes
            # never does.
            function = ctypes.CDLL(library).GOMP_parallel
        except (OSError, AttributeError):
            continue
        address = ctypes.cast(function, ctypes.c_void_p).value
        assert address is not None
        return address
    raise TargetError(
        "a kernel of more than one thread needs an OpenMP runtime, and none was found: install libgomp "
        "(Debian and Ubuntu: libgomp1; Fedora: libgomp; macOS: brew install libomp) or use one thread"
    )


def _candidates() -> Iterator[str]:
    """Libraries that may hold GOMP_parallel: the system's, then copies that wheels (xgboost among them) bundle."""
    yield "libgomp.so.1"
    yield "/opt/homebrew/opt/libomp/lib/libomp.dylib"
    for folder in sys.path:
        yield from sorted(str(path) for path in Path(folder).glob("*.libs/libgomp*.so*"))
    for name in ("gomp", "omp"):  # last, since it runs ldconfig and compilers
        if found := ctypes.util.find_library(name):
            yield found
