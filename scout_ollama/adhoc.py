"""exec: one command, or one script, on the selected hosts, through the same gate as everything else."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from scout_ollama import run
from scout_ollama.changes import Plan, Say, Stage
from scout_ollama.errors import Trouble
from scout_ollama.inventory import Site
from scout_ollama.job import Job
from scout_ollama.lock import Place
from scout_ollama.proposal import Consent, Proposal, Request
from scout_ollama.remote import CommandFailed, Remote, Result, Script


@dataclass(frozen=True)
class Command:
    """What is run: words of a command, or a script and words for it. ``seconds`` is the time that it may take."""

    words: tuple[str, ...]
    script: bytes | None = field(default=None, repr=False)
    name: str = ""
    sudo: bool = False
    seconds: int = 600

    def __str__(self) -> str:
        """As a person would type it."""
        words = (*(["sudo"] if self.sudo else []), *([self.name] if self.name else []), *self.words)
        return shlex.join(words)


@dataclass(frozen=True)
class RunCommand:
    """The command on one host; every line of its output is told as it comes, and ``answers`` gets all of it."""

    host: str
    command: Command
    say: Say = field(repr=False)
    answers: dict[str, Result] = field(repr=False)

    @property
    def title(self) -> str:
        """``run COMMAND``."""
        return f"run {self.command}"

    def difference(self) -> list[str]:
        """That nobody can know what it changes."""
        return [f"~ whatever it does, {'as root' if self.command.sudo else 'without root'}"]

    def make(self, remote: Remote) -> None:
        """Run it."""
        command = self.command
        if command.script is None:
            script, arguments, stdin = Script.load("exec-command"), command.words, b""
        else:
            script, stdin = Script.load("exec-script"), command.script
            arguments = (str(len(stdin)), *command.words)
        result = remote.run(
            script,
            *arguments,
            stdin=stdin,
            sudo=command.sudo,
            timeout=command.seconds,
            check=False,
            on_line=lambda line: self.say(self.host, line),
        )
        self.answers[self.host] = result
        if result.status:
            raise CommandFailed(str(command), result)


def execute(site: Site, selector: str, command: Command, request: Request) -> int:
    """Run a command on the selected hosts and tell; return the exit status.

    Without root it is run at once, and beside whatever else is going on: it is audited, and cannot become root. With
    root it is a change like any other: it waits for the lock, and is agreed to.

    Raises:
        Trouble: there is nothing to run, or the selection is empty.
    """
    if not command.words and command.script is None:
        raise Trouble("there is no command to run", next="inv exec --hosts phi -- nvidia-smi -L")
    hosts = site.select(selector)
    request = request.on(hosts)
    as_root = [host for host in hosts if host.ssh.user == "root"]
    if as_root and not command.sudo:
        raise Trouble(
            f"{as_root[0].name}: the login there is root's already",
            why="without --sudo a command must not be able to change the host",
            next="the same command with --sudo",
        )
    if not command.sudo and request.consent is Consent.ASK:
        request = replace(request, consent=Consent.YES)
    place = Place.LOCK if command.sudo else Place.BESIDE
    site.learn_secrets()
    prepare = run.unprepared(partial(propose, command=command))
    return run.carry_out(site, site.clusters_of(hosts), request, prepare, place=place)


def propose(job: Job, command: Command) -> Proposal:
    """Propose to run a command on the selected hosts of a cluster."""
    answers: dict[str, Result] = {}
    changes = tuple(RunCommand(host.name, command, job.say, answers) for host in job.hosts)
    plan = Plan((Stage("exec", changes),))
    return Proposal(plan, destructive=command.sudo, quiet=not command.sudo, answers=answers)


def command(words: Sequence[str], *, script: str, sudo: bool, seconds: int) -> Command:
    """Return what shall be run.

    Raises:
        Trouble: the script cannot be read, or does not say what it is written in.
    """
    if not script:
        return Command(tuple(words), sudo=sudo, seconds=seconds)
    file = Path(script)
    try:
        content = file.read_bytes()
    except OSError as error:
        raise Trouble(f"cannot read {file}", why=error.strerror or str(error), next=f"ls -l {file}") from None
    if not content.startswith(b"#!"):
        raise Trouble(f"{file} does not say what it is written in", why="its first line is no #!", next="#!/bin/sh")
    return Command(tuple(words), content, file.name, sudo, seconds)
