"""Models that do, at step 2, what models should not; and `Counts`, which behaves."""

import os
import signal
import subprocess
import sys
import time

from triplane.models import InvalidInput


class Counts:
    """Records the number of each step, and what it can see of its environment. No checkpoints."""

    annotations = {"Counter": {"name": "counts::Counter", "entity": "facility", "doc": "", "parents": [], "all_parents": [], "vars": {}}}
    tables = {"Numbers": (("Number", "int"),), "Seen": (("Variables", "list"), ("Folder", "str"))}
    pace_s = 0.0
    checkpoint_every = 0

    def load(self, source, simulation_id, recorder):
        recorder.row("Seen", sorted(os.environ), os.getcwd())
        self.source = source
        self.pace_s = source.get("pace_s", 0.0)
        print("loading, said on standard output")
        return source.get("steps", 5)

    def step(self, number, recorder):
        recorder.row("Numbers", number)
        if number == 2:
            self.misbehave(recorder)

    def misbehave(self, recorder):
        pass

    def finish(self, recorder):
        return {"counted": True}

    def checkpoint(self):
        return b""

    def restore(self, checkpoint):
        pass


class Aborts(Counts):
    def misbehave(self, recorder):
        os.abort()


class Exits(Counts):
    def misbehave(self, recorder):
        sys.exit(3)


class Raises(Counts):
    def misbehave(self, recorder):
        raise RuntimeError("no more ore")


class Refuses(Counts):
    def load(self, source, simulation_id, recorder):
        raise InvalidInput("ore: must be there")


class Hangs(Counts):
    def misbehave(self, recorder):
        time.sleep(3_600)


class HangsInLoad(Counts):
    def load(self, source, simulation_id, recorder):
        time.sleep(3_600)


class HangsInCheckpoint(Counts):
    checkpoint_every = 2

    def checkpoint(self):
        time.sleep(3_600)


class ShutsItsEars(Counts):
    """Does not hear any polite request to end, and hangs."""

    def misbehave(self, recorder):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        time.sleep(3_600)


class Leaves(Counts):
    def misbehave(self, recorder):
        os._exit(0)


class DiesAtFour(Counts):
    checkpoint_every = 1

    def step(self, number, recorder):
        super().step(number, recorder)
        if number == 4:
            os.abort()


class FloodsOutput(Counts):
    def misbehave(self, recorder):
        while True:
            print("x" * 10_000)


class FloodsRows(Counts):
    def misbehave(self, recorder):
        for number in range(300_000):
            recorder.row("Numbers", number)


class FloodsPipe(Counts):
    """Finds the pipe to the gateway and writes to it by itself."""

    def misbehave(self, recorder):
        for descriptor in range(3, 20):
            try:
                os.write(descriptor, b"\xff" * 1_000_000)
            except OSError:
                continue
        time.sleep(3_600)


class Hogs(Counts):
    def misbehave(self, recorder):
        self.much = [bytearray(1 << 28) for _ in range(64)]


class Grows(Counts):
    """Takes a little more memory with every step."""

    def step(self, number, recorder):
        super().step(number, recorder)
        self.kept = [*getattr(self, "kept", []), bytearray(200 << 20)]


class Multiplies(Counts):
    def misbehave(self, recorder):
        for _ in range(12):
            if os.fork() == 0:
                time.sleep(3_600)
        time.sleep(3_600)


class AnswersTwice(Counts):
    """Forks in the middle of a step, so that both go on."""

    def misbehave(self, recorder):
        os.fork()


class LeavesAnOrphan(Counts):
    """As `LeavesAChild`, but the process has a session, and no parent, of its own."""

    def misbehave(self, recorder):
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                print("descendant", os.getpid(), file=sys.stderr, flush=True)
                time.sleep(3_600)
            os._exit(0)
        time.sleep(0.2)
        os.abort()


class LeavesAChild(Counts):
    """Starts a process that holds on to its pipes, says which it is, and dies."""

    def misbehave(self, recorder):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
        print("descendant", child.pid, file=sys.stderr, flush=True)
        os.abort()


class Undeclared(Counts):
    def misbehave(self, recorder):
        recorder.row("Surprise", 1)


class WrongType(Counts):
    def misbehave(self, recorder):
        recorder.row("Numbers", "three")


class Recorded(Counts):
    """Gives the tables of its input: at the load, and one row of each table under `per_step` in every step."""

    pace_s = 0.0

    def load(self, source, simulation_id, recorder):
        self.per_step = source.get("per_step", {})
        every = {**source.get("tables", {}), **self.per_step}
        self.tables = {name: tuple((c, k) for c, k in table["columns"]) for name, table in every.items()}
        for name, table in source.get("tables", {}).items():
            for row in table["rows"]:
                recorder.row(name, *row)
        return source.get("steps", 1_000)

    def step(self, number, recorder):
        for name, table in self.per_step.items():
            if number <= len(table["rows"]):
                recorder.row(name, *table["rows"][number - 1])


class TellsItsSteps(Counts):
    """Leaves a file for each step that it has computed, each in so much time."""

    def step(self, number, recorder):
        super().step(number, recorder)
        time.sleep(self.source.get("takes_s", 0.0))
        with open(os.path.join(self.source["folder"], str(number)), "w"):
            pass
