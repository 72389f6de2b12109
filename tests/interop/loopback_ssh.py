"""A real OpenSSH server on loopback with keys and a configuration of its own: a job host, and the way back from it.

It listens on two ports. Whoever comes in by the first is on the "job host", whose home is a folder of its own; by the
second, on the gateway's machine with the gateway's home.
"""

import getpass
import os
import shlex
import socket
import subprocess
import time
from pathlib import Path
from typing import Self

from gateway_process import free_ports
from interop.packages import program

HOST = "jobhost"
READY_S = 10.0


class LoopbackSsh:
    """Use it as a context manager.

    Attributes:
        home: $HOME on the job host.
        to_job_host, to_gateway: ssh commands for `ssh_command`; any host name leads to loopback.
    """

    def __init__(self, directory: Path, gateway_home: Path, path: str) -> None:
        self._sshd = program("sshd", "openssh-server", "openssh-client")
        self._directory = directory
        self.home = directory / "jobhost-home"
        for folder in (directory, self.home):
            folder.mkdir(parents=True, exist_ok=True)
        there, back = free_ports(2)
        for key in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(directory / key)], check=True)
        (self.home / ".bash_profile").write_text(f"export PATH={shlex.quote(path)}:$PATH\n")
        (directory / "authorized").write_text((directory / "user.pub").read_text())
        enter = 'exec env HOME={home} /bin/sh -c "$SSH_ORIGINAL_COMMAND"'
        self._config = directory / "sshd_config"
        self._config.write_text(
            f"""
ListenAddress 127.0.0.1:{there}
ListenAddress 127.0.0.1:{back}
HostKey {directory}/host
PidFile none
AuthorizedKeysFile {directory}/authorized
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
StrictModes no
UsePAM no
MaxStartups 100
Match LocalPort {there}
    ForceCommand {enter.format(home=self.home)}
Match LocalPort {back}
    ForceCommand {enter.format(home=gateway_home)}
"""
        )
        client = directory / "ssh_config"
        client.write_text(
            f"Host *\n  HostName 127.0.0.1\n  User {getpass.getuser()}\n  IdentityFile {directory}/user\n  IdentitiesOnly yes\n"
            "  StrictHostKeyChecking no\n  UserKnownHostsFile /dev/null\n  LogLevel ERROR\n  BatchMode yes\n  ConnectTimeout 5\n"
        )
        self.to_job_host = f"ssh -F {client} -p {there}"
        self.to_gateway = f"ssh -F {client} -p {back}"
        self._ports = (there, back)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        with (self._directory / "sshd.log").open("ab") as log:
            self._process = subprocess.Popen([str(self._sshd), "-D", "-e", "-f", str(self._config)], stderr=log)
        end = time.monotonic() + READY_S
        while not all(_answers(port) for port in self._ports):
            said = (self._directory / "sshd.log").read_text()
            assert self._process.poll() is None and time.monotonic() < end, f"sshd did not start:\n{said}"
            time.sleep(0.05)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait()


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1.0):
            return True
    except OSError:
        return False
