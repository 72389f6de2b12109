"""The run directory of a face: what is in it, in what order it comes and goes, and whose it must be."""

import os
import shutil
import stat

import pytest

from triplane_cylc.faces.contact import Contact, ProcessIdentity, parse_contact, this_process
from triplane_cylc.faces.directory import STAGING_PREFIX, NotOurDirectory, find_marked, open_directory
from triplane_cylc.faces.keys import BadCertificate, FaceKeys, KeyPair, certificate, read_pair, read_public
from triplane_cylc.faces.mark import BadMark, Mark, parse_mark

MARK = Mark(gateway="g1", namespace="default", workflow_id="demo", uuid="u1")


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def contact(directory, **changes):
    facts = {
        "face_name": "demo", "host": "localhost", "port": 43001, "publish_port": 43002, "pid": 7, "command": "python serve",
        "owner": "me", "run_dir": str(directory.path), "uuid": "u1",
    }  # fmt: skip
    return Contact(**{**facts, **changes})


@pytest.fixture
def directory(tmp_path):
    return open_directory(tmp_path / "cylc-run", "demo", MARK)


def test_a_new_directory_carries_the_mark_from_its_first_moment(directory, tmp_path):
    assert parse_mark((directory.path / ".service" / "triplane").read_text()) == MARK
    assert [entry.name for entry in (tmp_path / "cylc-run").iterdir()] == ["demo"]


def test_keys_are_written_with_the_modes_that_cylc_uses_and_read_back_the_same(directory):
    keys = FaceKeys.generate()
    directory.write_keys(keys)
    service = directory.service
    for name in ("server.key", "server.key_secret", "client.key_secret", "client_public_keys/client_localhost.key"):
        assert mode(service / name) == 0o600, name
    assert mode(service / "client_public_keys") == 0o755
    assert directory.load_keys() == keys
    assert keys.client.public != keys.server.public
    assert keys.server.secret.decode() not in repr(keys)


def test_rotated_keys_replace_the_old_ones_and_drop_targets_no_longer_allowed(directory):
    old = FaceKeys.generate()
    old.allowed["remote"] = KeyPair.generate().public
    directory.write_keys(old)
    assert directory.load_keys() == old
    new = FaceKeys.generate()
    directory.write_keys(new)
    assert directory.load_keys() == new
    assert not (directory.service / "client_public_keys" / "client_remote.key").exists()


@pytest.mark.parametrize("damage", ["server.key_secret", "client.key_secret", "client_public_keys/client_localhost.key"])
def test_keys_of_which_one_is_damaged_are_not_used(directory, damage):
    directory.write_keys(FaceKeys.generate())
    (directory.service / damage).write_text("curve\n  public-key = nonsense\n")
    assert directory.load_keys() is None


def test_pyzmq_reads_our_certificates_and_we_read_its(tmp_path):
    import zmq.auth

    pair = KeyPair.generate()
    (tmp_path / "ours.key_secret").write_text(certificate(pair.public, pair.secret))
    assert zmq.auth.load_certificate(str(tmp_path / "ours.key_secret")) == (pair.public, pair.secret)
    public_file, secret_file = zmq.auth.create_certificates(tmp_path, "theirs")
    theirs = zmq.auth.load_certificate(secret_file)
    assert read_pair(open(secret_file).read()) == KeyPair(*theirs)
    assert read_public(open(public_file).read()) == theirs[0]
    with pytest.raises(BadCertificate, match="no secret key"):
        read_pair(open(public_file).read())


def test_the_contact_file_has_every_key_that_clients_need_in_order(directory):
    directory.write_contact(contact(directory))
    text = directory.contact_path.read_text()
    values = parse_contact(text)
    assert mode(directory.contact_path) == 0o644
    assert text.splitlines() == sorted(text.splitlines())
    assert values["CYLC_API"] == "5" and values["CYLC_VERSION"] == "8.5.4"
    assert values["CYLC_WORKFLOW_PUBLISH_PORT"] == "43002" and values["CYLC_WORKFLOW_ID"] == "demo"
    directory.remove_contact()
    directory.remove_contact()
    assert not directory.contact_path.exists()


def test_an_equals_sign_in_a_value_survives_the_contact_file(directory):
    values = parse_contact(contact(directory, command="python serve --set=a=b").text())
    assert values["CYLC_WORKFLOW_COMMAND"] == "python serve --set=a=b"


def test_this_process_is_named_as_the_kernel_names_it():
    identity = this_process()
    assert identity.pid == os.getpid()
    with open(f"/proc/{os.getpid()}/cmdline", "rb") as file:
        assert identity.command.encode() == file.read().rstrip(b"\0").replace(b"\0", b" ")


@pytest.mark.parametrize(("argument", "fine"), [("serve", True), ("a=b", True), ("a b", False), ("~x", False), ("a*", False)])
def test_a_command_line_that_shells_would_quote_is_noticed(argument, fine):
    assert ProcessIdentity(1, ("triplane", argument)).is_unambiguous is fine


