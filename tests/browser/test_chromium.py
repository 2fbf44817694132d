"""What the other tests here rely on: Chromium runs, and believes what colours it is told."""

from __future__ import annotations

import pytest
from chromium import SCHEMES, page_text, screenshot

pytestmark = pytest.mark.browser

PAGE = """<!doctype html><title>t</title><p id="said"></p><script>
document.getElementById("said").textContent =
    matchMedia("(prefers-color-scheme: dark)").matches ? "it is dark" : "it is light";
</script>"""


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_page_knows_its_scheme(tmp_path, scheme):
    page = tmp_path / "page.html"
    page.write_text(PAGE)
    assert f"it is {scheme}" in page_text(page.as_uri(), scheme)


def test_a_picture_is_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("DASK_VERIFY_ARTIFACTS", str(tmp_path / "kept"))
    page = tmp_path / "page.html"
    page.write_text(PAGE)
    assert screenshot(page.as_uri(), "page", height=100).parent == tmp_path / "kept"
