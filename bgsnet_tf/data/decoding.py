"""From the bytes of an image file to pixels, and what is refused before it costs memory: by training and by an export alike.

Every check raises `InvalidArgumentError`, as decoding does, so it holds in a graph too.
"""

import re

import tensorflow as tf

from bgsnet_tf.errors import UserError

MAX_PIXELS = 50_000_000  # above a 48-megapixel camera; what decoding takes of each is in docs/serving.md
MAX_ASPECT = 100  # the shorter side is resized to a fixed length
JPEG_START = b"\xff\xd8\xff"
PNG_START = b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR"  # with the head of the chunk that every PNG begins with; size follows
MAX_PNG_TEXTS = 16  # libpng unpacks each to at most 8 MB, and keeps a thousand of them
MAX_JPEG_SCANS = 100  # encoders write about ten; each passes over all pixels again
EXIF = b"Exif\x00\x00"  # begins the metadata that cameras write, in a segment of this mark:
EXIF_SEGMENT = (0xFF, 0xE1)
EXIF_BYTES = 1 << 17  # searched for it: twice the longest segment
EXIF_ENTRIES = 64  # looked through; cameras write about a dozen
ORIENTATION = 0x0112  # the number of its entry
REFUSAL = re.compile(r"assertion failed: \[image (.*?)\](?: \[Op:| \[\[|\s|$)", re.DOTALL)  # as a graph words a failed check


def decode(contents, name="image", upright=False):
    """(h, w, 3) uint8 of the bytes of a JPEG or PNG file.

    Args:
      contents: scalar string.
      name: scalar string that errors begin with.
      upright: turn a JPEG as its EXIF metadata say; by default its pixels are taken as stored.

    Raises:
      InvalidArgumentError: for another kind of file, for one whose header is not bearable, and for damaged pixels.
    """
    contents = tf.convert_to_tensor(contents)
    is_jpeg = tf.equal(tf.strings.substr(contents, 0, len(JPEG_START)), JPEG_START)
    is_png = tf.equal(tf.strings.substr(contents, 0, len(PNG_START)), PNG_START) & (tf.strings.length(contents) >= len(PNG_START) + 8)
    with tf.control_dependencies([check(is_jpeg | is_png, name, "is neither a JPEG nor a PNG file")]):
        contents = tf.identity(contents)
    height, width = tf.unstack(tf.cond(is_jpeg, lambda: _jpeg_size(contents, name), lambda: _png_size(contents, name)))
    with tf.control_dependencies([check_size(height, width, name)]):
        image = tf.io.decode_image(tf.identity(contents), channels=3, expand_animations=False)
    image = tf.ensure_shape(image, [None, None, 3])
    return _turned(image, orientation(contents)) if upright else image


def orientation(contents):
    """How a JPEG's EXIF metadata say that its pixels are stored, 1 to 8, a scalar int32; 1, upright, for all other bytes.

    Source: "Exif 2.32", CIPA DC-008, 4.6.4.A.
    """
    head = tf.strings.substr(contents, 0, EXIF_BYTES)
    is_jpeg = tf.equal(tf.strings.substr(contents, 0, len(JPEG_START)), JPEG_START)
    start = tf.strings.length(tf.strings.split(head, EXIF)[0]) + len(EXIF)
    data = tf.cast(tf.io.decode_raw(head, tf.uint8), tf.int64)
    data = tf.concat([data, tf.zeros([1], tf.int64)], axis=0)  # what lies outside is 0

    def numbers(places, count):
        """The whole numbers of `count` bytes that begin at `places` of the metadata."""
        places = tf.clip_by_value(tf.cast(start, tf.int64) + places, 0, tf.size(data, tf.int64) - 1)
        found = tf.gather(data, tf.minimum(places[..., None] + tf.range(count, dtype=tf.int64), tf.size(data, tf.int64) - 1))
        weights = 256 ** tf.range(count, dtype=tf.int64)
        return tf.reduce_sum(found * tf.where(is_little, weights, weights[::-1]), axis=-1)

    is_little = tf.constant(False)
    mark, first = numbers(tf.constant(-10, tf.int64), 2), numbers(tf.constant(0, tf.int64), 4)
    is_little = tf.equal(first, 0x49492A00)
    is_exif = is_jpeg & tf.equal(mark, EXIF_SEGMENT[0] * 256 + EXIF_SEGMENT[1]) & (is_little | tf.equal(first, 0x4D4D002A))
    directory = numbers(tf.constant(4, tf.int64), 4)
    entries = directory + 2 + 12 * tf.range(EXIF_ENTRIES, dtype=tf.int64)
    is_there = tf.range(EXIF_ENTRIES, dtype=tf.int64) < numbers(directory, 2)
    values = tf.where(is_there & tf.equal(numbers(entries, 2), ORIENTATION), numbers(entries + 8, 2), 0)
    value = tf.reduce_max(values)
    return tf.cast(tf.where(is_exif & (value >= 1) & (value <= 8), value, 1), tf.int32)


