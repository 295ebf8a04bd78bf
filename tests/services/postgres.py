"""A private PostgreSQL server for tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from tests.services.harness import wait_for
from tests.support.absent import absent

from meshtrail.local.ports import Ports

PASSWORD = "hunter2"


class Postgres:
    """A private PostgreSQL server in a folder of its own; as root it runs as the user `postgres`."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self.folder = folder
        self.programs = programs
        self.as_user: list[str] = []
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
            self.as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]
        # Held: the server finds its port free again after a restart.
        self._ports = Ports()
        self.port = self._ports.free()
        self.url = f"postgresql://demo:{PASSWORD}@127.0.0.1:{self.port}/postgres"
        secret = folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        self._run(
            "initdb", "--pgdata", str(folder / "data"), "-U", "demo", "-A", "md5", "--no-sync", f"--pwfile={secret}"
        )
        self.process: subprocess.Popen[bytes] | None = None

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self.as_user, str(self.programs / program), *arguments]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "fsync": "off",
        }
        settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        self.process = subprocess.Popen(
            [*self.as_user, str(self.programs / "postgres"), "-D", str(self.folder / "data"), *settings],
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for(self._answers, "PostgreSQL to answer")

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(3)  # SIGQUIT: at once, as a crash would be
            self.process.wait(20)
            self.process = None

    def release(self) -> None:
        self._ports.close()

    def execute(self, statement: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement.encode())


@contextmanager
def private_server() -> Iterator[Postgres]:
    """A server that does not run yet; the test skips when the machine has no PostgreSQL."""
    candidates = [Path(found).parent for name in ("postgres",) if (found := shutil.which(name))]
    candidates += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    programs = next((path for path in candidates if (path / "initdb").exists() and (path / "postgres").exists()), None)
    if programs is None:
        absent("no PostgreSQL server on this machine (initdb and postgres)")
    assert programs is not None
    if os.geteuid() == 0 and not shutil.which("setpriv"):
        absent("PostgreSQL does not run as root, and there is no setpriv")
    with tempfile.TemporaryDirectory(prefix="meshtrail-pg-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        postgres = Postgres(Path(folder), programs)
        try:
            yield postgres
        finally:
            postgres.stop()
            postgres.release()
