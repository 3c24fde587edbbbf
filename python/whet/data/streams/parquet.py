"""Parquet files, whose row groups are the blocks; read by PyArrow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from whet.data.dataset import Dataset
from whet.data.sources.parquet import explained
from whet.data.streams.blocks import Block, Columns, Watched

__all__ = ["ParquetBlocks"]


class ParquetBlocks:
    """The row groups of one or more Parquet files with the same columns.

    Args:
        paths: The files.
        columns: Those to read.
    """

    def __init__(self, paths: Sequence[str], columns: Columns) -> None:
        parquet = _library()
        self._files = [Watched(path) for path in paths]
        self._metadata = [_metadata(parquet, path) for path in paths]
        schemas = [metadata.schema.to_arrow_schema() for metadata in self._metadata]
        for path, schema in zip(paths, schemas, strict=True):
            if not schema.equals(schemas[0]):
                raise ValueError(
                    f"[data] {path}: expected the columns of {paths[0]}, {_told(schemas[0])}; got {_told(schema)}"
                )
        self.columns = columns.among(schemas[0].names, paths[0])
        # Of every row group: the file, its number there, the number of its first row there, and in all files.
        self._places: list[tuple[int, int, int, int]] = []
        self.rows: list[int] = []
        total = 0
        for number, metadata in enumerate(self._metadata):
            first = 0
            for group in range(metadata.num_row_groups):
                rows = metadata.row_group(group).num_rows
                if rows:
                    self._places.append((number, group, first, total))
                    self.rows.append(rows)
                first, total = first + rows, total + rows

    def read(self, block: int) -> Block:
        """See `Indexed.read`."""
        number, group, first, total = self._places[block]
        file, metadata = self._files[number], self._metadata[number]
        file.check()
        parquet = _library()
        import pyarrow

        with (
            explained(file.path, pyarrow.ArrowException),
            parquet.ParquetFile(file.path, metadata=metadata) as opened,
        ):
            table = opened.read_row_group(group, columns=self.columns.names, use_threads=False)
        file.check()
        _release()
        data = Dataset.from_frame(table, columns=self.columns.names, kinds=self.columns.kinds)
        self.columns = self.columns.settled(data)
        return self.columns.block(data, first, file.path, total)

    def fingerprint(self) -> str:
        """See `Indexed.fingerprint`: of pieces of the files, which end in a description of all that they hold."""
        return f"{self.columns.names} {' '.join(file.sample() for file in self._files)}"


def _library() -> Any:
    try:
        import pyarrow.parquet
    except ImportError:
        raise ImportError("[data] streams of Parquet files need PyArrow: pip install pyarrow") from None
    return pyarrow.parquet


def _release() -> None:
    """Give back what reading took: Arrow's pool would keep it."""
    import pyarrow

    pyarrow.default_memory_pool().release_unused()


def _metadata(parquet: Any, path: str) -> Any:
    import pyarrow

    with explained(path, pyarrow.ArrowException):
        return parquet.read_metadata(path)


def _told(schema: Any) -> str:
    return ", ".join(f"{field.name} {field.type}" for field in schema)
