"""Looking at everything that is stored: the file's structure, references between rows, and every history's checksums."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw

from triplane.keeping import manifest
from triplane.keeping.manifest import KeepingError
from triplane.store.interface import HistoryDamaged, SchemaTooNew, StoreBroken
from triplane.store.sqlite import open_store

RUNS_AT_ONCE = 500
MOST_FINDINGS = 100


@dataclass(slots=True)
class Verdict:
    """What was looked at, and what is wrong with it; `findings` is empty where all is sound."""

    runs: int = 0
    events: int = 0
    cursor: int = 0
    findings: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings


def verify(folder: Path, progress: Callable[[str, int, int], None]) -> Verdict:
    """Look at a data directory, also while its gateway runs, or at a backup. Changes nothing.

    Raises:
        KeepingError: there is nothing to look at, or nothing that this release can read.
    """
    verdict = Verdict()
    if (folder / manifest.FILE_NAME).exists():
        verdict.findings += manifest.check(folder, manifest.read(folder))
    try:
        store: Any = open_store(folder, readonly=True)
    except FileNotFoundError as error:
        raise KeepingError(f"there is no store in {folder}") from error
    except SchemaTooNew as error:
        raise KeepingError(str(error)) from error
    except (StoreBroken, OSError) as error:
        verdict.findings.append(str(error))
        return verdict
    try:
        progress("structure", 0, 1)
        verdict.findings += store.check()
        progress("structure", 1, 1)
        verdict.cursor = store.last_cursor()
        _verify_histories(store, verdict, progress)
    except apsw.Error as error:
        verdict.findings.append(f"the file cannot be read: {error}")
    finally:
        store.close()
    return verdict


def _verify_histories(store: Any, verdict: Verdict, progress: Callable[[str, int, int], None]) -> None:
    total, after = store.count_runs(), 0
    while found := store.run_ids_after(after, RUNS_AT_ONCE):
        for key, run_id in found:
            after = key
            verdict.runs += 1
            try:
                verdict.events += store.histories.verify(run_id)
            except HistoryDamaged as error:
                verdict.findings.append(str(error))
                if len(verdict.findings) >= MOST_FINDINGS:
                    verdict.findings.append("and perhaps more: it was not looked further")
                    return
        progress("histories", min(verdict.runs, total), total)
