"""Several processes train one model: the same on all, and as one process would."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from services import train_in_parallel

from personarec.evaluation.sequences import Sequences
from personarec.retriever.batches import training_batches
from personarec.retriever.parallel import Peers


def test_shares_of_a_batch_are_disjoint_and_whole() -> None:
    data = Sequences.from_lists([[1, 2, 3], [4, 5], [6, 7, 8, 9], [1, 9], [3, 4]], 10)
    for batch in training_batches(data, 6, 5, seed=0, epoch=1):
        shares = [Peers(rank, 3).share(batch) for rank in range(3)]
        assert sorted(np.concatenate([s.users for s in shares])) == sorted(batch.users)
        assert sum((s.targets >= 0).sum() for s in shares) == (batch.targets >= 0).sum()
        assert Peers().share(batch) is batch


def run(processes: int, folder: Path) -> list[dict[str, np.ndarray]]:
    """What each process ended with."""
    folder.mkdir()
    if processes == 1:
        train_in_parallel.main(folder)
    else:
        command = [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--nproc-per-node",
            str(processes),
        ]
        command += ["--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0"]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(
            [*command, train_in_parallel.__file__, str(folder)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    return [dict(np.load(file)) for file in sorted(folder.glob("*.npz"))]


@pytest.mark.slow
def test_two_processes_train_as_one(tmp_path: Path) -> None:
    (alone,) = run(1, tmp_path / "one")
    first, second = run(2, tmp_path / "two")
    for name in alone:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)
        # A bias of the keys changes no softmax: its gradient is rounding, which Adam blows up.
        if not name.endswith("mix.bias"):
            np.testing.assert_allclose(first[name], alone[name], rtol=2e-3, atol=2e-4, err_msg=name)
    np.testing.assert_allclose(first["losses"], alone["losses"], rtol=1e-5)
    assert alone["losses"][-1] < alone["losses"][0] - 0.1
