"""Keys in a run directory: what a crash in the middle of a change leaves, and what stays revoked."""

import pytest

from triplane_cylc.faces import directory as module
from triplane_cylc.faces.builder import keys_for
from triplane_cylc.faces.directory import open_directory
from triplane_cylc.faces.keys import FaceKeys, KeyPair, read_pair, read_public
from triplane_cylc.faces.mark import Mark

MARK = Mark("us", "default", "w", "run-1")


class Killed(BaseException):
    """The process ends here."""


@pytest.fixture
def place(tmp_path):
    return open_directory(tmp_path, "w", MARK)


def client_view(place):
    """The keys that a client reads: its own public half, and the server's."""
    return read_pair((place.service / "client.key_secret").read_text()).public, read_public((place.service / "server.key").read_text())


def kill_at_write(monkeypatch, number):
    count, write = [0], module._write

    def dying(path, text, mode):
        count[0] += 1
        if count[0] == number:
            raise Killed
        write(path, text, mode)

    monkeypatch.setattr(module, "_write", dying)


@pytest.mark.parametrize("number", range(1, 6))
def test_a_rotation_that_is_killed_in_the_middle_leaves_a_face_that_clients_reach(place, monkeypatch, number):
    old, new = FaceKeys.generate(), FaceKeys.generate()
    place.write_keys(old)
    with monkeypatch.context() as patched:
        kill_at_write(patched, number)
        if number < 5:
            with pytest.raises(Killed):
                place.write_keys(new)
        else:
            place.write_keys(new)
    served = keys_for(open_directory(place.path.parent, "w", MARK))
    client, server = client_view(place)
    assert served.allowed["localhost"] == client and served.server.public == server


@pytest.mark.parametrize("number", range(1, 4))
@pytest.mark.parametrize("target", ["localhost", "hpc"])
def test_what_was_revoked_stays_so_wherever_the_process_is_killed_after_the_first_write(place, monkeypatch, target, number):
    keys = FaceKeys.generate()
    keys.allowed["hpc"] = KeyPair.generate().public
    revoked = keys.allowed[target]
    place.write_keys(keys)
    with monkeypatch.context() as patched:
        kill_at_write(patched, number + 1)
        try:
            place.write_keys(keys.without(target))
        except Killed:
            pass
    served = keys_for(open_directory(place.path.parent, "w", MARK))
    assert target in served.revoked and target not in served.allowed and revoked not in served.allowed.values()
    assert served.server == keys.server, "the others are still let in with what they have"


def test_a_key_keeps_its_time_while_it_is_not_replaced(place):
    keys = FaceKeys.generate()
    place.write_keys(keys)
    since = place.key_times()["localhost"]
    keys.allowed["hpc"] = KeyPair.generate().public
    place.write_keys(keys)
    assert place.key_times()["localhost"] == since and "hpc" in place.key_times()
    place.write_keys(FaceKeys.generate())
    assert set(place.key_times()) == {"localhost"}
