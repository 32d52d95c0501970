"""What offline scoring keeps of an image: a record, as a tf.Example in a TFRecord file or as a row of a Parquet file.

| field | tf.Example | Parquet |
|---|---|---|
| `image`: its path | bytes | string, `names.shown` |
| `class_name`, the best class | bytes, UTF-8 | string |
| `class_index`, its number | int64 | int64 |
| `score` of it | float | float |
| `attributes` (A) | floats | list of floats |
"""

import contextlib
import os

import tensorflow as tf

from bgsnet_tf.errors import UserError
from bgsnet_tf.names import shown

ROW_GROUP = 1000  # rows of Parquet that are held in memory


def record(path, answer):
    """The fields of an image, from its path and its dict of outputs of `serving_default`."""
    index = int(answer["class_index"])
    return {
        "image": os.fsencode(path),
        "class_name": answer["class_name"].decode(),
        "class_index": index,
        "score": float(answer["scores"][index]),
        "attributes": answer["attributes"].tolist(),
    }


def example(fields):
    """A record's serialized tf.Example."""

    def text(value):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    def numbers(values):
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))

    feature = {
        "image": text(fields["image"]),
        "class_name": text(fields["class_name"].encode()),
        "class_index": tf.train.Feature(int64_list=tf.train.Int64List(value=[fields["class_index"]])),
        "score": numbers([fields["score"]]),
        "attributes": numbers(fields["attributes"]),
    }
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


def row(fields):
    """A record's row of Parquet, by column."""
    return {**fields, "image": shown(os.fsdecode(fields["image"]))}


def parquet_schema():
    """The columns of Parquet files.

    Raises:
      UserError: without PyArrow.
    """
    try:
        import pyarrow
    except ImportError as error:
        raise UserError(f"--format=parquet needs PyArrow ({error}): pip install pyarrow, or give --format=tfrecord") from error
    return pyarrow.schema(
        {
            "image": pyarrow.string(),
            "class_name": pyarrow.string(),
            "class_index": pyarrow.int64(),
            "score": pyarrow.float32(),
            "attributes": pyarrow.list_(pyarrow.float32()),
        }
    )


@contextlib.contextmanager
def tfrecord_file(path):
    """Yields a function that writes a record to a TFRecord file."""
    with tf.io.TFRecordWriter(path) as writer:
        yield lambda fields: writer.write(example(fields))


@contextlib.contextmanager
def parquet_file(path):
    """Yields a function that writes a record to a Parquet file.

    Raises:
      UserError: without PyArrow.
    """
    schema, rows = parquet_schema(), []
    import pyarrow
    from pyarrow import parquet

    with parquet.ParquetWriter(path, schema) as writer:

        def flush():
            writer.write_table(pyarrow.Table.from_pylist(rows, schema))
            rows.clear()

        def write(fields):
            rows.append(row(fields))
            if len(rows) == ROW_GROUP:
                flush()

        yield write
        flush()


WRITERS = {"tfrecord": tfrecord_file, "parquet": parquet_file}  # by --format, which is also the files' extension
