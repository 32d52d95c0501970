"""Asks for the answers of many images, in batches, and finds out which image is at fault where a batch is refused."""

import concurrent.futures
import contextlib
import glob
import itertools
import os
import random
import threading

from bgsnet_tf.data.reading.paths import walk
from bgsnet_tf.errors import UserError
from bgsnet_tf.exported.refusals import Refused, answer_apart
from bgsnet_tf.serving.client.failures import Garbled, Lost, Overloaded

EXTENSIONS = (".jpg", ".jpeg", ".png")
FIRST_WAIT, LONGEST_WAIT = 0.2, 10.0  # seconds before an overloaded server is asked again


def find_images(pattern):
    """Sorted image files: one, all below a folder, or those that a pattern names; hidden ones only where it names them.

    Raises:
      UserError: where there are none.
    """
    if os.path.isfile(pattern):
        return [pattern]
    if os.path.isdir(pattern):
        below = (os.path.join(pattern, *parts) for parts in walk(pattern) if not any(part.startswith(".") for part in parts))
        paths = [path for path in below if path.lower().endswith(EXTENSIONS)]
    else:
        paths = [path for path in glob.glob(pattern, recursive=True) if os.path.isfile(path)]
    if not paths:
        raise UserError(f"--images={pattern} names no image; give a file, a folder, or a pattern such as 'photos/*.jpg'")
    return sorted(paths)


def answers(paths, ask, batch_size, concurrency, retries, abandon=lambda: None):
    """Yields (path, answer, problem) of all images in order; one of the two is None.

    A batch that is refused is asked again in parts, so that a bad image costs only itself, and while nothing else is under
    way: a server that joins requests refuses all of them for one's bad image. What is no answer costs its batch.

    Args:
      paths: image files.
      ask: function from a list of files' bytes to a list of answers; may raise what is in `failures`.
      batch_size: images of a request.
      concurrency: requests under way at a time.
      retries: how often a request is sent again to an overloaded server, or after its connection broke.
      abandon: makes requests under way end soon; called where the images are not waited for.
    """
    slots, one_at_a_time, abandoned = threading.Semaphore(concurrency), threading.Lock(), threading.Event()

    def patient(files):
        return patiently(lambda: ask(files), retries, abandoned.wait)

    def answer(batch):
        read, answered = {}, {}
        for path in batch:
            try:
                with open(path, "rb") as file:
                    read[path] = file.read()
            except OSError as error:
                answered[path] = None, f"cannot be read: {error.strerror}"
        if read:
            answered.update(zip(read, answer_read(list(read.values()))))
        return [(path, *answered[path]) for path in batch]

    def answer_read(files):
        try:
            try:
                with slots:
                    return [(found, None) for found in patient(files)]
            except Refused:
                with one_at_a_time, contextlib.ExitStack() as held:
                    for _ in range(concurrency):
                        held.enter_context(slots)
                    return answer_apart(files, patient)
        except Garbled as problem:
            return [(None, str(problem))] * len(files)

    batches = [paths[i : i + batch_size] for i in range(0, len(paths), batch_size)]
    pool = concurrent.futures.ThreadPoolExecutor(concurrency)
    try:
        for batch in pool.map(answer, batches):
            yield from batch
    except BaseException:
        abandoned.set()
        abandon()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def patiently(request, retries, wait):
    """The answer of `request`, sent again while the server is overloaded or drops it.

    Args:
      request: function without arguments.
      retries: how often it is called again.
      wait: function that waits for so many seconds, which double and are of random length; true where nobody waits for the answer.

    Raises:
      UserError: where the server is still overloaded.
      Garbled: where the connection still breaks.
    """
    for attempt in itertools.count():
        try:
            return request()
        except (Overloaded, Lost) as failure:
            if attempt == retries and isinstance(failure, Lost):
                raise Garbled(f"the connection broke {attempt + 1} times: {failure}") from failure
            if attempt == retries:
                raise UserError(f"the server is still overloaded after {retries} retries ({failure}); lower --concurrency") from failure
            if wait(min(FIRST_WAIT * 2**attempt, LONGEST_WAIT) * random.uniform(0.5, 1)):
                raise
