"""The retriever benchmark's own sums; RecBole is not needed here."""

import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def quality(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))  # benchmarks are not installed
    return importlib.import_module("benchmarks.retriever.quality")


@pytest.fixture
def sides(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    return importlib.import_module("benchmarks.retriever.sides")


def curve(quality, *points):
    return [quality.Point(epoch, cpu, cpu, ndcg) for epoch, (cpu, ndcg) in enumerate(points, 1)]


def test_a_quality_both_reached_is_compared_at_its_first_time(quality):
    ours = curve(quality, (2.0, 0.01), (4.0, 0.03), (6.0, 0.02))
    theirs = curve(quality, (100.0, 0.005), (200.0, 0.02))
    found = quality.compare(ours, theirs, 0.02)
    assert (found.ours, found.theirs, found.ratio, found.at_least) == (4.0, 200.0, 50.0, False)


def test_what_they_did_not_reach_is_a_bound_and_says_so(quality):
    ours, theirs = curve(quality, (4.0, 0.03)), curve(quality, (100.0, 0.005), (200.0, 0.02))
    found = quality.compare(ours, theirs, 0.03)
    assert (found.theirs, found.ratio, found.at_least) == (None, 50.0, True)


def test_what_we_did_not_reach_has_no_ratio(quality):
    ours, theirs = curve(quality, (4.0, 0.01)), curve(quality, (200.0, 0.02))
    found = quality.compare(ours, theirs, 0.02)
    assert (found.ours, found.ratio, found.at_least) == (None, None, False)


def test_the_best_of_both_sides_is_among_the_levels(quality):
    ours, theirs = curve(quality, (4.0, 0.061), (5.0, 0.06)), curve(quality, (200.0, 0.0123))
    found = [level.ndcg for level in quality.levels(ours, theirs)]
    assert found == sorted({*quality.LEVELS, 0.061, 0.0123})


@pytest.mark.parametrize(
    ("validation", "stops"),
    [
        ([], False),
        ([0.3, 0.2, 0.2], False),  # two below the best are allowed
        ([0.3, 0.2, 0.2, 0.2], True),
        ([0.3, 0.2, 0.3, 0.2], False),  # an equal one is the best anew, as in RecBole
    ],
)
def test_training_ends_by_their_rule(quality, validation, stops):
    found = curve(quality, *((float(at), ndcg) for at, ndcg in enumerate(validation)))
    assert quality.has_stopped(found, 2) is stops


class FakeWorker:
    """Each part is half an epoch and 10 CPU seconds; what it is asked to keep are files."""

    def __init__(self):
        self.done = 0

    def ask(self, do, **asked):
        if do == "part":
            self.done += 1
            return {"cpu": 10.0, "epochs": self.done / 2, "batches": 5}
        if do == "evaluate":
            return {"cpu": 1.0, "metrics": {"ndcg@10": self.done / 100}}
        if do == "save":
            Path(asked["file"]).write_text(str(self.done))
        if do == "restore":
            self.done = int(Path(asked["file"]).read_text())
        return {"cpu": 0.0}


def an_epoch(side):
    side.train("part", batches=5)
    side.train("part", batches=5)
    side.evaluate()


def test_a_training_goes_on_where_the_last_run_ended(sides, tmp_path):
    kept, whole = sides.Kept(tmp_path / "recbole-x.json", {"users": 3}), sides.Side(FakeWorker())
    for _ in range(3):
        an_epoch(whole)
    first = sides.Side(FakeWorker())
    assert kept.restore(first) == 0
    an_epoch(first)
    kept.save(first, runs=1)
    an_epoch(first)
    kept.save(first, runs=1)
    first.train("part", batches=5)  # lost: the run is killed within the epoch

    second = sides.Side(FakeWorker())
    assert kept.restore(second) == 1
    assert second.cpu == 42.0
    an_epoch(second)
    assert second.as_dict() == whole.as_dict()
    assert [file.name for file in tmp_path.glob("*.pt")] == ["recbole-x.2.pt"]


def test_a_training_of_other_data_is_not_gone_on_with(sides, tmp_path):
    side = sides.Side(FakeWorker())
    an_epoch(side)
    sides.Kept(tmp_path / "recbole-x.json", {"users": 3}).save(side, runs=1)
    with pytest.raises(SystemExit, match="--fresh"):
        sides.Kept(tmp_path / "recbole-x.json", {"users": 4}).restore(sides.Side(FakeWorker()))
