"""Trying a driver for large payloads: write, read back, compare, remove. Runs in a thread, for it waits for disks."""

import hashlib
import os
import secrets
from pathlib import Path
from typing import Any

INSTALLED = ("local",)


def probe(data_dir: Path | None, namespace: str, driver: str, disk: str, sizes: tuple[int, int]) -> dict[str, Any]:
    """What came of trying a driver.

    Args:
        data_dir: the gateway's; local probes write below it.
        disk: the name of the disk as configured; it is a name, and never a path.
        sizes: bytes of the small and of the large payload.

    Returns:
        `{"driver", "status": "passed", "small_payload", "large_payload"}` with `{"status", "bytes", "sha256",
        "reference_uri"}` each, or `{"driver", "status": "failed", "reason", "message"}`.
    """
    if driver not in INSTALLED or data_dir is None:
        return {
            "driver": driver, "status": "failed", "reason": "storage_driver_unavailable",
            "message": f"this gateway can keep the setting, but has no {driver!r} driver to try it with; "
            f"installed: {', '.join(INSTALLED)}",
        }  # fmt: skip
    # A name from a client is never part of a path: its digest is.
    place = data_dir / "external" / hashlib.sha256(f"{namespace}\0{disk}".encode()).hexdigest()[:32]
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        small, large = (_round_trip(place, namespace, size) for size in sizes)
    except OSError as error:
        return {
            "driver": driver, "status": "failed", "reason": "storage_not_writable",
            "message": f"the directory for local payloads cannot be used: {error.strerror or error}",
        }  # fmt: skip
    passed = small["status"] == large["status"] == "passed"
    outcome: dict[str, Any] = {"driver": driver, "status": "passed" if passed else "failed", "small_payload": small, "large_payload": large}
    if not passed:
        outcome |= {"reason": "storage_integrity", "message": "what was read back is not what was written"}
    return outcome


def _round_trip(place: Path, namespace: str, size: int) -> dict[str, Any]:
    payload = secrets.token_bytes(size)
    digest, name = hashlib.sha256(payload).hexdigest(), secrets.token_hex(16)
    file = place / name
    try:
        with file.open("xb") as written:
            written.write(payload)
            written.flush()
            os.fsync(written.fileno())
        found = hashlib.sha256(file.read_bytes()).hexdigest()
    finally:
        file.unlink(missing_ok=True)
    return {
        "status": "passed" if found == digest else "failed",
        "bytes": size,
        "sha256": digest,
        "reference_uri": f"local://{namespace}/{name}",
    }
