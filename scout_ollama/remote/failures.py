"""What can go wrong with a script on a host that was reached, in words for a person."""

from __future__ import annotations

from scout_ollama.hints import on
from scout_ollama.inventory import Host
from scout_ollama.remote.output import LIMIT_BYTES
from scout_ollama.remote.protocol import RemoteError, Result, SudoRefused
from scout_ollama.remote.script import Script

_TAIL_LINES = 3


def took_too_long(host: Host, script: Script, timeout: float, result: Result) -> RemoteError:
    """The host ended the script after ``timeout`` seconds."""
    return RemoteError(
        f"{script.name} took longer than {timeout:g} s and was ended",
        host=host.name,
        why=_tail(result.stderr) or "it was still at it, and said nothing of what keeps it",
        next=on(host, f"ps -eo pid,stat,wchan:20,etime,args | grep {script.name}"),
    )


def did_not_end(host: Host, script: Script, timeout: float) -> RemoteError:
    """The script's time is long over and the host has not ended it."""
    return RemoteError(
        f"{script.name} took longer than {timeout:g} s and would not be ended",
        host=host.name,
        why="the connection answers, but the command does not stop: a disk or a mount may hang",
        next=on(host, f"ps -eo pid,stat,wchan:20,etime,args | grep {script.name}"),
    )


def connection_lost(host: Host, script: Script, why: str, timeout: float) -> RemoteError:
    """The connection broke while the script ran."""
    return RemoteError(
        f"the connection was lost during {script.name}",
        host=host.name,
        why=f"{why}; the host ends what may still run there after {timeout:g} s at the latest",
        next="the same command again: it finds out what is done and does the rest",
    )


def hung_up(host: Host, script: Script, why: str) -> RemoteError:
    """Nobody is there any more whom something could be said to."""
    return RemoteError(
        f"{script.name} ended before it should",
        host=host.name,
        why=_tail(why) or "the host hung up",
        next=on(host, "true"),
    )


def says_nothing(host: Host, script: Script) -> RemoteError:
    """The script should have answered by now."""
    return RemoteError(
        f"{script.name} does not answer",
        host=host.name,
        why="it was started, and then nothing was heard: a disk or a mount may hang",
        next=on(host, f"ps -eo pid,stat,wchan:20,etime,args | grep {script.name}"),
    )


def killed(host: Host, script: Script) -> RemoteError:
    """A signal ended the script, so it has no exit status."""
    return RemoteError(
        f"{script.name} was killed on the host",
        host=host.name,
        why="a signal ended it: the kernel, when memory ran out, or somebody",
        next=on(host, "sudo journalctl -k | grep -i oom") + "; then the same command again",
    )


def too_much_output(host: Host, script: Script) -> RemoteError:
    """The script printed without end."""
    return RemoteError(
        f"{script.name} printed more than {LIMIT_BYTES // 2**20} MiB and was cut off",
        host=host.name,
        next=f"see on the host what {script.name} prints",
    )


def not_started(host: Host, script: Script, said: str) -> RemoteError:
    """The login shell, or sudo, ended before the script began; ``said`` is theirs."""
    return RemoteError(
        f"did not start {script.name}",
        host=host.name,
        why=_tail(said) or "its login shell ended at once, without a word",
        next=on(host, "true"),
    )


def disconnected(host: Host) -> RemoteError:
    """We have closed the connection ourselves, as on Ctrl-C: what runs on must not change anything any more."""
    return RemoteError("was disconnected by us", host=host.name, why="the run was ended")


def sudo_refused(host: Host, answer: Result) -> SudoRefused:
    """sudo wants a password, or does not let the user do anything at all."""
    user = host.ssh.user
    return SudoRefused(
        f"sudo asks {user} for a password" if "password" in answer.stderr else f"sudo refuses {user}",
        host=host.name,
        why=_tail(answer.stderr),
        next=f"on the host, as root: echo '{user} ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/{user}",
    )


def sudo_missing(host: Host) -> SudoRefused:
    """There is no sudo, and the user is not root."""
    return SudoRefused(
        "has no sudo",
        host=host.name,
        why=f"{host.ssh.user} is not root there",
        next="on the host, as root: apt-get install sudo (or dnf install sudo)",
    )


def _tail(text: str) -> str:
    return "\n".join(text.strip().splitlines()[-_TAIL_LINES:])
