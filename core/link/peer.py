"""Who is at the other end of a Unix socket."""

from __future__ import annotations

import socket
import struct
import sys


def peer_uid(connection: socket.socket) -> int:
    """The user id of the process that connected; raises OSError where the system doesn't tell."""
    if sys.platform == "darwin":
        local_level, local_peer_credentials, credentials_size = 0, 1, 76
        credentials = connection.getsockopt(local_level, local_peer_credentials, credentials_size)
        (uid,) = struct.unpack_from("=I", credentials, 4)
        return int(uid)
    _pid, uid, _gid = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return int(uid)
