"""Image files that are refused, or could be mistaken: for training's reader, the export and fuzzing."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PIXELS = np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.uint8)
RGB = Image.fromarray(PIXELS)


def encoded(image, form, **options):
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, before=b"", after=b""):
    """A grey PNG of zeros that is whole, with chunks laid before and after the one that holds its size."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    packer, row = zlib.compressobj(9), bytes(width + 1)
    pixels = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    return PNG_SIGNATURE + before + header + after + png_chunk(b"IDAT", pixels) + png_chunk(b"IEND", b"")


def png_header(width, height):
    return PNG_SIGNATURE + png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) + b"\0" * 100


def jpeg_header(width, height, scans=1):
    frame = struct.pack(">BHHB", 8, height, width, 1) + bytes([1, 0x11, 0])
    scan = bytes([1, 1, 0, 0, 63, 0])
    return b"\xff\xd8" + b"".join(
        marker + struct.pack(">H", len(segment) + 2) + segment for marker, segment in ((b"\xff\xc0", frame), *[(b"\xff\xda", scan)] * scans)
    )


def with_exif(jpeg, orientation, order="<", before=b""):
    """A JPEG file with EXIF metadata that say how it is stored, behind another entry and behind the segments `before`."""
    entries = [(0x010F, 2, 4, b"abc\0"), (0x0112, 3, 1, struct.pack(order + "HH", orientation, 0)), (0x0128, 3, 1, b"\x06\0\x06\0")]
    tiff = {"<": b"II", ">": b"MM"}[order] + struct.pack(order + "HIH", 42, 8, len(entries))
    tiff += b"".join(struct.pack(order + "HHI", *entry[:3]) + entry[3] for entry in entries) + bytes(4)
    segment = b"Exif\0\0" + tiff
    return jpeg[:2] + before + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + jpeg[2:]


SMALL_SIZE_IN_FRONT = png_chunk(b"prIV", b"\0\0\0\x05\0\0\0\x05")  # which a reader of fixed offsets takes for 5×5
UNPACKED_8_MB = png_chunk(b"zTXt", b"key\0\0" + zlib.compress(b"a" * 7_900_000, 9))
REFUSED = {  # name: (contents, what is said of it)
    "not an image": (b"hello", "is neither a JPEG nor a PNG file"),
    "0 bytes": (b"", "is neither a JPEG nor a PNG file"),
    "animated GIF": (encoded(RGB, "GIF", save_all=True, append_images=[RGB.rotate(90)]), "is neither a JPEG nor a PNG file"),
    "BMP": (encoded(RGB, "BMP"), "is neither a JPEG nor a PNG file"),
    "PNG start alone": (PNG_SIGNATURE, "is neither a JPEG nor a PNG file"),
    "PNG cut in its size": (png(5, 5)[:20], "is neither a JPEG nor a PNG file"),
    "PNG bomb": (png_header(40000, 40000), "is 40000×40000"),
    "PNG bomb behind a chunk": (png(9000, 9000, before=SMALL_SIZE_IN_FRONT), "is neither a JPEG nor a PNG file"),
    "thin PNG behind a chunk": (png(1, 60000, before=SMALL_SIZE_IN_FRONT), "is neither a JPEG nor a PNG file"),
    "PNG of packed texts": (png(5, 5, after=UNPACKED_8_MB * 100), "has more than 16 compressed texts"),
    "JPEG bomb": (jpeg_header(40000, 40000), "is 40000×40000"),
    "JPEG of many scans": (jpeg_header(5000, 5000, scans=101), "has more than 100 scans"),
    "thin PNG": (png_header(1, 60000), "is 1×60000"),
    "PNG of no width": (png_header(0, 5), "is 0×5"),
    "PNG of negative width": (png_header(2**31 + 7, 5), "is -2147483641×5"),
}
DAMAGED = {  # name: (contents, what TensorFlow says of it)
    "JPEG cut in its header": (encoded(RGB, "JPEG")[:100], "Invalid JPEG data"),
    "JPEG cut in its pixels": (encoded(RGB, "JPEG")[:-400], "Invalid JPEG data"),
    "PNG cut in its pixels": (encoded(RGB, "PNG")[:2000], "Invalid PNG data"),
}
