"""Fresh processes: what they may import, how long they may take, and that none of them is left."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dask_verify.errors import CodeRefusedError, InputError
from dask_verify.evidence.exhibits import process, running
from dask_verify.evidence.exhibits.commands import exhibit as command
from dask_verify.evidence.exhibits.names import find

ORDER = process.Order(b"", (), (), (), "map", 0, (), False)
SCRIPT = "import pathlib\npathlib.Path(__file__).with_name('RAN').touch()\nx = 1\n"


class Fake:
    """A process that does as it is told."""

    def __init__(self, script: str) -> None:
        self.script = script
        self.started: list[subprocess.Popen[bytes]] = []
        self.popen = subprocess.Popen
        self.writing: int | None = None

    def __call__(self, command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        inherited = () if self.writing is None else (self.writing,)
        made = self.popen([sys.executable, "-c", self.script], pass_fds=inherited, **options)
        self.started.append(made)
        return made


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Fake:
    made = Fake(request.param)
    monkeypatch.setattr(subprocess, "Popen", made)
    return made


CHILD = (
    "import subprocess, sys; subprocess.Popen([sys.executable, '-c', {0!r}], close_fds=False,"
    " stdin=-3, stdout=-3, stderr=-3)"
)
ENDLESS = "import signal; signal.pause()"


@pytest.mark.parametrize("fake", [ENDLESS, CHILD.format(ENDLESS)], indirect=True)
def test_whatever_was_started_is_killed(fake: Fake) -> None:
    reading, fake.writing = os.pipe()
    assert isinstance(running.run(ORDER, 0.5), str)
    assert len(fake.started) == 2
    os.close(fake.writing)
    # It ends when the last process that has inherited the other end is gone.
    assert select.select([reading], [], [], 30)[0] == [reading]
    assert os.read(reading, 1) == b""
    os.close(reading)


@pytest.mark.parametrize("fake", [ENDLESS], indirect=True)
def test_an_interrupt_leaves_nothing_running(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    both = threading.Semaphore(0)
    kept = running._Started.process

    def started(self: Any, seed: int) -> Any:
        made = kept(self, seed)
        both.release()
        return made

    def interrupted(self: threading.Thread, timeout: float | None = None) -> None:
        both.acquire(timeout=30)
        both.acquire(timeout=30)
        raise KeyboardInterrupt

    monkeypatch.setattr(running._Started, "process", started)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "join", interrupted)
        with pytest.raises(KeyboardInterrupt):
            running.run(ORDER, 600)
    assert [one.wait(10) for one in fake.started] == [-signal.SIGKILL] * 2


@pytest.mark.parametrize("timeout", ["nan", "inf", "1e300", "0", "-1", "x"])
def test_times_that_are_none(tmp_path: Path, timeout: str) -> None:
    done = CliRunner().invoke(command, ["replay", str(tmp_path / "absent"), "--timeout", timeout])
    assert done.exit_code == 2
    assert "--timeout" in done.output
    if timeout != "x":
        with pytest.raises(InputError, match="timeout"):
            running.run(ORDER, float(timeout))


@pytest.mark.parametrize(
    ("path", "kept"), [("", None), (":", None), ("/a::b:./c:/d", "/a:/d"), (None, None)]
)
def test_relative_folders_are_not_looked_into(
    monkeypatch: pytest.MonkeyPatch, path: str | None, kept: str | None
) -> None:
    if path is None:
        monkeypatch.delenv("PYTHONPATH", raising=False)
    else:
        monkeypatch.setenv("PYTHONPATH", path)
    assert running._environment(1).get("PYTHONPATH") == kept


def test_what_a_process_may_use_is_limited() -> None:
    resource = pytest.importorskip("resource")
    code = (
        "import resource; from dask_verify.evidence.exhibits import process; process._limit();"
        " print(resource.getrlimit(resource.RLIMIT_AS)[0])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    most = process._MEMORY if hard == resource.RLIM_INFINITY else min(process._MEMORY, hard)
    assert int(done.stdout) == most, done.stderr


# --- what is imported ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "module"),
    [
        ("reset_database.py", "reset_database"),
        ("tools/__init__.py", "tools"),
        ("tools/__init__.py", "tools.absent"),
    ],
)
def test_a_script_is_not_run_to_find_that_it_has_no_such_function(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, module: str
) -> None:
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(SCRIPT)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(CodeRefusedError, match=r"does not define|cannot be imported"):
        find("mapper", f"{module}:x")
    assert not (path.parent / "RAN").exists()


@pytest.mark.parametrize("folder", ["site-packages", "dist-packages"])
def test_every_folder_of_packages_counts_as_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    place = tmp_path / "apps" / folder
    place.mkdir(parents=True)
    (place / "modulelike.py").write_text("def run(command):\n    return command\n")
    monkeypatch.syspath_prepend(str(place))
    with pytest.raises(CodeRefusedError, match="of an installed package; --trust-module"):
        find("mapper", "modulelike:run")
    assert find("mapper", "modulelike:run", ["modulelike"])("x") == "x"


@pytest.mark.parametrize("source", ["def x(:", "\x00", "class A:\n    def x(self): pass\n", "("])
def test_sources_that_define_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    (tmp_path / "odd_code.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(CodeRefusedError, match="does not define"):
        find("mapper", "odd_code:x")


@pytest.mark.parametrize("name", ["run", "data_file", "os", "_unzipped"])
def test_of_the_demo_only_what_it_maps_and_reduces_with_is_run(name: str) -> None:
    with pytest.raises(CodeRefusedError, match="a library for general use"):
        find("mapper", f"dask_verify.demo:{name}")
