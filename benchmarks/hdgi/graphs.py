"""The graphs HDGI is compared on, as features, labels and meta-paths.

Data: hdgi-imdb, acm and heco-acm under PERSONAREC_DATA, or under ../shared/data.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.io import loadmat

from personarec.personas.hdgi import MetaPath


@dataclass(frozen=True)
class LabelledGraph:
    """Nodes of one type.

    Attributes:
        features: float32 CSR, shape (n, width), as published, not normalised.
        labels: shape (n,).
        paths: meta-paths, composed.
        factored: the same adjacency as chains, for the convolution; the same list if no shorter.
    """

    features: sparse.csr_array
    labels: NDArray[np.integer]
    paths: list[MetaPath]
    factored: list[MetaPath]


def data_folder() -> Path:
    """Where the real data are."""
    named = os.environ.get("PERSONAREC_DATA")
    return Path(named) if named else Path(__file__).resolve().parents[3] / "shared" / "data"


def imdb(folder: Path) -> LabelledGraph:
    """The authors' IMDB: movies that share actors, directors, keywords.

    As in the authors' own movie-actor-movie file: the number of shared actors, nothing on the
    diagonal. (Their files write that diagonal as explicit zeros, which the files mam.npz, mdm.npz
    and mkm.npz beside them took for edges: those have a self-loop at every movie.)
    """
    paths = []
    for name in ("actor", "director", "keyword"):
        joined = _read(folder / "hdgi-imdb" / f"movie_{name}_adj.npz")
        counts = sparse.lil_array(joined @ joined.T)
        counts.setdiag(0)
        shared = sparse.csr_array(counts, dtype=np.float32)
        shared.eliminate_zeros()
        paths.append(MetaPath(f"Movie–{name}–Movie", (shared,)))
    features = _read(folder / "hdgi-imdb" / "movie_feature_vector_6334.npz")
    labels = np.load(folder / "hdgi-imdb" / "labels.npy")
    return LabelledGraph(features, labels, paths, paths)


def imdb_binary(folder: Path) -> LabelledGraph:
    """The same with 1 where movies share anything, as the paper defines a meta-path."""
    counted = imdb(folder)
    paths = []
    for path in counted.paths:
        ones = path.factors[0].copy()
        ones.data[:] = 1
        paths.append(MetaPath(path.name, (ones,)))
    return LabelledGraph(counted.features, counted.labels, paths, paths)


def acm3025(folder: Path) -> LabelledGraph:
    """ACM as in HAN (3,025 papers): PAP and PLP, binary with self-loops as in the file."""
    file = loadmat(folder / "acm" / "ACM3025.mat")
    by_author, by_subject = (sparse.csr_array(file[k].astype(np.float32)) for k in ("PAP", "PLP"))
    return LabelledGraph(
        sparse.csr_array(file["feature"].astype(np.float32)),
        file["label"].argmax(axis=1),
        [MetaPath("PAP", (by_author,)), MetaPath("PLP", (by_subject,))],
        [MetaPath("PAP", (by_author,)), MetaPath("PLP", _cliques(by_subject))],
    )


def heco_acm(folder: Path) -> LabelledGraph:
    """ACM as in HeCo (4,019 papers): PAP and PSP, binary with self-loops as in the files."""
    by_author, by_subject = (_read(folder / "heco-acm" / f"{k}.npz") for k in ("pap", "psp"))
    return LabelledGraph(
        _read(folder / "heco-acm" / "p_feat.npz"),
        np.load(folder / "heco-acm" / "labels.npy").astype(int),
        [MetaPath("PAP", (by_author,)), MetaPath("PSP", (by_subject,))],
        [MetaPath("PAP", (by_author,)), MetaPath("PSP", _cliques(by_subject))],
    )


GRAPHS: dict[str, Callable[[Path], LabelledGraph]] = {
    "imdb": imdb, "imdb-binary": imdb_binary, "acm3025": acm3025, "heco-acm": heco_acm,
}  # fmt: skip


def _read(path: Path) -> sparse.csr_array:
    return sparse.csr_array(sparse.load_npz(path), dtype=np.float32)


def _cliques(joined: sparse.csr_array) -> tuple[sparse.csr_array, sparse.csr_array]:
    """A union of cliques as paper–subject and subject–paper: the same matrix in far fewer entries.

    Each paper of these data has one subject, so no pair is counted twice.
    """
    count, subject = sparse.csgraph.connected_components(joined, directed=False)
    if int((np.bincount(subject) ** 2).sum()) != joined.nnz:
        raise ValueError("not a union of cliques")
    ones = np.ones(len(subject), np.float32)
    papers = sparse.csr_array((ones, (np.arange(len(subject)), subject)), (len(subject), count))
    return papers, sparse.csr_array(papers.T)
