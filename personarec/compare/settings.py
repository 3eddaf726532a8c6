"""Settings of rows: the defaults, or what each row's trials on validation found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from personarec.retriever.sasrec import SasRecConfig
    from personarec.retriever.training import TrainingOptions


@dataclass(frozen=True)
class Settings:
    """What a row is made with.

    Attributes:
        sasrec: shape of the network.
        options: its training.
        evidence: settings of each evidence that differ from its defaults, by name.
        trials: tried on validation to find each part's; 0: none.
    """

    sasrec: SasRecConfig
    options: TrainingOptions
    evidence: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    trials: int = 0

    def as_dict(self) -> dict[str, Any]:
        """For JSON; what does not change a result is left out."""
        return {
            "sasrec": self.sasrec.model_dump(),
            "options": self.options.model_dump(exclude={"device", "seed", "threads"}),
            "evidence": {name: dict(own) for name, own in self.evidence.items()},
            "trials": self.trials,
        }
