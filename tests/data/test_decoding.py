"""What training refuses to decode is what an export refuses."""

import io
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from bgsnet_tf.data import decoding
from bgsnet_tf.errors import UserError
from tests.data.hard_images import DAMAGED, PIXELS, REFUSED, RGB, UNPACKED_8_MB, encoded, png, with_exif


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


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("stored", range(1, 9))
def test_an_image_is_turned_as_pillow_turns_it_or_stays_as_stored(stored, order):
    contents = with_exif(encoded(RGB, "JPEG"), stored, order)
    as_stored = decoding.decode(contents).numpy()
    exif = Image.Exif()
    exif[decoding.ORIENTATION] = stored
    labelled = Image.open(io.BytesIO(encoded(Image.fromarray(as_stored), "PNG", exif=exif)))  # the same pixels, without loss
    np.testing.assert_array_equal(decoding.decode(contents, upright=True), np.asarray(ImageOps.exif_transpose(labelled)))
    assert Image.open(io.BytesIO(contents)).getexif()[decoding.ORIENTATION] == stored
    assert as_stored.shape == (40, 50, 3) and decoding.is_turned(contents) == (stored != 1)


def test_read_turns_too(tmp_path):
    (tmp_path / "image.jpg").write_bytes(with_exif(encoded(RGB, "JPEG"), 6))
    assert decoding.read(tmp_path / "image.jpg")[0].shape == (40, 50, 3)
    assert decoding.read(tmp_path / "image.jpg", upright=True)[0].shape == (50, 40, 3)


COMMENT = b"\xff\xfe\x00\x08Exif\0\0"  # the metadata's first letters in another segment
TURNED = with_exif(encoded(RGB, "JPEG"), 6)


@pytest.mark.parametrize("contents", [b"", b"\xff", b"Exif\0\0", encoded(RGB, "PNG") + TURNED, encoded(RGB, "JPEG"), TURNED[:20]])
def test_what_says_nothing_is_upright(contents):
    assert not decoding.is_turned(contents)


def test_metadata_behind_other_segments_are_found(tmp_path):
    icc = b"\xff\xe2\xff\xff" + bytes(0xFFFD)
    assert decoding.is_turned(with_exif(encoded(RGB, "JPEG"), 6, before=icc))
    assert not decoding.is_turned(with_exif(encoded(RGB, "JPEG"), 6, before=COMMENT))


def test_damaged_metadata_never_fail():
    contents, rng = with_exif(encoded(RGB, "JPEG"), 6), np.random.default_rng(0)
    for _ in range(300):
        changed = bytearray(contents[:200])
        for place in rng.integers(2, 80, 3):
            changed[place] = rng.integers(256)
        assert decoding.is_turned(bytes(changed)) in (False, True)
