"""Journals: what `sync` returned from is there, a torn end is dropped, a changed one refused."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import fsspec
import pytest

from dask_verify.engine import journal as module
from dask_verify.engine.journal import Journal, LocalLog
from dask_verify.errors import JournalError

if TYPE_CHECKING:
    from collections.abc import Iterator

RECORDS = [b"what it is", b"", b"what happened" * 100]


@pytest.fixture(params=["local", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "local":
        yield str(tmp_path / "job.journal")
        return
    filesystem = fsspec.filesystem("memory")
    yield "memory://folder/job.journal"
    filesystem.store.clear()
    filesystem.pseudo_dirs[:] = [""]


def written(place: str, records: list[bytes] = RECORDS, lots: int = 1) -> None:
    journal = Journal.create(place)
    for number, record in enumerate(records, 1):
        journal.write(record)
        if number % lots == 0:
            journal.sync()
    journal.sync()
    journal.close()


def read(place: str) -> list[bytes]:
    journal, records = Journal.reopen(place)
    journal.close()
    return records


@pytest.mark.parametrize("lots", [1, 2, 3])
def test_what_was_written_is_read(place: str, lots: int) -> None:
    written(place, lots=lots)
    assert read(place) == RECORDS


def test_a_journal_goes_on_where_it_ended(place: str) -> None:
    written(place)
    journal, _ = Journal.reopen(place)
    journal.write(b"more")
    journal.sync()
    journal.close()
    assert read(place) == [*RECORDS, b"more"]


def test_what_was_not_forced_to_disk_is_not_there(place: str) -> None:
    journal = Journal.create(place)
    journal.write(b"one")
    journal.sync()
    journal.write(b"two")
    journal.close()
    assert read(place) == [b"one"]


def test_there_is_one_journal_in_one_place(place: str) -> None:
    written(place)
    with pytest.raises(JournalError, match="expected no file of that name, got one"):
        Journal.create(place)
    assert read(place) == RECORDS


def test_a_journal_that_is_not_there(place: str) -> None:
    with pytest.raises(JournalError, match="expected a journal, got nothing there"):
        Journal.reopen(place)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="expected its folder, got nothing there"):
        Journal.create(tmp_path / "nowhere" / "journal")


def test_a_file_that_is_no_journal_and_a_folder(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("to be or not to be, that is the question")
    with pytest.raises(JournalError, match="expected one that dask_verify wrote, got another file"):
        Journal.reopen(tmp_path / "notes")
    with pytest.raises(JournalError, match="expected a file, got a folder"):
        Journal.reopen(tmp_path)
    for place in (tmp_path, f"file://{tmp_path}"):
        with pytest.raises(JournalError, match=r"not there yet, got a folder; name a file in it"):
            Journal.create(place)


def test_a_file_system_that_is_none() -> None:
    with pytest.raises(JournalError, match="cannot be opened"):
        Journal.create("nonsense://journal")


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    written(str(tmp_path / "journal"))
    assert stat.S_IMODE((tmp_path / "journal").stat().st_mode) == 0o600


@pytest.mark.parametrize("cut", [1, 15, 16, 17, 500])
def test_a_torn_end_is_dropped_and_written_over(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "journal"
    written(str(path))
    os.truncate(path, path.stat().st_size - cut)
    journal, records = Journal.reopen(path)
    assert records == RECORDS[:2]
    journal.write(b"instead")
    journal.sync()
    journal.close()
    assert read(str(path)) == [*RECORDS[:2], b"instead"]


@pytest.mark.parametrize("lots", [2, 3])
def test_a_torn_last_object_is_dropped_and_written_over(lots: int) -> None:
    place, filesystem = f"memory://torn{lots}/journal", fsspec.filesystem("memory")
    try:
        written(place, lots=lots)
        last = sorted(filesystem.glob(f"/torn{lots}/journal/*"))[-1]
        filesystem.pipe_file(last, filesystem.cat_file(last)[:-3])
        journal, records = Journal.reopen(place)
        assert records == RECORDS[:2]
        journal.write(b"instead")
        journal.sync()
        assert read(place) == [*RECORDS[:2], b"instead"]
    finally:
        filesystem.store.clear()
        filesystem.pseudo_dirs[:] = [""]


def test_an_object_that_is_missing_is_no_torn_end() -> None:
    place, filesystem = "memory://lost/journal", fsspec.filesystem("memory")
    try:
        written(place)
        filesystem.rm_file("/lost/journal/000000001.part")
        with pytest.raises(JournalError, match="one is missing"):
            read(place)
    finally:
        filesystem.store.clear()
        filesystem.pseudo_dirs[:] = [""]


@pytest.mark.parametrize("at", [0, 9, 20, 40, -1, -20])
def test_a_changed_journal_is_refused_and_left_as_it_is(tmp_path: Path, at: int) -> None:
    path = tmp_path / "journal"
    written(str(path))
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    with pytest.raises(JournalError, match="expected it as it was written") as caught:
        Journal.reopen(path)
    assert ("restore it from a copy" in str(caught.value)) == (not 0 <= at < 43)
    assert path.read_bytes() == bytes(data)


@pytest.mark.parametrize("data", [b"", bytes(100), b"\0" * 7])
def test_a_journal_without_a_job_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "journal"
    path.write_bytes(data)
    with pytest.raises(JournalError, match="got nothing whole: it had not even begun"):
        Journal.reopen(path)


OTHER = """
import sys
from dask_verify.engine.journal import Journal, LocalLog
from dask_verify.errors import JournalError
try:
    Journal.reopen(sys.argv[1])
