"""`[bridge.NAME]` of the config: secrets are read at the start, never shown, and what cannot be read is told by its key."""

import hashlib
import hmac
from pathlib import Path

import pytest

from triplane.bridges import bridges_for
from triplane.config import Config, ConfigError, installed_model, load
from triplane.config.documents import shown
from triplane.errors import Unauthenticated


def config_with(tmp_path: Path, text: str) -> Config:
    file = tmp_path / "triplane.toml"
    file.write_text(text)
    return load(installed_model(), file, {})


def test_a_secret_is_read_and_signs_events(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("between us\n")
    config = config_with(tmp_path, '[bridge.stripe]\nsecret_file = "secret"\ntargets = ["orders.*"]\n')
    bridges = bridges_for(config)
    signature = "sha256=" + hmac.new(b"between us", b"body", hashlib.sha256).hexdigest()
    assert bridges.targets("stripe", b"body", signature) == ("orders.*",)
    assert bridges.targets("stripe", b"body", signature.upper().replace("SHA256", "sha256")) == ("orders.*",)
    for body, given in ((b"other", signature), (b"body", None), (b"body", ""), (b"body", signature[7:]), (b"body", "sha256=é")):
        with pytest.raises(Unauthenticated):
            bridges.targets("stripe", body, given)
    assert bridges.targets("another", b"body", None) == ("*",)
    assert "between us" not in repr(bridges.__dict__) and str(tmp_path) not in str(shown(config)["bridge"])


def test_what_is_wrong_with_secret_files_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    config = config_with(tmp_path, '[bridge.a]\nsecret_file = "nowhere"\n[bridge.b]\nsecret_file = "empty"\n')
    with pytest.raises(ConfigError) as refused:
        bridges_for(config)
    assert [problem.path for problem in refused.value.problems] == ["bridge.a.secret_file", "bridge.b.secret_file"]
