"""A small training, for torchrun: writes what this process ended with to a folder.

Usage: torchrun --nproc-per-node 2 train_in_parallel.py FOLDER
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np

from personarec.evaluation.sequences import Sequences
from personarec.retriever.parallel import process_group
from personarec.retriever.sasrec import SasRecConfig
from personarec.retriever.training import LeakWarning, TrainingOptions, train


def main(folder: Path) -> None:
    # Without dropout nothing random depends on who works on which rows.
    config = SasRecConfig(
        embedding_size=8, max_length=6, dropout=0.0, persona_size=8, fusion="rows"
    )
    options = TrainingOptions(
        epochs=4, batch_size=33, learning_rate=0.01, negatives=8, evaluate_every=1
    )
    starts = np.random.default_rng(0).integers(0, 12, size=41)
    rows = [(start + np.arange(3 + start % 6)) % 12 for start in starts]
    data = Sequences.from_lists([row[:-1] for row in rows], 12)
    valid = np.array([row[-1] for row in rows], dtype=np.int32)
    personas = np.random.default_rng(1).standard_normal((41, 8)).astype(np.float32)
    warnings.simplefilter("ignore", LeakWarning)
    with process_group() as peers:
        trained = train(data, config, options, valid=valid, personas=personas)
    assert trained.rows is not None
    np.savez(
        folder / f"{peers.rank}.npz",
        losses=[record.loss for record in trained.history],
        ndcg=[record.ndcg for record in trained.history],
        rows=trained.rows,
        **{k: v.numpy() for k, v in trained.model.state_dict().items()},
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
