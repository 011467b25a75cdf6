"""Messages between two processes of one machine: a JSON header and blocks of raw bytes. Nothing is ever pickled."""

from __future__ import annotations

import json
import socket
from multiprocessing.connection import Connection
from typing import Any


class ChannelClosed(Exception):
    """The other end is gone, or what it sent is no message."""


class Channel:
    """One end of a stream socket. A message is one JSON object and any number of byte blocks."""

    def __init__(self, handle: int) -> None:
        self.connection = Connection(handle)

    def send(self, header: dict[str, Any], *blobs: bytes) -> None:
        """Send one message; raises ChannelClosed where the other end is gone."""
        text = json.dumps({"header": header, "blobs": len(blobs)})
        try:
            self.connection.send_bytes(text.encode())
            for blob in blobs:
                self.connection.send_bytes(blob)
        except OSError as error:
            raise ChannelClosed(str(error)) from None

    def receive(self, timeout: float | None = None) -> tuple[dict[str, Any], list[bytes]]:
        """The next message; waits ``timeout`` seconds (None: for ever) for its start.

        Raises TimeoutError where none came in time and ChannelClosed where none will come.
        """
        try:
            if not self.connection.poll(timeout):
                raise TimeoutError
            message = json.loads(self.connection.recv_bytes())
            return message["header"], [self.connection.recv_bytes() for _ in range(message["blobs"])]
        except TimeoutError:
            raise
        except (OSError, EOFError) as error:
            raise ChannelClosed(f"the other end closed the channel {error}".strip()) from None
        except (ValueError, TypeError, KeyError) as error:
            raise ChannelClosed(f"the other end sent no message: {error}") from None

    def close(self) -> None:
        self.connection.close()


def channel_pair() -> tuple[Channel, socket.socket]:
    """This process's end of a new channel, and the socket to hand to a child."""
    ours, theirs = socket.socketpair()
    return Channel(ours.detach()), theirs
