"""Commands to type next: each can be pasted into a shell as it stands."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest
from invoke import Collection

import tasks
from scout_ollama.hints import on
from scout_ollama.inventory import Host, Ssh

COMMANDS = [
    "true",
    "sudo journalctl -u k3s -n 50 --no-pager",
    "nvidia-smi -L; sudo dmesg | grep -i 'xid'",
    """echo "it's" $HOME `id` \\ & #""",
]


def host(address: str = "192.0.2.11", **ssh: object) -> Host:
    return Host(address=address, roles=frozenset({"server"}), ssh=Ssh.model_validate(ssh))


def test_the_user_and_the_address_are_the_inventorys() -> None:
    assert on(host(), "uptime") == "ssh scout@192.0.2.11 uptime"
    assert on(host(user="admin"), "uptime") == "ssh admin@192.0.2.11 uptime"


def test_a_jump_host_a_port_and_a_key_are_given_only_where_they_differ() -> None:
    there = host(jump="ops@jump.example.edu:2022", port=2222, key_file="/keys/scout")
    assert shlex.split(on(there, "uptime")) == [
        *("ssh", "-i", "/keys/scout", "-J", "ops@jump.example.edu:2022", "-p", "2222"),
        *("scout@192.0.2.11", "uptime"),
    ]


def test_a_key_in_a_directory_with_a_space_stays_one_word() -> None:
    key = Path("/home/jo doe/it's/id_ed25519")
    assert shlex.split(on(host(key_file=key), "uptime"))[1:3] == ["-i", str(key)]


def test_an_ipv6_address_is_given_as_ssh_takes_it() -> None:
    assert on(host("2001:db8::1"), "uptime") == "ssh scout@2001:db8::1 uptime"


@pytest.mark.parametrize("command", COMMANDS)
def test_the_hosts_shell_gets_the_command_as_it_was_meant(command: str, tmp_path: Path) -> None:
    """Pasted into a real shell, with an ``ssh`` that prints its last word."""
    ssh = tmp_path / "ssh"
    ssh.write_text('#!/bin/sh\nfor word; do :; done; printf %s "$word"\n')
    ssh.chmod(0o755)
    paths = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["sh", "-c", on(host(), command)], env=paths, capture_output=True, text=True, check=True)
    assert done.stdout == command


def test_every_command_that_a_message_or_a_document_names_is_one_that_there_is() -> None:
    named = subprocess.run(
        [
            "git",
            "grep",
            "-hoE",
            r"\binv ([a-z]+-[a-z-]+[a-z]|exec|audit|render)\b",
            "--",
            "scout_ollama",
            "docs",
            "*.md",
        ],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert len(named) > 50
    assert {line.split()[1] for line in named} <= set(Collection.from_module(tasks).task_names)