except JournalError as error:
    print(error)
else:
    print("opened")
"""


def elsewhere(path: Path) -> str:
    """What another process says that opens a journal."""
    command = [sys.executable, "-c", OTHER, str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_only_one_process_writes_a_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = Journal.create(path)
    journal.write(b"one")
    journal.sync()
    assert "got one that is in use" in elsewhere(path)
    assert "cannot be opened" not in elsewhere(path)
    journal.close()
    assert elsewhere(path) == "opened\n"


def test_a_refused_journal_is_not_locked(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.write_bytes(b"nonsense" * 10)
    with pytest.raises(JournalError):
        Journal.reopen(path)
    assert "expected it as it was written" in elsewhere(path)


def test_a_full_disk_is_an_error_and_what_was_there_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal"
    journal = Journal.create(path)
    journal.write(b"one")
    journal.sync()
    write, room = os.write, [20]

    def full(file: int, data: memoryview) -> int:
        if room[0] == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken, room[0] = data[: room[0]], 0
        return write(file, taken)

    journal.write(b"two")
    with monkeypatch.context() as patch:
        patch.setattr(module.os, "write", full)
        with pytest.raises(JournalError, match="No space left on device; make room"):
            journal.sync()
    journal.close()
    assert read(str(path)) == [b"one"]


def test_it_is_on_disk_when_sync_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, int]] = []
    path, write, force = tmp_path / "journal", os.write, os.fsync
    journal = Journal.create(path)
    size = len(b"one") + 32

    def writing(file: int, data: memoryview) -> int:
        seen.append(("write", len(data)))
        return write(file, data[:10])  # systems may take a part

    def forcing(file: int) -> None:
        seen.append(("fsync", os.fstat(file).st_size))
        force(file)

    monkeypatch.setattr(module.os, "write", writing)
    monkeypatch.setattr(module.os, "fsync", forcing)
    journal.write(b"one")
    journal.sync()
    assert seen == [("write", 35), ("write", 25), ("write", 15), ("write", 5), ("fsync", size)]
    journal.sync()
    assert len(seen) == 5  # nothing new, nothing to wait for
    journal.close()


def test_errors_of_a_store_s_own_kind_are_the_journal_s() -> None:
    class ClientError(Exception):
        """As boto's: no OSError."""

    class Store(LocalLog):
        def __init__(self) -> None:
            self.parts: list[bytes] = []
            self.fails = True

        def add(self, data: bytes) -> None:
            if self.fails:
                raise ClientError("SlowDown")
            self.parts.append(data)

    store = Store()
    journal = Journal(store)
    journal.write(b"one")
    with pytest.raises(JournalError, match="SlowDown"):
        journal.sync()
    store.fails = False
    journal.write(b"two")
    with pytest.raises(JournalError, match="SlowDown"):
        journal.sync()  # "one" is missing: nothing may be acted on that came after it
    assert not store.parts


def test_of_two_processes_that_write_to_a_bucket_one_stops() -> None:
    place, filesystem = "memory://two/journal", fsspec.filesystem("memory")
    try:
        written(place)
        one, two = Journal.reopen(place)[0], Journal.reopen(place)[0]
        for journal in (one, two):
            journal.write(b"resumed")
        one.sync()
        with pytest.raises(JournalError, match="another process"):
            two.sync()
        assert read(place) == [*RECORDS, b"resumed"]
    finally:
        filesystem.store.clear()


@pytest.mark.parametrize("name", ["job[1]", "job?", "job*"])
def test_a_name_is_no_pattern(name: str) -> None:
    """Neither is a journal lost by its name, nor is that of another job gone on with."""
    filesystem = fsspec.filesystem("memory")
    place, other = f"memory://names/{name}", "memory://names/job1"
    try:
        written(other, [b"other"])
        with pytest.raises(JournalError, match="nothing there"):
            Journal.reopen(place)
        written(place)
        assert (read(place), read(other)) == (RECORDS, [b"other"])
        with pytest.raises(JournalError, match="no file of that name"):
            Journal.create(place)
    finally:
        filesystem.store.clear()
        filesystem.pseudo_dirs[:] = [""]
