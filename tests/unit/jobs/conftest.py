"""What tests of real jobs share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from left_jobs import end_jobs


@pytest.fixture(autouse=True)
def home_of_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Jobs are login shells: they get a home without anybody's profile, and end with their test."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    yield home
    monkeypatch.undo()
    end_jobs(home)
