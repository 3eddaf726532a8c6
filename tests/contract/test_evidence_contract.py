"""What every evidence keeps: the registered ones; inherit the class for one that is not."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import sparse

from kg.errors import ChangeSomethingError
from personarec.evaluation.sequences import Sequences
from personarec.personas.encoder import DensePersonas
from personarec.personas.relational.rule import RecentPersonas
from personarec.retriever.checkpoint import load_checkpoint, pack, save_checkpoint, unpack_all
from personarec.retriever.evidence import (
    EVIDENCE,
    EvidenceData,
    FittedEvidence,
    build_evidence,
    evidence_config,
    restore_evidence,
    too_large,
)
from personarec.retriever.fusion import Evidence
from personarec.retriever.popularity import PopularityConfig, PopularityModel
from personarec.retriever.transitions import transition_counts

N_ITEMS, COLD, UNKNOWN = 24, 22, 23
"""Item 22 has facts and no interactions, item 23 has neither."""
PAST = [1, 3, 5]
FUTURES = ([7, 9, 11, 0], [8, 10, 2, 4])
"""Users 0 and 1 have the same past and go different ways."""


def sequences(order: NDArray[np.int64] | None = None) -> Sequences:
    """Two camps, two users of one past, an empty user; in another order where asked."""
    rng = np.random.default_rng(0)
    lists: list[list[int]] = [PAST + FUTURES[0], PAST + FUTURES[1]]
    for user in range(40):
        start = 11 * (user % 2)
        lists.append([int(i) for i in start + rng.choice(11, 3 + user % 4, replace=False)])
    made = Sequences.from_lists([*lists, []], N_ITEMS)
    return made if order is None else made.take(order)


def evidence_data(known: Sequences | None = None) -> EvidenceData:
    known = sequences() if known is None else known
    n = known.n_items
    rng = np.random.default_rng(1)
    facts = (rng.random((n, 9)) < 0.3).astype(np.float32)
    facts[np.arange(n), np.where(np.arange(n) < 11, 0, 1)] = 1  # its camp
    facts[UNKNOWN:] = 0
    relations = ("GENRE_IS",) * 4 + ("STARRING",) * 5
    return EvidenceData(known, sparse.csr_array(facts), relations, tuple(transition_counts(known)))


def one_item() -> EvidenceData:
    known = Sequences.from_lists([[0], []], 1)
    facts = sparse.csr_array(np.ones((1, 2), np.float32))
    return EvidenceData(known, facts, ("A", "B"), tuple(transition_counts(known)))


def without_facts() -> EvidenceData:
    known = sequences()
    nothing = sparse.csr_array((N_ITEMS, 0), dtype=np.float32)
    return EvidenceData(known, nothing, (), tuple(transition_counts(known)))


class EvidenceContract:
    """Inherit, and say how it is built and restored."""

    settings: ClassVar[Mapping[str, Any]] = {}
    scores_empty_sessions = False
    scores_cold_items = False

    def build(self, data: EvidenceData) -> FittedEvidence:
        raise NotImplementedError

    def restore(self, arrays: Mapping[str, Any], settings: Mapping[str, Any]) -> FittedEvidence:
        raise NotImplementedError

    @pytest.fixture
    def model(self) -> FittedEvidence:
        return self.build(evidence_data())

    def test_finite_numbers_for_all_items_in_an_array_of_its_own(
        self, model: FittedEvidence
    ) -> None:
        known = sequences()
        first = model.score(known)
        assert first.dtype == np.float32
        assert first.shape == (len(known), N_ITEMS)
        assert np.isfinite(first).all()
        assert first.any()
        kept = first.copy()
        first[:] = 7
        np.testing.assert_array_equal(model.score(known), kept)

    def test_built_again_it_is_the_same(self, model: FittedEvidence) -> None:
        known = sequences()
        np.testing.assert_array_equal(self.build(evidence_data()).score(known), model.score(known))

    def test_it_sees_the_visible_items_alone(self) -> None:
        assert leaks(self.build) == []

    def test_rows_follow_the_sessions(self, model: FittedEvidence) -> None:
        known = sequences()
        order = np.random.default_rng(3).permutation(len(known))
        np.testing.assert_allclose(
            model.score(known.take(order)), model.score(known)[order], atol=1e-6
        )

    def test_who_comes_first_among_the_users_does_not_matter(self, model: FittedEvidence) -> None:
        order = np.random.default_rng(4).permutation(len(sequences()))
        other = self.build(evidence_data(sequences(order)))
        known = sequences()
        np.testing.assert_allclose(other.score(known), model.score(known), rtol=1e-3, atol=1e-4)

    def test_an_empty_session(self, model: FittedEvidence) -> None:
        found = model.score(Sequences.from_lists([[], [1], []], N_ITEMS))
        assert np.isfinite(found).all()
        assert found[0].any() == self.scores_empty_sessions
        np.testing.assert_array_equal(found[0], found[2])
        assert model.score(Sequences.from_lists([], N_ITEMS)).shape == (0, N_ITEMS)

    def test_items_nobody_touched(self, model: FittedEvidence) -> None:
        strange = Sequences.from_lists(
            [[COLD], [UNKNOWN], [0, UNKNOWN], list(range(N_ITEMS)), [6, 6, 6]], N_ITEMS
        )
        assert np.isfinite(model.score(strange)).all()
        found = model.score(Sequences.from_lists([PAST], N_ITEMS))[0]
        assert (found[COLD] != 0) == self.scores_cold_items
        assert found[UNKNOWN] == 0

    def test_a_catalogue_of_one_item(self) -> None:
        model = self.build(one_item())
        found = model.score(Sequences.from_lists([[0], []], 1))
        assert found.shape == (2, 1)
        assert np.isfinite(found).all()

    def test_no_facts_at_all(self) -> None:
        assert np.isfinite(self.build(without_facts()).score(sequences())).all()

    def test_saved_and_loaded_it_scores_the_same(
        self, model: FittedEvidence, tmp_path: Path
    ) -> None:
        tensors: dict[str, Any] = {}
        for part, array in model.arrays().items():
            tensors |= pack(f"evidence.{part}", array)
        save_checkpoint(tmp_path / "saved", tensors, {"settings": model.config.model_dump()})
        read, document = load_checkpoint(tmp_path / "saved")
        again = self.restore(unpack_all("evidence.", read), document["settings"])
        known = sequences()
        np.testing.assert_array_equal(again.score(known), model.score(known))
        assert again.config == model.config

    def test_pickled_it_scores_the_same(self, model: FittedEvidence) -> None:
        again = pickle.loads(pickle.dumps(model))
        known = sequences()
        np.testing.assert_array_equal(again.score(known), model.score(known))


class Registered(EvidenceContract):
    name: ClassVar[str]

    def build(self, data: EvidenceData) -> FittedEvidence:
        return build_evidence(self.name, data, self.settings)

    def restore(self, arrays: Mapping[str, Any], settings: Mapping[str, Any]) -> FittedEvidence:
        return restore_evidence(self.name, arrays, json.loads(json.dumps(settings)))


class TestPopularity(Registered):
    name = "popularity"
    scores_empty_sessions = True


class TestTransitions(Registered):
    name = "transitions"


class TestTransitions2(Registered):
    name = "transitions-2"


class TestTransitions2ByFacts(Registered):
    name = "transitions-2"
    settings: ClassVar[Mapping[str, Any]] = {"likeness": 0.5}
    scores_cold_items = True


class TestLinear(Registered):
    name = "linear"


class TestLinearOfFacts(Registered):
    name = "linear+facts"
    scores_cold_items = True


class TestFacts(Registered):
    name = "facts"
    scores_cold_items = True


class TestWeightedFacts(Registered):
    name = "facts"
    settings: ClassVar[Mapping[str, Any]] = {"weights": {"STARRING": 2.0}}
    scores_cold_items = True

    def test_no_facts_at_all(self) -> None:
        assert not self.build(without_facts()).score(sequences()).any()


class TestFactRegression(Registered):
    name = "facts-regression"


class TestItemKnn(Registered):
    name = "item-knn"


class TestPersona(Registered):
    name = "persona"
    scores_empty_sessions = True
    scores_cold_items = True

    def build(self, data: EvidenceData) -> FittedEvidence:
        """With vectors of the items that no session has a say in; nothing says item 23."""
        n_items = data.sequences.n_items
        items, inputs = np.random.default_rng(5).random((2, n_items, 6), np.float32)
        items[UNKNOWN:] = 0
        ages = np.array([1, 0.5, 0.25], np.float32)
        encoder = RecentPersonas.of(items, inputs, ages, data.sequences, offset=True)
        return super().build(replace(data, personas=encoder))

    def test_without_an_encoder_or_with_one_that_averages_it_is_refused(self) -> None:
        data = evidence_data()
        plain = DensePersonas.fitted(np.ones((N_ITEMS, 2)), data.sequences)
        for personas in (None, plain):
            with pytest.raises(ChangeSomethingError, match="newer items weigh more"):
                super().build(replace(data, personas=personas))


def test_every_registered_evidence_is_under_contract() -> None:
    covered = {kind.name for kind in Registered.__subclasses__()}
    assert covered == set(EVIDENCE)


# -- nothing but the visible items -----------------------------------------------------------------


def leaks(build: Any) -> list[str]:
    """Ways in which evidence knows more than the visible items of a row.

    ``rows``: a score changes with the other rows of the call. ``users``: it is looked up among the
    users it was fitted to: two users of one past swap their futures, which leaves all counts as
    they were, and the past scores otherwise.
    """
    known = sequences()
    model: Evidence = build(evidence_data(known))
    position = Sequences.from_lists([PAST, PAST[:1]], N_ITEMS)
    alone = model.score(position)
    found = []
    for future in FUTURES:
        batch = Sequences.from_lists([PAST, PAST[:1], PAST + future], N_ITEMS)
        if not np.allclose(model.score(batch)[:2], alone, atol=1e-6):
            found = ["rows"]
    order = np.array([1, 0, *range(2, len(known))])
    again: Evidence = build(evidence_data(known.take(order)))
    return found + ([] if np.allclose(again.score(position), alone, atol=1e-4) else ["users"])


class Planted(PopularityModel):
    """Popularity that also looks at the rest of the batch, or at who began like this."""

    known: Sequences
    looks_at: str

    def score(self, sessions: Sequences) -> NDArray[np.float32]:
        found = super().score(sessions)
        if self.looks_at == "batch":
            return np.asarray(found + sessions.recency(1.0).sum(axis=0), np.float32)
        for row in range(len(sessions)):
            seen = sessions[row]
            for user in range(len(self.known)):
                whole = self.known[user]
                if len(whole) > len(seen) and np.array_equal(whole[: len(seen)], seen):
                    found[row, whole[len(seen)]] += 9
                    break
        return found


def planted(looks_at: str) -> Any:
    def build(data: EvidenceData) -> Planted:
        made = Planted.fit(data, PopularityConfig())
        model = Planted(made.counts, made.config)
        model.known, model.looks_at = data.sequences, looks_at
        return model

    return build


def test_planted_leaks_are_seen() -> None:
    assert leaks(planted("batch")) == ["rows"]
    assert leaks(planted("users")) == ["users"]


# -- names and settings ----------------------------------------------------------------------------


def test_an_unknown_name_or_setting_is_refused_with_what_there_is() -> None:
    with pytest.raises(ChangeSomethingError, match="did you mean linear"):
        build_evidence("lineer", evidence_data())
    with pytest.raises(ChangeSomethingError, match="there are: regularisation"):
        evidence_config("linear", {"lambda": 3})
    with pytest.raises(ChangeSomethingError, match="age_decay"):
        evidence_config("facts", {"age_decay": 2})
    with pytest.raises(ChangeSomethingError, match="at least 0"):
        evidence_config("facts", {"weights": {"STARRING": -1}})


def test_settings_change_only_what_they_name() -> None:
    config = evidence_config("linear+facts", {"age_decay": 0.5})
    assert config == evidence_config("linear+facts").model_copy(update={"age_decay": 0.5})
    assert config != evidence_config("linear", {"age_decay": 0.5})


def test_a_catalogue_too_large_for_the_closed_form_is_refused() -> None:
    with pytest.raises(ChangeSomethingError, match="at most 23 are allowed"):
        build_evidence("linear", evidence_data(), {"max_items": 23})
    assert too_large("linear+facts", 20_001)
    assert not too_large("linear", 20_000)
    assert not too_large("transitions", 10**9)


def test_parts_of_different_size_are_refused() -> None:
    data = evidence_data()
    with pytest.raises(ValueError, match="columns named"):
        EvidenceData(data.sequences, data.facts, data.relations[1:], data.counts)
    with pytest.raises(ValueError, match="one catalogue"):
        EvidenceData(data.sequences, data.facts, data.relations, tuple(one_item().counts))
