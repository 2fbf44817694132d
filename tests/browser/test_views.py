"""A saved report and what notebooks show, of a real job in which one domain lies."""

from __future__ import annotations

import html
import re
from pathlib import Path

import dask.dataframe as dd
import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from chromium import SCHEMES, WIDTH, artifacts, page_text, screenshot

from dask_verify import LocalDomainCluster, Policy, Verdict, verified_map_reduce
from dask_verify.testing import Tamper
from dask_verify.views.report import compact_html

pytestmark = [pytest.mark.browser, pytest.mark.cluster]

#: What JupyterLab has around an output, and what it does to tables in it.
NOTEBOOK = """<!doctype html><meta charset="utf-8"><style>
body{{background:{paper};color:{ink};margin:20px;
--jp-content-font-color1:{ink};--jp-content-font-family:system-ui,"DejaVu Sans";
--jp-code-font-family:"DejaVu Sans Mono"}}
.jp-RenderedHTMLCommon table{{border-collapse:collapse;font-size:12px;table-layout:fixed;
margin-left:auto;margin-right:auto}}
.jp-RenderedHTMLCommon td,.jp-RenderedHTMLCommon th{{text-align:right;vertical-align:middle;
padding:.5em;line-height:normal;white-space:normal;max-width:none;border:none}}
.jp-RenderedHTMLCommon tbody tr:nth-child(odd){{background:{stripe}}}
</style><div class="jp-RenderedHTMLCommon">{body}</div>"""
COLORS = {
    "light": {"paper": "#fff", "ink": "rgba(0,0,0,.87)", "stripe": "#f5f5f5"},
    "dark": {"paper": "#111", "ink": "rgba(255,255,255,.9)", "stripe": "#212121"},
}


def landed(flights):
    return flights.dropna(subset=["delay"])


def means(flights):
    return flights.groupby("carrier", as_index=False).delay.mean()


@pytest.fixture(scope="module")
def job():
    frame = pd.DataFrame(
        {
            "carrier": ["UA", "AA", "UA", "DL"] * 40,
            "origin": ["JFK", "LGA", "EWR", "JFK"] * 40,
            "delay": [11.0, 33.0, None, -25.0] * 40,
        }
    )
    names = ["alice", "bob", "carol"]
    with LocalDomainCluster(names, saboteurs={"bob": Tamper()}, dashboard_address=None) as cluster:
        job = verified_map_reduce(
            dd.from_pandas(frame, npartitions=5),
            landed,
            means,
            by="carrier",
            sort=True,
            client=cluster.get_client(),
            policy=Policy(replicas=2, audit=0.2, unit_records=4),
        )
        job.wait()
        yield job


@pytest.fixture(scope="module")
def saved(job, tmp_path_factory):
    """The report of the job, beside its result and the exhibits."""
    folder = tmp_path_factory.mktemp("saved")
    job.save(folder / "means.parquet")
    job.report.save_html(folder / "report.html")
    return folder / "report.html"


def pixels(picture: Path) -> np.ndarray:
    return matplotlib.image.imread(picture)[..., :3]


def looked_at(url: str, name: str, scheme: str, height: int = 1700) -> None:
    """Keep a picture that shows something, on the paper of its scheme."""
    found = pixels(screenshot(url, name, scheme, height))
    assert found.shape[:2] == (height, WIDTH)
    corner = found[2, 2].mean()
    assert corner > 0.9 if scheme == "light" else corner < 0.2
    ink = np.abs(found.mean(axis=2) - corner) > 0.5
    assert 0.005 < ink.mean() < 0.3, "text stands out from the paper"


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_saved_report(saved, job, scheme):
    assert job.verdict is Verdict.CORRECTED
    looked_at(saved.as_uri(), f"report-{scheme}", scheme)


@pytest.mark.parametrize("theme", SCHEMES)
def test_a_page_can_be_told_its_theme(saved, tmp_path, theme):
    other = next(scheme for scheme in SCHEMES if scheme != theme)
    page = tmp_path / "themed.html"
    text = saved.read_text().replace('<html lang="en">', f'<html lang="en" data-theme="{theme}">')
    page.write_text(text)
    picture = pixels(screenshot(page.as_uri(), f"report-themed-{theme}", other, 400))
    assert (picture[2, 2].mean() > 0.5) == (theme == "light")
    (artifacts() / f"report-themed-{theme}.png").unlink()


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("view", ["job", "running", "exhibit"])
def test_a_notebook(job, tmp_path, view, scheme):
    body = {
        "job": job._repr_html_,
        "running": lambda: compact_html(job._report(brief=True)),
        "exhibit": lambda: job.exhibits[0]._repr_html_(),
    }[view]()
    page = tmp_path / "notebook.html"
    page.write_text(NOTEBOOK.format(body=body, **COLORS[scheme]))
    # The scheme of the system is the other one: in a notebook its own theme counts.
    other = next(one for one in SCHEMES if one != scheme)
    name = f"notebook-{view}-{scheme}"
    found = pixels(screenshot(page.as_uri(), name, other, 1500 if view == "job" else 700))
    corner = found[2, 2].mean()
    assert (corner > 0.5) == (scheme == "light")
    assert (np.abs(found.mean(axis=2) - corner) > 0.5).mean() > 0.003


def measured(page: str, folder: Path) -> int:
    """How wide a page is that may run scripts."""
    free = re.sub(r"<meta http-equiv=[^>]*>", "", page)
    script = "<script>document.title = document.documentElement.scrollWidth</script>"
    (folder / "free.html").write_text(free.replace("</body>", f"{script}</body>"))
    dom = page_text((folder / "free.html").as_uri())
    return int(re.search(r"<title>(\d+)</title>", dom)[1])


def test_nothing_is_wider_than_the_window(saved, tmp_path):
    page = saved.read_text().replace("<details>", "<details open>")
    assert measured(page, tmp_path) <= WIDTH
    wide = page.replace("<bdi>bob</bdi>", f"<bdi>{'b' * 1500}</bdi>").replace("JFK", "J" * 900)
    assert wide != page
    assert measured(wide, tmp_path) <= WIDTH


def test_no_script_runs_in_a_page_even_if_there_were_one(saved, tmp_path):
    script = "<script>document.title = 'a script has run'</script>"
    page = tmp_path / "scripted.html"
    page.write_text(saved.read_text().replace("</body>", f"{script}</body>"))
    title = re.search(r"<title>(.*?)</title>", page_text(page.as_uri()))[1]
    assert html.unescape(title).startswith("Verified job")
