"""The figures of the documentation, made from the package itself.

``python docs/figures.py`` writes them anew; Sphinx does, too, whenever it builds the pages. They
are kept beside the pages so that they are seen where nobody builds anything.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from drawing import AMBER, BLUE, COLOURS, INK, PALE, PAPER, RED, Drawing

from dask_verify.core import odds
from dask_verify.core.merkle import BLAKE3, Ask, MerkleTree, descend
from dask_verify.core.proofs import height
from dask_verify.core.seal import SealedPartition, asked_columns
from dask_verify.execution.work import Work
from dask_verify.protocol.messages import MAP, Task
from dask_verify.testing.simulation.enrolment import make_plan

FOLDER = Path(__file__).parent / "figures"
LEAVES, WRONG, DEPTH = 16, 11, 2  #: of the trees that are descended


def search(one: MerkleTree, other: MerkleTree) -> tuple[list[Ask], int]:
    """Return the questions to one side, and the leaf at which a descent arrives."""
    asked, steps, answer = [], descend(BLAKE3, one.size, one.root, other.root, DEPTH), None
    try:
        while True:
            ask = next(steps) if answer is None else steps.send(answer)
            answer = (one if ask.side == "a" else other).descendants(
                ask.level, ask.index, ask.depth
            )
            asked += [ask] if ask.side == "a" else []
    except StopIteration as done:
        return asked, done.value.index


def descent() -> Drawing:
    """Draw two trees that differ in one leaf, and which of their hashes are looked at."""
    words = [f"cell {number}".encode() for number in range(LEAVES)]
    honest = MerkleTree(words)
    lying = MerkleTree([*words[:WRONG], b"a lie", *words[WRONG + 1 :]])
    asked, found = search(honest, lying)
    top, looked = height(LEAVES), {(height(LEAVES), 0)}
    for ask in asked:
        level = max(0, ask.level - ask.depth)
        down = ask.level - level
        looked |= {(level, i) for i in range(ask.index << down, (ask.index + 1) << down)}
    picture = Drawing(760, 350, "A descent to the first differing leaf of two Merkle trees")

    def place(level: int, index: int) -> tuple[float, float]:
        return (index + 0.5) * (1 << level) * 46 + 12, 40 + (top - level) * 58

    for level in range(top, 0, -1):
        for index in range(LEAVES >> level):
            for child in (2 * index, 2 * index + 1):
                picture.line(*place(level, index), *place(level - 1, child))
    for level in range(top, -1, -1):
        for index in range(LEAVES >> level):
            x, y = place(level, index)
            differs = honest.node(level, index) != lying.node(level, index)
            seen = (level, index) in looked
            fill = (RED if differs else BLUE) if seen else PAPER
            picture.box(x - 20, y - 11, 40, 22, fill, RED if differs else PALE)
            colour = PAPER if seen else RED if differs else INK
            picture.text(x, y + 4, honest.node(level, index).hex()[:4], colour, size=12)
    compared = len(looked) - 1
    picture.text(
        380,
        310,
        f"{LEAVES} leaves: {len(asked)} questions to each side, {compared} hashes from each"
        f" (filled); leaf {found} differs first",
    )
    picture.text(
        380, 332, "Red: hashes that differ between the sides. Blue: equal. White: never asked for."
    )
    return picture


def leaves() -> Drawing:
    """Draw the grid of cells of a map partition, and its leaves in their order."""
    buckets, units, partitions, unit, reduce = 6, 5, 3, 2, 1
    cells = tuple(f"{b},{c}".encode() for b in range(buckets) for c in range(units))
    sealed = SealedPartition(buckets, units, 0, (0,) * partitions, cells)
    commitment = sealed.commit(b"job", MAP, 0, "alice", b"inputs")
    column = asked_columns(commitment, [unit], "alice").indices
    work = Work("bag", str, str, None, buckets, partitions, None)
    start, stop = work.bounds(units)[reduce]
    picture = Drawing(
        760, 400, "Leaves in bucket-major order: a unit is a column, a section a range"
    )

    def paint(x: float, y: float, leaf: int, width: float) -> None:
        inside = start <= leaf < stop
        fill = AMBER if leaf in column else BLUE if inside else PAPER
        picture.box(x, y, width, 30, fill, BLUE if inside else PALE)
        picture.text(x + width / 2, y + 20, str(leaf), INK if fill == PAPER else PAPER, size=12)

    for bucket in range(buckets):
        picture.text(152, 64 + bucket * 36, f"bucket b = {bucket}", at="end")
        for c in range(units):
            paint(170 + c * 62, 44 + bucket * 36, bucket * units + c, 56)
    for c in range(units):
        picture.text(198 + c * 62, 32, f"unit {c}", AMBER if c == unit else INK)
    middle = 44 + (start + stop) // units * 18
    picture.text(492, middle, f"section of reduce partition {reduce}:", BLUE, "start")
    picture.text(492, middle + 18, f"leaves {start} to {stop - 1}", BLUE, "start")
    for leaf in range(len(cells)):
        paint(16 + leaf * 24.2, 300, leaf, 23)
    picture.text(16, 288, "the same leaves in the order of the tree", at="start")
    picture.text(
        16,
        356,
        f"Amber: unit {unit} is the column b * C + {unit}, wherever it stands.",
        AMBER,
        "start",
    )
    picture.text(
        16,
        378,
        "Blue: what one reduce partition reads is a contiguous range, with one short proof.",
        BLUE,
        "start",
    )
    return picture


def placement() -> Drawing:
    """Draw which domain executes which replica of which partition."""
    names, partitions, replicas = ("alice", "bob", "carol"), 9, 2
    plan = make_plan(*names, maps=partitions, replicas=replicas)
    picture = Drawing(760, 190, "Replica r of partition i goes to domain (i + r) mod D")
    for i in range(partitions):
        picture.text(160 + i * 64, 34, f"i = {i}")
        for r, name in enumerate(plan.rotation(Task(MAP, i))[:replicas]):
            picture.box(132 + i * 64, 48 + r * 44, 56, 36, COLOURS[names.index(name)])
            picture.text(160 + i * 64, 71 + r * 44, name, PAPER)
    for r in range(replicas):
        picture.text(112, 71 + r * 44, f"replica r = {r}", at="end")
    picture.text(
        380, 166, "Replica r of partition i goes to domain (i + r) mod D: every domain has work."
    )
    return picture


def curves() -> Drawing:
    """Draw the chance that corruption is caught, by the number of corrupt units."""
    left, right, top, bottom = 70, 730, 30, 320
    picture = Drawing(760, 390, "Chance that corrupt units are caught, for three audit rates")

    def x_of(corrupt: float) -> float:
        return left + (right - left) * math.log10(corrupt) / 4

    def y_of(chance: float) -> float:
        return bottom - (bottom - top) * chance

    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        picture.line(left, y_of(tick), right, y_of(tick))
        picture.text(left - 8, y_of(tick) + 4, f"{100 * tick:g} %", at="end")
    for power in range(5):
        picture.line(x_of(10**power), top, x_of(10**power), bottom)
        picture.text(x_of(10**power), bottom + 18, f"{10**power:,}")
    steps = [10 ** (step / 50) for step in range(201)]
    counts = sorted({round(step) for step in steps})
    for rate, colour in zip((0.1, 0.01, 0.001), COLOURS, strict=False):
        chances = [(x_of(m), y_of(odds.catch_probability(m, rate))) for m in counts]
        picture.curve(chances, colour)
        half = odds.smallest_corruption(rate, 0.5)
        assert half is not None
        x, y = x_of(half), y_of(odds.catch_probability(half, rate))
        picture.box(x - 4, y - 4, 8, 8, colour)
        picture.text(x + 10, y + 18, f"{100 * rate:g} %: {half:,} units", colour, "start")
    picture.text(400, bottom + 40, "corrupt units")
    picture.text(
        400, bottom + 60, "Marked: how many must be corrupt to be caught with a chance of one half."
    )
    return picture


FIGURES = {"descent": descent, "leaves": leaves, "placement": placement, "odds": curves}


def write(folder: Path = FOLDER) -> None:
    """Write all figures."""
    folder.mkdir(exist_ok=True)
    for name, draw in FIGURES.items():
        text = str(draw())
        path = folder / f"{name}.svg"
        # An equal file stays as it is, so that Sphinx does not read its pages again.
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write()
