"""JPEG photos to the network's input, against libjpeg-turbo decoding alone: python -m benchmarks.image_pipeline [--photos=FOLDER]

Every contender reads the same files with all cores. TensorFlow and OpenCV both bring libjpeg-turbo; the faster of the two is the
ceiling. Rows per second count images; a cached image is seen in several views, for all of which it is decoded once.
"""

import argparse
import concurrent.futures
import functools
import os
import pathlib

from benchmarks.harness import Contender, compare, report

ROUNDS = 7
PHOTOS = pathlib.Path(__file__).resolve().parents[2] / "shared" / "data" / "cub_photos"
SIZE, RESIZE, VIEWS, BATCH = 224, 256, 4, 64  # configs/resnet101.flags


def decoding(files):
    """TensorFlow's libjpeg-turbo, with the options that `data.decoding.decode` has, in tf.data."""
    import tensorflow as tf

    from bgsnet_tf.data.decoding import decode

    return _run(tf.data.Dataset.from_tensor_slices(files).map(lambda path: decode(tf.io.read_file(path)), tf.data.AUTOTUNE))


def opencv_decoding(files):
    """OpenCV's libjpeg-turbo in threads, which it lets run at the same time."""
    import cv2

    cv2.setNumThreads(1)
    pool = concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0)))
    return lambda: list(pool.map(lambda path: cv2.imread(path, cv2.IMREAD_COLOR).shape, files))


def opencv_pipeline(files):
    """What a user of OpenCV would write: decode, area-resize, centre crop, float; in threads."""
    import cv2
    import numpy as np

    cv2.setNumThreads(1)
    pool = concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0)))

    def load(path):
        image = cv2.imread(path, cv2.IMREAD_COLOR)
        height, width = image.shape[:2]
        factor = RESIZE / min(height, width)
        image = cv2.resize(image, (max(RESIZE, round(width * factor)), max(RESIZE, round(height * factor))), interpolation=cv2.INTER_AREA)
        top, left = (image.shape[0] - SIZE) // 2, (image.shape[1] - SIZE) // 2
        return image[top : top + SIZE, left : left + SIZE, ::-1].astype(np.float32)

    return lambda: [np.stack(list(pool.map(load, files[i : i + BATCH]))) for i in range(0, len(files), BATCH)][-1].shape


def ours(files, view_count, run=True):
    """The product's batches: the test view, or `view_count` views of each image for the feature cache; without `run`, their dataset."""
    import numpy as np

    from bgsnet_tf.data import images
    from bgsnet_tf.data.benchmark import Benchmark

    rows = np.arange(len(files))
    benchmark = Benchmark(
        name="photos",
        class_names=("a", "b"),
        attribute_names=("x", "y"),
        attributes=np.eye(2, dtype=np.float32),
        labels=np.zeros(len(files), np.int32),
        train=rows,
        test_seen=rows[:0],
        test_unseen=rows[:0],
        validation_classes=np.array([0]),
        paths=np.array(files),
    )
    views = images.Views(SIZE, RESIZE, "crop_flip")
    batches = images.image_batches(benchmark, images.items_of(rows, view_count), views, BATCH, view_count)
    return _run(batches) if run else batches


def _run(dataset):
    def call():
        for _ in dataset:
            pass

    return call


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=pathlib.Path, default=PHOTOS, help="Folder of JPEG files, searched recursively.")
    photos = parser.parse_args().photos
    files = sorted(str(path) for path in photos.rglob("*.jpg"))
    contenders = {
        "TensorFlow, decoding alone": (decoding, 1),
        "OpenCV, decoding alone": (opencv_decoding, 1),
        "BGSNet-TF, test view": (functools.partial(ours, view_count=1), 1),
        f"BGSNet-TF, {VIEWS} training views": (functools.partial(ours, view_count=VIEWS), VIEWS),
        "OpenCV, decoding, resizing (area), crop": (opencv_pipeline, 1),
    }
    timings = compare([Contender(name, functools.partial(prepare, files)) for name, (prepare, _) in contenders.items()], ROUNDS, warm_up=1)
    decoders = [timings[name] for name in contenders if name.endswith("alone")]
    ceiling = min(decoders, key=lambda timing: timing.median)
    rows = []
    for name, (_, view_count) in contenders.items():
        timing = timings[name]
        rows.append(
            {
                "pipeline": name,
                "images/s": len(files) / timing.median,
                "views/s": len(files) * view_count / timing.median,
                "processor ms an image": 1e3 * sorted(timing.processor_seconds)[ROUNDS // 2] / len(files),
                "views/s of the faster decoder": f"{100 * view_count * timing.times(ceiling):.0f} %",
            }
        )
    report("image_pipeline", rows, files=len(files), mean_bytes=round(sum(map(os.path.getsize, files)) / len(files)))


if __name__ == "__main__":
    main()