def read(path, upright=False):
    """(pixels (h, w, 3), bytes) of an image file; `upright` as of `decode`.

    Raises:
      UserError: what is wrong with it, to follow its name in a sentence.
    """
    try:
        with open(path, "rb") as stream:
            contents = stream.read()
        return _decode(contents, upright).numpy(), contents
    except FileNotFoundError as error:
        raise UserError("is missing") from error
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror})") from error
    except tf.errors.InvalidArgumentError as error:
        refusal = REFUSAL.search(error.message)
        raise UserError(refusal[1] if refusal else "cannot be decoded as a JPEG or PNG image (damaged or cut short?)") from error


def is_turned(contents):
    """Whether EXIF metadata say that the pixels of these bytes are not stored upright."""
    return int(_orientation(contents)) != 1


def check_size(height, width, name):
    """An operation that fails where an image of `height` and `width`, scalar integers, would take memory without bound."""
    shorter, longer = (tf.cast(side, tf.int64) for side in (tf.minimum(height, width), tf.maximum(height, width)))
    bearable = (shorter > 0) & (shorter * longer <= MAX_PIXELS) & (longer <= MAX_ASPECT * shorter)
    found = tf.strings.join([tf.strings.as_string(side) for side in (width, height)], "×")
    limit = f": at least 1×1, at most {MAX_PIXELS} pixels, no side over {MAX_ASPECT} times the other"
    return check(bearable, name, tf.strings.join(["is ", found, limit]))


def check(condition, *message):
    """An operation that fails with the joined `message`, scalar strings, where `condition` is not true."""
    return tf.debugging.Assert(condition, [tf.strings.join(message, " ")])


_orientation = tf.function(orientation, input_signature=[tf.TensorSpec([], tf.string)], autograph=False)


@tf.function(input_signature=[tf.TensorSpec([], tf.string), tf.TensorSpec([], tf.bool)], autograph=False)
def _decode(contents, upright):
    image = decode(contents)
    return tf.cond(upright, lambda: _turned(image, orientation(contents)), lambda: image)


def _turned(image, stored):
    """An image (h, w, 3) set upright that is stored in one of EXIF's eight ways."""
    image = tf.cond(stored >= 5, lambda: tf.transpose(image, [1, 0, 2]), lambda: image)
    image = tf.cond(tf.reduce_any(tf.equal(stored, [2, 3, 6, 7])), lambda: tf.reverse(image, [1]), lambda: image)
    return tf.cond(tf.reduce_any(tf.equal(stored, [3, 4, 7, 8])), lambda: tf.reverse(image, [0]), lambda: image)


def _jpeg_size(contents, name):
    """(2,) int32 height and width."""
    scans = _count(contents, b"\xff\xda")
    with tf.control_dependencies([check(scans <= MAX_JPEG_SCANS, name, f"has more than {MAX_JPEG_SCANS} scans")]):
        return tf.io.extract_jpeg_shape(contents)[:2]


def _png_size(contents, name):
    """(2,) int32 height and width."""
    texts = _count(contents, b"zTXt") + _count(contents, b"iTXt")
    with tf.control_dependencies([check(texts <= MAX_PNG_TEXTS, name, f"has more than {MAX_PNG_TEXTS} compressed texts")]):
        width_height = tf.io.decode_raw(tf.strings.substr(contents, len(PNG_START), 8), tf.int32, little_endian=False)
    return tf.reverse(tf.ensure_shape(width_height, [2]), [0])


def _count(contents, marker):
    return tf.size(tf.strings.split(contents, marker)) - 1
