"""Video metrics: J&F of masks that are followed (`jf`), cgF1 and pHOTA of phrases (`veval`)."""

from evals.metrics.jf import score as jf
from evals.metrics.veval import score as veval

__all__ = ["jf", "veval"]
