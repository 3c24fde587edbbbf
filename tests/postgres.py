"""A PostgreSQL server of the tests' own, started and stopped by them."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

# Debian keeps the server's programs off the path, a folder for each version.
DEBIAN = Path("/usr/lib/postgresql")


def programs() -> Path | None:
    """The folder of initdb and pg_ctl of the newest version, or None where they are not installed."""
    versions = sorted(DEBIAN.glob("*/bin/pg_ctl"), key=lambda path: float(path.parts[-3]))
    found = versions[-1] if versions else shutil.which("pg_ctl")
    return Path(found).resolve().parent if found and (Path(found).resolve().parent / "initdb").exists() else None


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def unprivileged() -> dict[str, object]:
    """Options of subprocess.run for a user other than root, whom the server refuses; none where this one is."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


@contextlib.contextmanager
def server(folder_of_programs: Path) -> Iterator[str]:
    """Run a server on a free loopback port and a temporary folder; gives the address to connect to."""
    user = unprivileged()
    folder = Path(tempfile.mkdtemp(prefix="whet-postgres-"))
    if user:
        os.chown(folder, user["user"], user["group"])

    def run(program: str, *arguments: object) -> None:
        log = folder / "log"
        done = subprocess.run(
            [folder_of_programs / program, "--pgdata", folder / "data", *map(str, arguments)],
            cwd=folder,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "UTC"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
            **user,
        )
        said = done.stdout + (log.read_text() if log.exists() else "")
        assert done.returncode == 0, f"{program} failed: {said[-2000:]}"

    try:
        run("initdb", "--username=whet", "--auth=trust", "--encoding=UTF8", "--no-sync")
        port = free_port()
        run("pg_ctl", "start", "-w", "-l", folder / "log", "-o", f"-F -h 127.0.0.1 -p {port} -k {folder}")
        try:
            yield f"postgresql://whet@127.0.0.1:{port}/postgres"
        finally:
            run("pg_ctl", "stop", "-w", "-m", "immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
