"""Backups on real servers: S3 in parts and SFTP, killed in the middle and gone on with, verified, and no secret in any word."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys

import pytest
import support
from backup.conftest import contents, whole
from backup.servers import SECRET, s3_server, ssh_server

from ckptrun import names
from ckptrun.backup import places, restoring

LARGE = 40 << 20  # bytes: three parts of S3, ten blocks of SFTP


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    with s3_server(tmp_path_factory.mktemp("s3") / "log") as server:
        yield server


@pytest.fixture(scope="module")
def sshd(tmp_path_factory):
    with ssh_server(tmp_path_factory.mktemp("ssh")) as server:
        yield server


@pytest.fixture
def ssh(sshd):
    """The server, which has taken leave of its clients when the test is over."""
    yield sshd
    support.wait_until(lambda: not sshd.process.children(), what="connections end")


@pytest.fixture(params=["s3", "sftp", "memory"])
def remote(request, s3, ssh, tmp_path, monkeypatch):
    """A URL, with the environment that it needs in this process."""
    if request.param == "memory":
        yield f"memory://{tmp_path.name}"
        return
    server = s3 if request.param == "s3" else ssh
    for name, value in server.env.items():
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name, raising=False)
    yield f"{server.url}/{tmp_path.name}" if request.param == "s3" else server.url(f"{tmp_path}/far away")


def test_there_and_back(world, remote, tmp_path):
    (item,) = world.save(7, files={"state.pt": b"state" * 100_000, "sub/more of it": b"m", "empty": b""})
    place = places.open_place(f"{remote}/digits", os.environ)
    made = world.back_up(item, place=place, verify=True)
    assert (made.state, made.how) == ("made", {"upload": 4}), made.reason
    assert world.back_up(item, place=place).state == "there"
    assert place.homes() == [item.name]
    kept = contents(item.path)
    shutil.rmtree(item.path)
    assert world.restore(place).state == "restored"
    assert contents(item.path) == kept
    assert whole(world.run.checkpoints) == [item.name]
    place.close()


def test_without_its_record_it_is_none_and_is_gone_on_with(world, remote):
    (item,) = world.save(7)
    place = places.open_place(f"{remote}/digits", os.environ)
    made = world.back_up(item, place=place)
    text = place.read(made.name, names.BACKUP_JSON)
    place.write(made.name, names.BACKUP_BEGUN, text)
    place.remove(made.name, names.BACKUP_JSON)
    place.remove(made.name, f"{item.name}/sub/more")
    assert restoring.newest(place) is None
    again = world.back_up(item, place=place)
    assert (again.state, again.sent) == ("made", len(b"m" * 10))
    place.close()


def test_damage_is_found_by_verify_and_not_restored(world, remote):
    (item,) = world.save(7)
    place = places.open_place(f"{remote}/digits", os.environ)
    made = world.back_up(item, place=place)
    size = os.path.getsize(os.path.join(item.path, "state.pt"))
    place.write(made.name, f"{item.name}/state.pt", b"x" * size)
    assert world.back_up(item, place=place).state == "there"
    assert "does not hold what was sent" in world.back_up(item, place=place, verify=True).reason
    shutil.rmtree(item.path)
    with pytest.raises(Exception, match="is damaged"):
        world.restore(place)
    assert world.items() == []
    place.close()


def command(world, url, *more):
    return ("backup", "--to", url, "--root", os.path.join(world.root, "runs"), "--json", *more, "digits")


@pytest.mark.timeout(240)
def test_a_killed_upload_to_s3_sends_no_part_twice(world, s3):
    (item,) = world.save(7, files={"state.pt": os.urandom(LARGE)})
    client = s3.client()
    key = f"backups/killed/digits/{item.name}/{item.name}/state.pt"

    def parts():
        found = client.list_multipart_uploads(Bucket="bucket").get("Uploads", [])
        return [
            part["PartNumber"]
            for each in found
            for part in client.list_parts(Bucket="bucket", Key=key, UploadId=each["UploadId"]).get("Parts", [])
        ]

    with support.start_ckptrun(*command(world, f"{s3.url}/killed"), cwd=world.root, env=s3.env) as it:
        support.wait_until(parts, what="a part arrives")
        it.signal(signal.SIGKILL)
        it.finish()
    before = parts()
    done = support.run_ckptrun(*command(world, f"{s3.url}/killed", "--verify"), cwd=world.root, env=s3.env)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["backups"][0]["state"] == "made"
    assert not client.list_multipart_uploads(Bucket="bucket").get("Uploads")
    assert before
    sent = s3.sent(key)
    assert {number: sent[number] for number in before} == dict.fromkeys(before, 1)
    assert set(sent) == {1, 2, 3}


@pytest.mark.timeout(240)
def test_a_killed_upload_over_ssh_goes_on_in_the_middle_of_the_file(world, ssh, tmp_path):
    (item,) = world.save(7, files={"state.pt": os.urandom(LARGE)})
    home = tmp_path / "far" / "digits" / item.name / item.name

    def begun():
        return [path for path in home.glob(".part-*") if path.stat().st_size > 9 << 20]

    args = command(world, ssh.url(f"{tmp_path}/far"))
    with support.start_ckptrun(*args, cwd=world.root, env=ssh.env) as it:
        support.wait_until(lambda: begun() or (home / "state.pt").exists(), what="some of it arrives")
        it.signal(signal.SIGKILL)
        it.finish()
    inode = [path.stat().st_ino for path in begun()]
    done = support.run_ckptrun(*args, "--verify", cwd=world.root, env=ssh.env)
    assert done.returncode == 0, done.stderr
    assert not list(home.glob(".part-*"))
    assert (home / "state.pt").stat().st_ino in (inode or [(home / "state.pt").stat().st_ino])
    assert contents(home) == contents(item.path)


def test_a_server_that_is_not_known_is_not_trusted(world, ssh, tmp_path):
    world.save(7)
    shutil.copytree(ssh.home, tmp_path / "stranger", ignore=shutil.ignore_patterns("known_hosts", "log"))
    env = {**ssh.env, "HOME": str(tmp_path / "stranger")}
    done = support.run_ckptrun(*command(world, ssh.url(f"{tmp_path}/far")), cwd=world.root, env=env)
    assert done.returncode == names.EXIT_IO, done.stderr
    assert "host key" in done.stderr.lower()
    assert not (tmp_path / "far").exists()


@pytest.mark.parametrize(
    "url",
    ["s3://key:{}@nowhere/x", "sftp://ana:{}@127.0.0.1:1/x", "ftp://ana:{}@127.0.0.1:1/x", "nonsense://ana:{}@x/y?sig={}"],
)
def test_no_password_in_any_word(world, s3, url):
    world.save(7)
    dest = url.format(SECRET, SECRET)
    for args in (command(world, dest), command(world, dest, "--dry-run"), ("restore", dest, "--to", "digits")):
        done = support.run_ckptrun(*args, cwd=world.root, env={**s3.env, "AWS_MAX_ATTEMPTS": "1"})
        assert done.returncode != 0
        assert SECRET not in done.stdout + done.stderr
    for name, body in contents(world.run.dir).items():
        assert SECRET.encode() not in body, name


def test_a_bucket_that_is_not_there_is_a_sentence(world, s3):
    world.save(7)
    done = support.run_ckptrun(*command(world, "s3://no-such-bucket/x"), cwd=world.root, env=s3.env)
    assert done.returncode == names.EXIT_IO, done.stderr
    assert "s3://no-such-bucket/x" in done.stderr
    assert "hint:" in done.stderr
    assert "fault in ckptrun" not in done.stderr


def test_without_fsspec_the_error_says_what_to_install(world):
    world.save(7)
    code = (
        "import sys; sys.modules['fsspec'] = None; from ckptrun.cli import main; sys.argv[0] = 'ckptrun'; sys.exit(main())"
    )
    done = support.run([sys.executable, "-c", code, *command(world, "s3://bucket/x")], cwd=world.root)
    assert done.returncode == 2, done.stderr
    assert "pip install 'ckptrun[remote]'" in done.stderr
