"""A model's bundle: its graph, what is known of it, a card, and sums; safe to load from anyone."""

from tenfold.bundle.info import BundleFacts, BundleInfo, DataFacts, Quantization, Score, Thresholds
from tenfold.bundle.learned import LearnedImages
from tenfold.bundle.loading import Bundle, NamedAnswers, load_bundle
from tenfold.bundle.operators import OPERATORS, OPSETS
from tenfold.bundle.parity import PARITY_IMAGES, TOLERANCE, Parity, prove_parity
from tenfold.bundle.writing import write_bundle

__all__ = [
    "OPERATORS",
    "OPSETS",
    "PARITY_IMAGES",
    "TOLERANCE",
    "Bundle",
    "BundleFacts",
    "BundleInfo",
    "DataFacts",
    "LearnedImages",
    "NamedAnswers",
    "Parity",
    "Quantization",
    "Score",
    "Thresholds",
    "load_bundle",
    "prove_parity",
    "write_bundle",
]
