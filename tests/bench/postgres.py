"""A PostgreSQL of its own for a measurement, with its default durability, on a loopback port and a temporary directory."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Self

from environments import postgres_programs
from gateway import free_ports

READY_S = 30.0


class Postgres:
    """From initdb to a fast shutdown; as root its programs run as the user `postgres`, who alone may run them.

    Raises:
        CannotBeHad: it is not installed. RuntimeError: it did not start.
    """

    def __init__(self) -> None:
        programs = postgres_programs()
        self.programs, self.directory = programs, Path(tempfile.mkdtemp(prefix="postgres-"))
        self.port = free_ports(1)
        self.process: subprocess.Popen[bytes] | None = None
        self.options: dict[str, Any] = {"cwd": self.directory, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        if os.getuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(self.directory, user.pw_uid, user.pw_gid)
            environment = {"PATH": f"{programs}:/usr/bin:/bin", "LANG": "C"}
            self.options |= {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": [], "env": environment}
        self.version = subprocess.run([programs / "postgres", "--version"], capture_output=True, text=True, check=True).stdout.strip()

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def __enter__(self) -> Self:
        data = self.directory / "data"
        try:
            made = [str(self.programs / "initdb"), "-D", str(data), "-U", "bench", "-A", "trust", "-E", "UTF8"]
            subprocess.run(made, check=True, **self.options)
            self.process = subprocess.Popen(
                [
                    str(self.programs / "postgres"), "-D", str(data), "-p", str(self.port), "-k", str(self.directory),
                    "-c", "listen_addresses=127.0.0.1", "-c", "max_connections=200",
                ],
                **self.options,
            )  # fmt: skip
            self._until_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _until_ready(self) -> None:
        end = time.monotonic() + READY_S
        asked = [str(self.programs / "pg_isready"), "-h", "127.0.0.1", "-p", str(self.port)]
        while subprocess.run(asked, check=False, **self.options).returncode:
            if time.monotonic() > end or (self.process is not None and self.process.poll() is not None):
                raise RuntimeError("PostgreSQL did not start")
            time.sleep(0.1)

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            # SIGINT: do not wait for clients to leave.
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.send_signal(signal.SIGQUIT)
                self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def database(self, name: str) -> str:
        """Make a database; its URL for SQLAlchemy with psycopg."""
        made = [str(self.programs / "createdb"), "-h", "127.0.0.1", "-p", str(self.port), "-U", "bench", name]
        subprocess.run(made, check=True, **self.options)
        return f"postgresql+psycopg://bench@127.0.0.1:{self.port}/{name}"
