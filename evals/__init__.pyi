from .bootstrap import Interval, Measure
from .datasets.loading import (
    DatasetLoader,
    LoadedDataset,
    dataset_loader,
    load_benchmark,
    load_dataset,
)
from .errors import DatasetError, RunError, ScoringError, TooManyFailuresError
from .evaluation import FinishedRun, compare_runs, evaluate
from .reports.compare import Comparison
from .reports.summary import Costs, Summary, SummaryRow
from .runs.runner import ProgressCallback
from .runs.solver import SampleResult
from .samples import Benchmark, Dataset, DatasetInfo, GivenMask, Prediction, Sample, SavedMasklet, Scores, Status

__all__ = [
    "Benchmark",
    "Comparison",
    "Costs",
    "Dataset",
    "DatasetError",
    "DatasetInfo",
    "DatasetLoader",
    "FinishedRun",
    "GivenMask",
    "Interval",
    "LoadedDataset",
    "Measure",
    "Prediction",
    "ProgressCallback",
    "RunError",
    "Sample",
    "SampleResult",
    "SavedMasklet",
    "Scores",
    "ScoringError",
    "Status",
    "Summary",
    "SummaryRow",
    "TooManyFailuresError",
    "compare_runs",
    "dataset_loader",
    "evaluate",
    "load_benchmark",
    "load_dataset",
]
