"""A building process: ``python -m autotune.measure.builder``, started by BuilderPool.

A message is {request} and is answered by a kernel's {kernel} + code, or by {status, message}.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable
from typing import Any

from autotune.errors import AutotuneError
from autotune.measure.child import enter
from autotune.rpc.channel import ChannelClosed
from autotune.targets.artifact import KernelObject


def main() -> None:
    """Serve requests until the driver is gone."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--function", required=True, help="module:name of a function from a request to a KernelObject")
    channel, options = enter(parser)
    module, _, name = options.function.partition(":")
    function = getattr(importlib.import_module(module), name)
    channel.send({"kind": "ready"})
    while True:
        try:
            header, _ = channel.receive()
        except ChannelClosed:
            return
        channel.send(*_built(function, header["request"]))


def _built(function: Callable[[dict[str, Any]], KernelObject], request: dict[str, Any]) -> tuple[Any, ...]:
    try:
        kernel = function(request)
    except MemoryError:
        return ({"status": "memory", "message": "building it needs more memory than a builder may have"},)
    except AutotuneError as error:
        return ({"status": "build-error", "message": str(error)},)
    except Exception as error:  # whatever a generator stumbles over costs one candidate, not the search
        return ({"status": "build-error", "message": f"{type(error).__name__}: {error}"},)
    return {"kernel": kernel.header()}, kernel.code


if __name__ == "__main__":
    main()
