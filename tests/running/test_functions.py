"""The functions that a command line names."""

from __future__ import annotations

import subprocess
import sys

import cloudpickle
import pytest

from dask_verify.errors import InputError
from dask_verify.running.functions import Reference, beside, load, refer


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("words.py:ones", ("words.py", "ones")),
        ("words.py", ("words.py", "mapper")),
        ("a/b:c.py:Words.ones", ("a/b:c.py", "Words.ones")),
        ("package.module:ones", ("package.module", "ones")),
        ("package.module", ("package.module", "mapper")),
        (r"C:\words.py", (r"C:\words.py", "mapper")),
        (r"C:\words.py:ones", (r"C:\words.py", "ones")),
    ],
)
def test_names(text, expected):
    assert refer(text, "mapper") == Reference(*expected)


def test_a_mere_name_is_looked_for_beside_the_mapper():
    mapper = Reference("words.py", "ones")
    assert beside("total", mapper, "reducer") == Reference("words.py", "total")
    assert beside("Words.total", mapper, "reducer") == Reference("words.py", "Words.total")
    assert beside("sums.py", mapper, "reducer") == Reference("sums.py", "reducer")
    assert beside("sums:total", mapper, "reducer") == Reference("sums", "total")


def test_a_script_is_imported_once_and_not_as_a_program(here):
    mapper = load(Reference("words.py", "mapper"), "FUNCTION")
    assert mapper("To be") == [("to", 1), ("be", 1)]
    assert mapper.__module__ == "words"
    assert load(Reference("./words.py", "mapper"), "FUNCTION") is mapper


def test_functions_of_a_script_travel_by_value(here):
    """To a process that cannot import the script."""
    mapper = load(Reference("words.py", "mapper"), "FUNCTION")
    code = "import sys, pickle; print(pickle.load(sys.stdin.buffer)('To be'))"
    done = subprocess.run(
        [sys.executable, "-c", code], input=cloudpickle.dumps(mapper), capture_output=True, cwd="/"
    )
    assert done.stdout == b"[('to', 1), ('be', 1)]\n", done.stderr


def test_a_script_with_the_name_of_a_module_hides_nothing(here):
    import json

    (here / "json.py").write_text("def mapper(line):\n    return [(line, 1)]\n")
    assert load(Reference("json.py", "mapper"), "FUNCTION").__module__ == "script_json"
    assert sys.modules["json"] is json


def test_a_script_may_import_what_lies_beside_it(here):
    (here / "sub").mkdir()
    (here / "sub" / "beside_a_script.py").write_text("one = 1\n")
    (here / "sub" / "uses.py").write_text(
        "from beside_a_script import one\n\n\ndef f(x):\n    return one\n"
    )
    assert load(Reference("sub/uses.py", "f"), "FUNCTION")(None) == 1
    del sys.modules["beside_a_script"]


def test_a_module_is_found_in_the_current_folder(here):
    (here / "module_in_folder.py").write_text(
        "class Words:\n    def ones(line):\n        return 1\n"
    )
    assert load(Reference("module_in_folder", "Words.ones"), "FUNCTION")("") == 1
    del sys.modules["module_in_folder"]


@pytest.mark.parametrize(
    ("where", "name", "words"),
    [
        ("nowhere.py", "mapper", "expected a script, got 'nowhere.py', where none is"),
        ("no_such_module", "mapper", "a module that can be imported, got 'no_such_module'"),
        ("json.no_such", "mapper", "a module that can be imported, got 'json.no_such'"),
        ("words.py", "total", "expected the function 'total' in words.py, got none of that name"),
        ("words.py", "answer", "expected a function, got int 'answer' in words.py"),
        ("texts", "mapper", "a module that can be imported, got 'texts'"),
    ],
)
def test_what_is_not_there(here, where, name, words):
    (here / "texts").rename(here / "others")
    with pytest.raises(InputError) as caught:
        load(Reference(where, name), "--reducer")
    assert str(caught.value).startswith("--reducer: ")
    assert words in str(caught.value)


def test_what_there_is_instead_is_named(here):
    with pytest.raises(InputError, match=r"there are 'failing', 'mapper', 'reducer'$"):
        load(Reference("words.py", "total"), "--reducer")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("x = 1\nx.y", "got AttributeError: 'int' object has no attribute 'y' (line 2)"),
        ("def f(:", "got SyntaxError"),
        ("import no_such_package", "got ModuleNotFoundError"),
        ("raise SystemExit(3)", "got SystemExit: 3 (line 1)"),
    ],
)
def test_a_script_that_cannot_be_imported(here, code, words):
    (here / "broken.py").write_text(code)
    with pytest.raises(InputError) as caught:
        load(Reference("broken.py", "mapper"), "FUNCTION")
    assert words in str(caught.value)
    assert "broken" not in sys.modules
