"""Trust files on disk: replaced at one go, and read only if they are files."""

from __future__ import annotations

import io
import os
import stat

import pytest

from dask_verify.errors import EvidenceError, TrustError
from dask_verify.evidence.enrolment.trust import Entry, Trust, load_trust, save_trust
from dask_verify.evidence.files import read_up_to
from dask_verify.protocol.domain import Identity

BOB = Entry("bob", Identity.generate("bob").public_key)
TRUST = Trust((Entry("alice", Identity.generate("alice").public_key), BOB))


def refused(match):
    return pytest.raises(TrustError, match=match)


def test_saved_and_loaded(tmp_path):
    path = tmp_path / "domains.toml"
    save_trust(path, Trust((BOB,)))
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    path.chmod(0o640)
    save_trust(path, TRUST)
    assert load_trust(path) == TRUST
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert os.listdir(tmp_path) == ["domains.toml"]


def test_a_link_stays_one(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "real")
    save_trust(tmp_path / "link", TRUST)
    assert (tmp_path / "link").is_symlink()
    assert load_trust(tmp_path / "real") == TRUST


def test_a_failure_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "domains.toml"
    save_trust(path, TRUST)

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("dask_verify.evidence.files.os.fsync", full)
    with refused("No space left"):
        save_trust(path, Trust())
    assert load_trust(path) == TRUST
    assert os.listdir(tmp_path) == ["domains.toml"]


def test_what_cannot_be_loaded(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for other in (tmp_path, tmp_path / "pipe", "/dev/zero"):
        with refused("a regular file"):
            load_trust(other)
    for missing in (tmp_path / "nothing", "nul\0l"):
        with refused("a file to read"):
            load_trust(missing)
    (tmp_path / "large").write_bytes(b"#" * ((1 << 20) + 1))
    with refused("at most 1,048,576 bytes"):
        load_trust(tmp_path / "large")
    (tmp_path / "bad").write_bytes(b"version = 3")
    with pytest.raises(EvidenceError, match=r"bad, trust file.version: expected .* got 3"):
        load_trust(tmp_path / "bad")
    with refused("a path to write to"):
        save_trust(tmp_path / "no" / "folder", TRUST)


class Noting(io.BytesIO):
    """A file that notes how many bytes were asked for at once: Python sets as many aside."""

    most = 0

    def read(self, size=-1):
        self.most = max(self.most, size)
        return super().read(size)


@pytest.mark.parametrize("size", [0, 5, 3 << 20])
def test_memory_is_taken_for_what_is_there(size):
    file = Noting(bytes(size))
    assert read_up_to(file, 1 << 30) == bytes(size)
    assert file.most == 1 << 20
    assert len(read_up_to(Noting(bytes(size)), 3)) == min(size, 3)
