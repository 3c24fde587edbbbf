"""Tables: reading, cleaning, splitting, and turning them into the numbers a network takes.

Whatever a table comes as, a column is numbers or categories. Numbers of every type are numbers, NUMERIC and decimals
too; text, booleans and the categories of a library are categories. Dates, time stamps, durations and times of day are
numbers of days: those of a date or a time stamp count from 1970-01-01 00:00, in UTC where it has a time zone. Lists,
structs and bytes are refused.
"""

from whet.data.bundled import load_california_housing, load_penguins
from whet.data.cleaning import CleaningReport, clip_outliers, drop_constant, drop_duplicates
from whet.data.columns import MISSING
from whet.data.dataset import Dataset
from whet.data.description import ColumnDescription, Description
from whet.data.preprocessing import Preprocessor
from whet.data.sources.npz import read_npz
from whet.data.sources.parquet import read_parquet
from whet.data.sources.sql import read_sql
from whet.data.sources.text import read_csv
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
from whet.data.streams.stream import Stream
from whet.data.tables import as_dataset
from whet.data.targets import LabelEncoder, TargetScaler

__all__ = [
    "MISSING",
    "CategoryImputer",
    "CleaningReport",
    "ColumnDescription",
    "Dataset",
    "Description",
    "Imputer",
    "LabelEncoder",
    "MinMaxScaler",
    "OneHotEncoder",
    "OrdinalEncoder",
    "Preprocessor",
    "QuantileScaler",
    "RobustScaler",
    "StandardScaler",
    "Stream",
    "TargetScaler",
    "as_dataset",
    "clip_outliers",
    "drop_constant",
    "drop_duplicates",
    "load_california_housing",
    "load_penguins",
    "read_csv",
    "read_npz",
    "read_parquet",
    "read_sql",
    "split",
    "split_indices",
]
