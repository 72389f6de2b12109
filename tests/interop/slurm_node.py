"""Debian's Slurm as a cluster of one node, this machine, with a configuration of its own and munge to vouch for users."""

import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Self

from gateway_process import free_ports
from interop.packages import program

READY_S = 30.0


class SlurmNode:
    """Use it as a context manager, as root: slurmd starts jobs for users.

    Attributes:
        config: what clients find the cluster by, in `SLURM_CONF`.
    """

    def __init__(self, directory: Path) -> None:
        self._programs = {name: program(name, "slurm-wlm", "munge") for name in ("slurmctld", "slurmd", "munged", "sinfo")}
        self._directory = directory
        # Sockets' paths are short; pytest's folders are not.
        self.config = directory / "slurm.conf"
        for folder in ("state", "spool"):
            (directory / folder).mkdir(parents=True, exist_ok=True)
        controller, node = free_ports(2)
        name = os.uname().nodename.split(".")[0]
        self.config.write_text(
            f"""
ClusterName=triplane
SlurmctldHost={name}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
SlurmctldPort={controller}
SlurmdPort={node}
AuthType=auth/munge
AuthInfo=socket={directory}/munge.socket
CryptoType=crypto/munge
StateSaveLocation={directory}/state
SlurmdSpoolDir={directory}/spool
SlurmctldPidFile={directory}/slurmctld.pid
SlurmdPidFile={directory}/slurmd.pid
SlurmctldLogFile={directory}/slurmctld.log
SlurmdLogFile={directory}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_res
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0,defer=no
MpiDefault=none
ReturnToService=2
KillWait=5
OverTimeLimit=0
MailProg=/bin/true
LaunchParameters=
NodeName={name} NodeAddr=127.0.0.1 CPUs={os.cpu_count()} State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=YES:8
""".replace(",defer=no", "").replace("LaunchParameters=\n", "")
        )
        self._daemons: list[subprocess.Popen[bytes]] = []

    @property
    def log(self) -> str:
        """What the daemons wrote down, the end of it."""
        files = sorted(self._directory.glob("*.log"))
        return "\n".join(f"== {file.name}\n{file.read_text(errors='replace')[-3_000:]}" for file in files)

    def __enter__(self) -> Self:
        key = self._directory / "munge.key"
        key.write_bytes(os.urandom(1_024))
        key.chmod(0o400)
        place = self._directory
        # munged refuses folders that others may write to, as those above a test's own are.
        munge = [
            str(self._programs["munged"]), "--foreground", "--force", f"--key-file={key}", f"--socket={place}/munge.socket",
            f"--pid-file={place}/munge.pid", f"--log-file={place}/munged.log", f"--seed-file={place}/munge.seed",
        ]  # fmt: skip
        try:
            self._start("munged", munge)
            self._until("munge's socket", lambda: (place / "munge.socket").exists())
            self._start("slurmctld", [str(self._programs["slurmctld"]), "-D", "-i", "-f", str(self.config)])
            self._start("slurmd", [str(self._programs["slurmd"]), "-D", "-f", str(self.config)])
            self._until("an idle node", self._is_idle)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for daemon in reversed(self._daemons):
            daemon.terminate()
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        shutil.rmtree(self._directory / "spool", ignore_errors=True)

    def _start(self, name: str, command: list[str]) -> None:
        with (self._directory / f"{name}.out.log").open("ab") as out:
            environment = {**os.environ, "SLURM_CONF": str(self.config)}
            self._daemons.append(subprocess.Popen(command, stdout=out, stderr=out, env=environment, cwd=self._directory))

    def _is_idle(self) -> bool:
        done = subprocess.run(
            [str(self._programs["sinfo"]), "--noheader", "--format=%T"], env={**os.environ, "SLURM_CONF": str(self.config)},
            capture_output=True, text=True, timeout=20, check=False,
        )  # fmt: skip
        return done.stdout.strip() == "idle"

    def _until(self, what: str, holds: "object") -> None:
        end = time.monotonic() + READY_S
        assert callable(holds)
        while not holds():
            ended = [daemon.args for daemon in self._daemons if daemon.poll() is not None]
            if ended or time.monotonic() > end:
                raise RuntimeError(f"Slurm cannot start here: waited for {what}; ended: {ended}\n{self.log}")
            time.sleep(0.2)
