"""One host at a time: read, run and put, over SSH, on this machine, or on paper.

Only this package uses Fabric and Paramiko. ``ssh`` and what it needs import them, which takes long: nobody imports
these before a host is to be connected to.
"""

from .conversation import Conversation
from .local import LocalRemote
from .protocol import CommandFailed, HostKeyRefused, Reader, Remote, RemoteError, Result
from .recording import Call, RecordingRemote
from .script import Script

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
]
