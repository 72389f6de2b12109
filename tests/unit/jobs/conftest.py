"""What tests of real jobs share."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def home_of_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Jobs are login shells: they get a home without anybody's profile."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    return home
