"""Talking with Open WebUI from inside its pod, as its administrator, signed in once for the whole run.

The password is read inside the cluster and stays there (``scripts/host/in-open-webui.sh``). What comes back is a token,
kept in memory for the run's later questions: signing in is limited to 15 times in three minutes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from scout_ollama.errors import Trouble
from scout_ollama.hints import on
from scout_ollama.open_webui.answers import RESULTS, SAID
from scout_ollama.open_webui.configuration import Json
from scout_ollama.open_webui.workload import Workload
from scout_ollama.outside import Unreadable, from_json, understood
from scout_ollama.remote import CommandFailed, Reader, Remote, Result, Script
from scout_ollama.secrets import Secret
from scout_ollama.shapes import check

ADMIN = "scout-deploy@scout-deploy.local"
"""Whom Scout's own deploy signs in as."""
SECRET = "open-webui-secrets"  # noqa: S105 - its name
READY_SECONDS = 600
"""A start takes half a minute, the first after an upgrade as long as its migrations do."""
PROGRAM = Path(__file__).resolve().parents[2] / "scripts/pod/open_webui.py"


class NotSignedIn(Trouble):
    """Open WebUI does not let its administrator in."""


class Session:
    """One run's conversation with the Open WebUI of one Scout."""

    def __init__(self) -> None:
        self._token = Secret("")

    def ask(self, remote: Reader, workload: Workload, *asks: Json, pod: str = "", seconds: float = 120) -> list[Any]:
        """Ask the program in a pod, by default the first, some things in turn; return what each gave.

        Raises:
            Trouble: there is no pod, or Open WebUI did not answer one of them; what came after it was not tried.
        """
        return self._said(remote, remote.read, workload, asks, pod, seconds)

    def change(self, remote: Remote, workload: Workload, *asks: Json, seconds: float = 120) -> list[Any]:
        """Have the program in the first pod change something; else as ``ask``."""
        return self._said(remote, remote.run, workload, asks, "", seconds)

    def _said(
        self,
        remote: Reader,
        execute: Callable[..., Result],
        workload: Workload,
        asks: Sequence[Json],
        pod: str,
        seconds: float,
    ) -> list[Any]:
        pod = pod or next(iter(workload.pods), "")
        if not pod:
            raise _no_pod(remote, workload)
        request = json.dumps({"email": ADMIN, "token": self._token.reveal(), "asks": asks})
        stdin = f"{json.dumps(PROGRAM.read_text())}\n{request}\n".encode()
        script = Script.load("in-open-webui")
        names = (workload.namespace, pod, workload.container, SECRET)
        result = execute(script, *names, stdin=stdin, sudo=True, timeout=seconds, check=False)
        try:
            said = from_json(result.stdout)
        except Unreadable:
            raise _no_program(remote, workload, pod, CommandFailed(script.name, result)) from None
        with understood(remote.host.name, PROGRAM.name):
            check(said, SAID)
            if said["token"]:
                self._token = Secret(said["token"])
            if error := said.get("error"):
                raise _refused(remote, workload, pod, error["kind"], error["text"])
            found: list[Any] = said["results"]
            for ask, answer in zip(asks, found, strict=True):
                check(answer, RESULTS[ask["do"]], ask["do"])
        return found

    def await_ready(self, remote: Reader, workload: Workload) -> None:
        """Return when every replica has started, as it says itself: Kubernetes does not know.

        Raises:
            Trouble: one has not in time.
        """
        for pod in workload.pods:
            ready = {"do": "ready", "seconds": READY_SECONDS}
            self.ask(remote, workload, ready, pod=pod, seconds=READY_SECONDS + 60)


def _no_pod(remote: Reader, workload: Workload) -> Trouble:
    return Trouble(
        "Open WebUI has no running pod",
        host=remote.host.name,
        why=f"{workload.workload} in {workload.namespace} wants {workload.replicas}",
        next=on(remote.host, f"sudo k3s kubectl describe {workload.workload} -n {workload.namespace}"),
    )


def _no_program(remote: Reader, workload: Workload, pod: str, failed: CommandFailed) -> Trouble:
    return Trouble(
        f"nothing can be run inside {pod}",
        host=remote.host.name,
        why=failed.why,
        next=on(remote.host, f"sudo k3s kubectl describe pod {pod} -n {workload.namespace}"),
    )


def _refused(remote: Reader, workload: Workload, pod: str, kind: str, text: str) -> Trouble:
    kubectl = f"sudo k3s kubectl -n {workload.namespace}"
    logs = on(remote.host, f"{kubectl} logs {pod} --tail=50")
    edit = on(remote.host, f"{kubectl} edit secret {SECRET}")
    whats = {
        "password": (f"Open WebUI does not take the password of {ADMIN}", f"put the right one there: {edit}"),
        "limited": ("Open WebUI lets nobody sign in for a while", "wait three minutes, then the same command again"),
        "forbidden": (
            f"{ADMIN} may not change Open WebUI's settings",
            "make it an administrator again, or allow sign-in",
        ),
        "silent": (f"Open WebUI does not answer in {pod}", logs),
        "unready": (f"Open WebUI in {pod} has not started within {READY_SECONDS} s", logs),
        "key": (
            "a connection cannot be put back as it was",
            "enter its key in Open WebUI: Admin Settings, Connections",
        ),
    }
    what, then = whats.get(kind, (f"Open WebUI in {pod} refuses", logs))
    signing = kind in ("password", "limited", "forbidden")
    why = f"BOOTSTRAP_PASSWORD of Secret {SECRET} is used; {text}" if kind == "password" else text
    return (NotSignedIn if signing else Trouble)(what, host=remote.host.name, why=why, next=then)
