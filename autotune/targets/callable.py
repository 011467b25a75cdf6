"""A generated kernel as a Python callable on arrays."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from autotune.display import html
from autotune.errors import AutotuneError, UsageError
from autotune.targets.artifact import KernelObject, Parameter
from autotune.targets.loader import LoadedObject
from autotune.targets.runtime import runtime_table

if TYPE_CHECKING:  # a measuring worker imports this module, and has no use for what these would load
    from autotune.lowering.loops import Loops
    from autotune.schedules.schedule import Schedule

_ALIGNMENT = 64  # bytes: a cache line, and the widest vector of any target
# An array object starts with its data pointer, behind CPython's object header: NumPy's C interface promises this.
# Reading it there takes 0.2 microseconds, where `array.ctypes.data` takes 1.1.
_HEADER = object.__basicsize__
_pointer_at = ctypes.c_void_p.from_address
_NOTHING = np.empty(0)


def address_of(array: np.ndarray) -> int:
    """The address of an array's first element, 0 for one without memory."""
    return _pointer_at(id(array) + _HEADER).value or 0


def aligned_empty(shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
    """An uninitialised C-contiguous array that starts on a cache line."""
    count = 1
    for extent in shape:
        count *= extent
    memory = np.empty(count * dtype.itemsize + _ALIGNMENT, np.uint8)
    return np.ndarray(shape, dtype, memory, -address_of(memory) % _ALIGNMENT)


def aligned_copy(array: np.ndarray) -> np.ndarray:
    """A C-contiguous copy of an array that starts on a cache line."""
    copy = aligned_empty(array.shape, array.dtype)
    copy[...] = array
    return copy


@dataclass(frozen=True, slots=True)
class _Slot:
    """What a call checks for one parameter, made ready beforehand."""

    parameter: Parameter
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    def array(self, value: Any) -> np.ndarray:
        """``value`` as an array that the kernel may read; raises UsageError where it is not what is expected."""
        array = self._checked(value)
        return array if array.flags.aligned else aligned_copy(array)

    def packed(self, value: Any) -> np.ndarray:
        """``value`` as the kernel reads it: in its layout."""
        return self.parameter.pack(self.array(value))

    @property
    def stored(self) -> _Slot:
        """What is checked of an array that is in the kernel's layout already."""
        if self.parameter.layout is None and self.parameter.ahead is None:
            return self
        plain = replace(self.parameter, layout=None, ahead=None)
        return _Slot(plain, self.parameter.stored, self.parameter.stored_shape)

    def output(self, value: Any) -> np.ndarray:
        """``value`` as an array that the kernel may fill in place."""
        array = self._checked(value)
        if not array.flags.writeable:
            raise self._refusal("a read-only array")
        if not array.flags.aligned:
            raise self._refusal("an array whose elements are not aligned")
        return array

    def _checked(self, value: Any) -> np.ndarray:
        if type(value) is not np.ndarray:
            value = self._converted(value)
        if value.dtype != self.dtype or value.shape != self.shape:
            raise self._refusal(f"an array of {value.dtype} and shape {value.shape}")
        if not value.flags.c_contiguous:
            raise self._refusal(f"a non-contiguous array (strides {value.strides} bytes)", " (numpy.ascontiguousarray)")
        return value

    def _converted(self, value: Any) -> np.ndarray:
        if isinstance(value, np.ma.MaskedArray):
            raise self._refusal("a masked array, whose mask a kernel does not know", " (numpy.ma.filled)")
        if isinstance(value, np.ndarray):
            return value.view(np.ndarray)
        try:
            if hasattr(value, "__dlpack__"):
                return np.from_dlpack(value)
            return np.asarray(memoryview(value))
        except (TypeError, ValueError, BufferError, RuntimeError) as error:
            # DLPack of NumPy knows no bfloat16.
            hint = " (its bits as int16, viewed as ml_dtypes.bfloat16)" if self.parameter.dtype == "bfloat16" else ""
            raise self._refusal(f"{_described(value)} that NumPy cannot read ({error})", hint) from None

    def _refusal(self, got: str, hint: str = "") -> UsageError:
        name = self.parameter.name
        return UsageError(
            f"{name}: got {got}, expected a contiguous array of {self.dtype} and shape {self.shape}{hint}"
        )


def _described(value: Any) -> str:
    return f"a {type(value).__module__}.{type(value).__name__}".replace("builtins.", "")


def _unpack(slot: _Slot, packed: np.ndarray, plain: np.ndarray) -> None:
    """Fill a plain array with an output in the kernel's layout."""
    layout = slot.parameter.layout
    if layout is None:
        plain[...] = packed
    else:
        layout.unpack(packed, plain)


class Kernel:
    """A kernel loaded into this process: ``kernel(x, w)`` returns a fresh output, ``kernel(x, w, out=y)`` fills ``y``.

    A kernel of several outputs returns a tuple of arrays, and ``out`` takes one.

    Arguments come in the order of ``inputs`` (positionally or by name) and may be any contiguous arrays that speak
    DLPack or the buffer protocol. All arrays are plain: those that the kernel wants in a layout of its own (constants)
    are packed on every call, ``bind`` packs them once, and ``run_packed`` takes and returns arrays in the kernel's
    layouts, so that kernels may hand them on to each other.

    One caller at a time: calls share the workspace and the argument block. A thread of its own needs a Kernel of its
    own. Raises LoadError for a bad object, TargetError where a parallel kernel finds no OpenMP runtime, AutotuneError
    where there is no memory for its workspace.
    """

    def __init__(self, kernel: KernelObject) -> None:
        self.object = kernel
        slots = [_Slot(p, p.element, tuple(p.shape)) for p in kernel.parameters]
        self._slots = [slot for slot in slots if slot.parameter.role != "output"]
        self._outputs = slots[len(self._slots) :]  # the last parameters
        self._stored_outputs = [slot.stored for slot in self._outputs]
        self.inputs = tuple(slot.parameter.name for slot in self._slots)
        self._loaded = LoadedObject(kernel.code)
        self._entry = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(self._loaded.address(kernel.entry))
        try:
            self._workspace = aligned_empty((kernel.workspace_bytes,), np.dtype(np.uint8))
        except MemoryError:
            needed = kernel.workspace_bytes / 2**30
            raise AutotuneError(f"the kernel needs {needed:.1f} GiB of workspace, more than can be had here") from None
        self._runtime = runtime_table(kernel.threads)
        self._arguments = (ctypes.c_void_p * (len(slots) + 2))()
        self._arguments[len(slots)] = address_of(self._workspace) if kernel.workspace_bytes else None
        self._arguments[len(slots) + 1] = ctypes.addressof(self._runtime) if self._runtime is not None else None
        self._block = ctypes.addressof(self._arguments)
        self._unbound = BoundKernel(self, {})

    def __call__(self, *arrays: Any, out: Any = None, **named: Any) -> Any:
        """Run on the given inputs; raises UsageError where one is not what the kernel was built for."""
        return self._unbound(*arrays, out=out, **named)

    def run_packed(self, *arrays: Any, out: Any = None, **named: Any) -> Any:
        """Run on inputs, and into an output, that are in the kernel's own layouts: see ``pack`` and ``unpack``."""
        return self._unbound.run_packed(*arrays, out=out, **named)

    @property
    def schedule(self) -> Schedule | None:
        """The schedule that the kernel was built from; None for an object that another process built."""
        return self.object.schedule

    @property
    def loops(self) -> Loops | None:
        """The loops that the kernel runs, for ``print`` and for notebooks; None where ``schedule`` is."""
        return self.object.loops

    def __repr__(self) -> str:
        inputs, outputs = (
            ", ".join(f"{s.parameter.name}: {s.dtype}{list(s.shape)}" for s in slots)
            for slots in (self._slots, self._outputs)
        )
        return f"Kernel({inputs}) -> {outputs}"

    def _repr_html_(self) -> str:
        parts = [html.code(repr(self))]
        parts += [html.section("Schedule", *self.schedule.html_parts())] if self.schedule is not None else []
        return html.fragment(*parts, *(self.loops.html_parts() if self.loops is not None else ()))

    def pack(self, name: str, array: Any) -> np.ndarray:
        """A copy of an input as the kernel reads it: in its layout, aligned to a cache line."""
        if name not in self.inputs:
            raise UsageError(f"the kernel has no input {name!r}; it has: {', '.join(self.inputs)}")
        return aligned_copy(self._slots[self.inputs.index(name)].packed(array))

    def unpack(self, name: str, array: Any) -> np.ndarray:
        """A plain copy of an output in the kernel's layout, as ``run_packed`` returns it."""
        outputs = {slot.parameter.name: slot for slot in self._outputs}
        if name not in outputs:
            raise UsageError(f"the kernel has no output {name!r}; it has: {', '.join(outputs)}")
        slot = outputs[name]
        plain = aligned_empty(slot.shape, slot.dtype)
        _unpack(slot, slot.stored.array(array), plain)
        return plain

    def bind(self, **inputs: Any) -> BoundKernel:
        """This kernel with some inputs given once and for all: packed and copied now, no longer arguments."""
        return BoundKernel(self, {name: self.pack(name, array) for name, array in inputs.items()})

    def _run(self, held: list[np.ndarray], out: Any, slots: list[_Slot]) -> Any:
        """Run into ``out`` (None: new arrays), which are what ``slots`` say: plain, or in the kernel's layouts."""
        if out is None:
            results = [aligned_empty(slot.shape, slot.dtype) for slot in slots]
        else:
            results = self._given(held, out, slots)
        filled = [
            array if slot.parameter.layout is None else aligned_empty(slot.parameter.stored_shape, slot.dtype)
            for slot, array in zip(slots, results, strict=True)
        ]
        arguments = self._arguments
        for index, array in enumerate((*held, *filled)):
            arguments[index] = _pointer_at(id(array) + _HEADER).value
        self._entry(self._block)
        for slot, packed, plain in zip(slots, filled, results, strict=True):
            if packed is not plain:
                _unpack(slot, packed, plain)
        return results[0] if len(results) == 1 else tuple(results)

    def _given(self, held: list[np.ndarray], out: Any, slots: list[_Slot]) -> list[np.ndarray]:
        """The caller's own arrays for the outputs, none of which may overlap another array of the call."""
        given = [out] if len(slots) == 1 else out
        if not isinstance(given, (tuple, list)) or len(given) != len(self._outputs):
            names = ", ".join(slot.parameter.name for slot in self._outputs)
            raise UsageError(f"out takes a tuple of {len(self._outputs)} arrays ({names}), got {_described(out)}")
        results = [slot.output(array) for slot, array in zip(slots, given, strict=True)]
        for number, result in enumerate(results):
            others = (*zip(self._slots, held, strict=True), *zip(self._outputs[:number], results, strict=False))
            for slot, array in others:
                if np.may_share_memory(result, array):
                    raise UsageError(f"out overlaps {slot.parameter.name}: the kernel would overwrite what it reads")
        return results


class BoundKernel:
    """A kernel with some inputs bound: called like the kernel, without these. Shares the kernel's one caller."""

    def __init__(self, kernel: Kernel, bound: dict[str, np.ndarray]) -> None:
        self.kernel = kernel
        self.inputs = tuple(name for name in kernel.inputs if name not in bound)
        self._held = [bound.get(name, _NOTHING) for name in kernel.inputs]
        self._free = [(i, kernel._slots[i]) for i, name in enumerate(kernel.inputs) if name not in bound]

    def __call__(self, *arrays: Any, out: Any = None, **named: Any) -> Any:
        """Run on the remaining inputs; raises UsageError where one is not what the kernel was built for."""
        return self.kernel._run(self._filled(arrays, named, self._free), out, self.kernel._outputs)

    def run_packed(self, *arrays: Any, out: Any = None, **named: Any) -> Any:
        """Run on remaining inputs, and into an output, that are in the kernel's own layouts."""
        stored = [(index, slot.stored) for index, slot in self._free]
        return self.kernel._run(self._filled(arrays, named, stored), out, self.kernel._stored_outputs)

    def _filled(
        self, arrays: tuple[Any, ...], named: dict[str, Any], slots: list[tuple[int, _Slot]]
    ) -> list[np.ndarray]:
        """All inputs as the kernel reads them."""
        if named or len(arrays) != len(slots):
            arrays = self._ordered(arrays, named)
        held = self._held.copy()
        for (index, slot), array in zip(slots, arrays, strict=True):
            held[index] = slot.packed(array)
        return held

    def _ordered(self, arrays: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, ...]:
        """Positional and named arguments in order; raises UsageError where they are not exactly the inputs."""
        given = dict(zip(self.inputs, arrays, strict=False))
        for name in named:
            if name not in self.inputs or name in given:
                why = "twice" if name in given else "which it does not have"
                raise UsageError(f"the kernel was given {name!r} {why}; its inputs are: {', '.join(self.inputs)}")
        given |= named
        if len(given) != len(self.inputs) or len(arrays) > len(self.inputs):
            got = len(arrays) + len(named)
            raise UsageError(f"the kernel takes {len(self.inputs)} inputs ({', '.join(self.inputs)}), got {got}")
        return tuple(given[name] for name in self.inputs)