@pytest.mark.parametrize("content", ["nothing", "a scheduler's run", "another gateway's", "another workflow's", "a file", "a link"])
def test_a_directory_that_is_not_ours_is_refused_and_nothing_in_it_changes(tmp_path, content):
    root = tmp_path / "cylc-run"
    path = root / "demo"
    root.mkdir()
    elsewhere = tmp_path / "elsewhere"
    if content == "a file":
        path.write_text("mine")
    elif content == "a link":
        open_directory(tmp_path, "elsewhere", MARK)
        path.symlink_to(elsewhere)
    else:
        (path / ".service").mkdir(parents=True)
        if content == "a scheduler's run":
            (path / ".service" / "contact").write_text("CYLC_API=5\n")
        elif content == "another gateway's":
            (path / ".service" / "triplane").write_text(MARK.text().replace("g1", "g2"))
        elif content == "another workflow's":
            (path / ".service" / "triplane").write_text(MARK.text().replace("demo", "other"))
    before = sorted((str(p), p.lstat().st_mtime_ns, p.is_file() and p.read_bytes()) for p in root.rglob("*"))
    with pytest.raises(NotOurDirectory, match="nothing there was touched"):
        open_directory(root, "demo", MARK)
    assert sorted((str(p), p.lstat().st_mtime_ns, p.is_file() and p.read_bytes()) for p in root.rglob("*")) == before


def test_the_next_run_of_a_workflow_takes_the_directory_over_with_its_ports(directory, tmp_path):
    directory.remember_ports(43007, 43008)
    directory.write_contact(contact(directory))
    later = open_directory(tmp_path / "cylc-run", "demo", Mark("g1", "default", "demo", "u2"))
    assert (later.mark.uuid, later.mark.port, later.mark.publish_port) == ("u2", 43007, 43008)
    assert not later.contact_path.exists()


def test_a_directory_that_the_core_made_while_the_wire_was_off_is_ours_and_stays_the_cores(tmp_path):
    from triplane.entities import Run
    from triplane.errors import CannotNow
    from triplane.jobs.places import own_directory

    run = Run("default", "demo", "u1", 1, "graph", "demo", "", "running", created=1.0, updated=1.0)
    path = own_directory(tmp_path, run)
    assert open_directory(tmp_path, "demo", MARK).mark == MARK
    assert own_directory(tmp_path, run) == path
    (path / ".service" / "triplane").write_text(MARK.text().replace("demo", "other"))
    with pytest.raises(CannotNow):
        own_directory(tmp_path, run)


def test_a_closed_graph_keeps_its_files_and_our_mark_and_loses_what_made_it_a_face(directory):
    directory.write_keys(FaceKeys.generate())
    directory.write_definition("[scheduling]\n", real=False)
    for name in ("log/job", "share", "work", "bin"):
        (directory.path / name).mkdir(parents=True)
    directory.remove(keep_files=True)
    assert sorted(p.name for p in directory.path.iterdir()) == [".service", "bin", "log", "share", "work"]
    assert [p.name for p in directory.service.iterdir()] == ["triplane"]
    directory.remove(keep_files=False)
    assert list(directory.path.parent.iterdir()) == []


def test_a_directory_whose_mark_somebody_replaced_is_not_removed(directory):
    (directory.service / "triplane").write_text(MARK.text().replace("u1", "u9"))
    directory.remove(keep_files=False)
    assert directory.path.exists()


def test_the_stub_names_the_command_that_continues_the_run_and_the_real_definition_is_kept(directory):
    directory.write_definition("[scheduling]\n    [[graph]]\n", real=False)
    assert "triplane play demo" in (directory.path / "flow.cylc").read_text()
    assert (directory.path / "log/config/01-start-01.cylc").read_text() == "[scheduling]\n    [[graph]]\n"
    directory.write_definition("[scheduling]\n", real=True)
    assert (directory.path / "flow.cylc").read_text() == "[scheduling]\n"


def test_marked_directories_are_found_again_and_a_crashs_leftovers_go(directory, tmp_path):
    root = tmp_path / "cylc-run"
    (root / "someone_elses" / ".service").mkdir(parents=True)
    open_directory(root, "other", Mark("g2", "default", "other", "u2"))
    shutil.copytree(directory.path, root / f"{STAGING_PREFIX}dead")
    assert [found.path.name for found in find_marked(root, "g1")] == ["demo"]
    assert not (root / f"{STAGING_PREFIX}dead").exists()
    assert find_marked(tmp_path / "nowhere", "g1") == []


def test_a_name_too_long_for_the_file_system_leaves_nothing_behind(tmp_path):
    with pytest.raises(OSError):
        open_directory(tmp_path, "w_" + "_3a" * 128, MARK)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "format=2\n", MARK.text().replace("port=0", "port=x"), "x" * 5000])
def test_a_mark_that_cannot_be_read_is_no_mark(text):
    with pytest.raises(BadMark):
        parse_mark(text)
