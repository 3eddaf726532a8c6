"""HDGI: heterogeneous deep graph infomax, as published, and as a persona encoder.

See docs/hdgi.md for the equations, the quirks of the authors' code, and what was measured.
"""

from personarec.personas.hdgi.config import HDGIConfig, HDGIOptions, published
from personarec.personas.hdgi.encoder import HDGIEncoder, HDGIPersonaConfig
from personarec.personas.hdgi.features import normalise_features
from personarec.personas.hdgi.paths import EDGE_BUDGET, MetaPath, compose, walk
from personarec.personas.hdgi.training import TrainedHDGI, train_hdgi

__all__ = [
    "EDGE_BUDGET", "HDGIConfig", "HDGIEncoder", "HDGIOptions", "HDGIPersonaConfig", "MetaPath",
    "TrainedHDGI", "compose", "normalise_features", "published", "train_hdgi", "walk",
]  # fmt: skip
