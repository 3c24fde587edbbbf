"""A nightly job: train on a Parquet file, or go on where the last run was killed, and write predictions in batches.

Needs PyArrow. `python examples/batch_job.py [FOLDER]`
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import whet
from whet.data import load_california_housing, split

TARGET = "median_house_value"


def write_tables(folder):
    """What another job would have left here: yesterday's sales, and houses without a price."""
    sold, offered = split(load_california_housing(), sizes=(0.8, 0.2), seed=0)
    for name, table in (("sold", sold), ("offered", offered)):
        columns = {column: table[column] for column in table.names}
        if name == "sold":
            columns[TARGET] = table.labels
        pq.write_table(pa.table(columns), folder / f"{name}.parquet", row_group_size=1000)
    return offered.labels


def train(folder):
    """The model of last night's table; a run that was killed is taken up in the middle of its epoch."""
    model = whet.TabularModel(TARGET)
    history = model.fit(
        folder / "sold.parquet", epochs=10, validation_fraction=0.1, seed=0, checkpoint=folder / "run", resume=True
    )
    model.save(folder / "prices.whet")  # whole or not at all: readers never see half a file
    return history


def predict(folder):
    """Predictions beside the rows, some thousand rows in memory at a time."""
    model = whet.load(folder / "prices.whet")
    source = pq.ParquetFile(folder / "offered.parquet")
    schema = source.schema_arrow.append(pa.field("predicted", pa.float64()))
    with pq.ParquetWriter(folder / "predictions.parquet", schema) as sink:
        for batch in source.iter_batches(batch_size=1000):
            predicted = pa.array(model.predict(pa.Table.from_batches([batch])))
            sink.write_table(pa.Table.from_arrays([*batch.columns, predicted], schema=schema))


with tempfile.TemporaryDirectory() as temporary:
    folder = Path(sys.argv[1] if sys.argv[1:] else temporary)
    truth = write_tables(folder)
    history = train(folder)
    predict(folder)
    predicted = pq.read_table(folder / "predictions.parquet")["predicted"].to_numpy()
    print(f"{history.steps} steps, best epoch {history.best_epoch}, validation loss {min(history['val_loss']):.3f}")
    print(f"{len(predicted)} predictions, RMSE {whet.metrics.rmse(np.asarray(truth, float), predicted):,.0f} dollars")
