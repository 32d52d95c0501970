"""The Apache Beam pipeline of `beam.py`: match files, read them, RunInference, write records and problems."""

import csv
import functools
import glob
import io
import os

import apache_beam
from apache_beam.io import fileio
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from apache_beam.metrics import Metrics, MetricsFilter
from apache_beam.ml.inference.base import KeyedModelHandler, ModelHandler, RunInference
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.pvalue import TaggedOutput

from bgsnet_tf.errors import UserError
from bgsnet_tf.exported.model import ExportedModel
from bgsnet_tf.exported.refusals import answer_apart
from bgsnet_tf.names import shown
from bgsnet_tf.serving import records
from bgsnet_tf.serving.offline import PROBLEM_COLUMNS

RECORDS, PROBLEMS = "records", "problems"  # the outputs of a step, and counters of both


def run(version, pattern, output, form, batch_size, options, classes=None):
    """Scores all images that match, and waits for the runner.

    Args:
      version: folder of the SavedModel.
      pattern: of the image files, or one that exists, as Beam's file systems take it.
      output: folder of the shards, on any of Beam's file systems.
      form: a key of `records.WRITERS`.
      batch_size: most images computed at a time.
      options: list of Beam's own options.
      classes: to choose from, as for `ExportedModel.predict`.

    Returns:
      (images scored, images without an answer).

    Raises:
      UserError: where there is no export, the pattern matches nothing, or the folder holds shards already.
    """
    choice = ExportedModel(version).choice(classes)  # what it raises should not wait for the workers
    if os.path.isfile(pattern):
        pattern = glob.escape(pattern)
    if not _matches(pattern):
        raise UserError(f"--images={pattern} matches no file; give a pattern such as 'photos/**.jpg', which takes all below photos")
    part = FileSystems.join(output, "part")
    if _matches(f"{part}-*"):
        raise UserError(f"--output={output} holds shards already; give another folder")
    if form == "parquet":
        row, sink = records.row, apache_beam.io.WriteToParquet(part, records.parquet_schema(), file_name_suffix=".parquet")
    else:
        row, sink = records.example, apache_beam.io.WriteToTFRecord(part, file_name_suffix=".tfrecord")
    problem_sink = apache_beam.io.WriteToText(
        FileSystems.join(output, "problems"), ".csv", header=",".join(PROBLEM_COLUMNS), skip_if_empty=True
    )
    with apache_beam.Pipeline(options=PipelineOptions(options)) as pipeline:
        paths = pipeline | fileio.MatchFiles(pattern) | "paths" >> apache_beam.Map(_path) | apache_beam.Reshuffle()
        images = paths | "read" >> _step(_read)
        answers = images[RECORDS] | RunInference(KeyedModelHandler(ExportHandler(version, batch_size, choice))) | "record" >> _step(_record)
        answers[RECORDS] | "format" >> apache_beam.Map(row) | "write" >> sink
        (images[PROBLEMS], answers[PROBLEMS]) | apache_beam.Flatten() | apache_beam.Map(_csv_line) | "write problems" >> problem_sink
    return _count(pipeline.result, RECORDS), _count(pipeline.result, PROBLEMS)


class ExportHandler(ModelHandler):
    """RunInference with an export: from a file's bytes to (answer, problem), one of the two None.

    Beam's own handlers for TensorFlow load a Keras model and stack tensors; an export is asked by its signature, and a
    bad file must cost only itself.

    Args:
      version: folder of the SavedModel, on any file system that TensorFlow reads.
      batch_size: most images computed at a time.
      choice: of classes, as for `ExportedModel.ask`.
    """

    def __init__(self, version, batch_size, choice=None):
        super().__init__()
        self.version, self.batch_size, self.choice = version, batch_size, choice

    def load_model(self):
        return ExportedModel(self.version)

    def run_inference(self, batch, model, inference_args=None):
        return answer_apart(list(batch), functools.partial(model.ask, choice=self.choice))

    def batch_elements_kwargs(self):
        return {"max_batch_size": self.batch_size}

    def get_num_bytes(self, batch):
        return sum(map(len, batch))


def _step(function):
    """A transform with an output for what goes well, and one for (path, problem) of what does not."""
    return apache_beam.FlatMap(function).with_outputs(PROBLEMS, main=RECORDS)


def _path(file):
    return os.fsencode(file.path)  # Beam cannot pass on text that is no UTF-8


def _read(path):
    try:
        with FileSystems.open(os.fsdecode(path), compression_type=CompressionTypes.UNCOMPRESSED) as stream:
            yield path, stream.read()
    except OSError as error:
        yield _problem(path, f"cannot be read: {error}")


def _record(answered):
    path, (answer, problem) = answered
    if problem:
        yield _problem(path, problem)
    else:
        Metrics.counter(__name__, RECORDS).inc()
        yield records.record(path, answer)


def _problem(path, text):
    Metrics.counter(__name__, PROBLEMS).inc()
    return TaggedOutput(PROBLEMS, (shown(os.fsdecode(path)), " ".join(text.split())))


def _csv_line(cells):
    stream = io.StringIO()
    csv.writer(stream, lineterminator="").writerow(cells)
    return stream.getvalue()


def _matches(pattern):
    return any(match.metadata_list for match in FileSystems.match([pattern], limits=[1]))


def _count(result, name):
    counters = result.metrics().query(MetricsFilter().with_namespace(__name__).with_name(name))["counters"]
    return sum(counter.result for counter in counters)
