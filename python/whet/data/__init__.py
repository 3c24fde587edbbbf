"""Tables: reading, cleaning, splitting, and turning them into the numbers a network takes."""

from whet.data.bundled import load_california_housing, load_penguins
from whet.data.cleaning import CleaningReport, clip_outliers, drop_constant, drop_duplicates
from whet.data.dataset import Dataset
from whet.data.preprocessing import Preprocessor
from whet.data.readers import MISSING, read_csv, read_npz
from whet.data.splits import split, split_indices
from whet.data.steps import (
    CategoryImputer,
    Imputer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    QuantileScaler,
    RobustScaler,
    StandardScaler,
)
from whet.data.tables import as_dataset
from whet.data.targets import LabelEncoder, TargetScaler

__all__ = [
    "MISSING",
    "CategoryImputer",
    "CleaningReport",
    "Dataset",
    "Imputer",
    "LabelEncoder",
    "MinMaxScaler",
    "OneHotEncoder",
    "OrdinalEncoder",
    "Preprocessor",
    "QuantileScaler",
    "RobustScaler",
    "StandardScaler",
    "TargetScaler",
    "as_dataset",
    "clip_outliers",
    "drop_constant",
    "drop_duplicates",
    "load_california_housing",
    "load_penguins",
    "read_csv",
    "read_npz",
    "split",
    "split_indices",
]
