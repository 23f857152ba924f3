"""One host at a time: read, run and put, over SSH, on this machine, or on paper.

Only this package uses Fabric and Paramiko, and it imports them when the first connection is made.
"""

from .conversation import Conversation
from .local import LocalRemote
from .protocol import CommandFailed, HostKeyRefused, Reader, Remote, RemoteError, Result
from .recording import Call, RecordingRemote
from .script import Script
from .ssh import SshRemote

__all__ = [
    "Call",
    "CommandFailed",
    "Conversation",
    "HostKeyRefused",
    "LocalRemote",
    "Reader",
    "RecordingRemote",
    "Remote",
    "RemoteError",
    "Result",
    "Script",
    "SshRemote",
]
