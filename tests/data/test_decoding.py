"""What training refuses to decode is what an export refuses."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from bgsnet_tf.data import decoding
from bgsnet_tf.errors import UserError
from tests.data.hard_images import DAMAGED, PIXELS, REFUSED, RGB, UNPACKED_8_MB, encoded, png


@pytest.mark.parametrize("encode", [tf.io.encode_png, tf.io.encode_jpeg])
def test_decode_reads_png_and_jpeg(encode):
    assert decoding.decode(encode(PIXELS)).shape == (40, 50, 3)


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_is_refused_in_the_words_of_its_fault(tmp_path, name):
    contents, message = REFUSED[name]
    (tmp_path / "image.jpg").write_bytes(contents)
    with pytest.raises(UserError, match=f"^{message}"):
        decoding.read(tmp_path / "image.jpg")


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_file_is_refused(tmp_path, name):
    (tmp_path / "image.jpg").write_bytes(DAMAGED[name][0])
    with pytest.raises(UserError, match=r"^cannot be decoded as a JPEG or PNG image \(damaged or cut short\?\)$"):
        decoding.read(tmp_path / "image.jpg")


def test_a_file_that_is_not_there_or_no_file(tmp_path):
    with pytest.raises(UserError, match="^is missing$"):
        decoding.read(tmp_path / "image.jpg")
    with pytest.raises(UserError, match=r"^cannot be read \(Is a directory\)$"):
        decoding.read(tmp_path)


def test_what_encoders_write_is_read(tmp_path):
    for contents in (encoded(RGB, "JPEG", progressive=True), png(50, 40, after=UNPACKED_8_MB * 2)):
        (tmp_path / "image.jpg").write_bytes(contents)
        pixels, same = decoding.read(tmp_path / "image.jpg")
        assert np.shape(pixels) == (40, 50, 3) and same == contents


def test_refusing_takes_no_memory(tmp_path):
    """In a process of its own: a peak is since its start. Decoded, each of the three takes 0.2 to 1.6 GB."""
    names = ("PNG bomb behind a chunk", "thin PNG behind a chunk", "PNG of packed texts")
    for name in names:
        (tmp_path / name).write_bytes(REFUSED[name][0])
    program = """if True:
        import resource, sys
        from bgsnet_tf.data import decoding
        from bgsnet_tf.errors import UserError
        def refused(path):
            try: decoding.read(path)
            except UserError: return True
        assert refused(sys.argv[1])
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert all(refused(path) for path in sys.argv[1:])
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """
    (tmp_path / "text").write_bytes(b"text")
    arguments = [str(tmp_path / name) for name in ("text", *names)]
    result = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    assert int(result.stdout.split()[-1]) < 50_000  # kB
