"""What every worker process does first: takes its end of the channel, its limits, and dies with its driver."""

from __future__ import annotations

import argparse
import os
import resource
import select
import signal
import threading
from pathlib import Path

from autotune.rpc.channel import Channel

_MAX_FILE_BYTES = 64 << 20  # a worker writes only its log; a kernel that prints without end fills no disk


def enter(parser: argparse.ArgumentParser) -> tuple[Channel, argparse.Namespace]:
    """The channel to the driver and the parsed command line, once limits are set and the driver is watched."""
    parser.add_argument("--channel", type=int, required=True, help="file descriptor of the channel")
    parser.add_argument("--memory", type=int, default=0, help="bytes that may be added to what the process holds now")
    options = parser.parse_args()
    os.set_inheritable(options.channel, False)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_MAX_FILE_BYTES, _MAX_FILE_BYTES))
    held = _address_space()
    if options.memory and held:
        resource.setrlimit(resource.RLIMIT_AS, (held + options.memory,) * 2)
    threading.Thread(target=_die_with_driver, args=(options.channel,), daemon=True).start()
    return Channel(options.channel), options


def _address_space() -> int:
    """Bytes of address space in use; 0 where the system does not tell, and where its limit would not hold anyway."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except OSError:
        return 0


def _die_with_driver(channel: int) -> None:
    """Wait until the driver's end is gone, then kill this process group, a kernel that loops for ever included.

    Linux's PR_SET_PDEATHSIG would watch the thread that started this process, not the driver: a notebook's or a
    cluster worker's thread may end long before.
    """
    poll = select.poll()
    poll.register(channel, 0)  # hang-ups are always reported, and messages are the main thread's
    poll.poll()
    os.killpg(0, signal.SIGKILL)
