"""What names may be: of classes and attributes, of files in tables, of folders in flags.

A name ends up in flagfiles, lists of one name a line, tables, SVG and terminals. So it has only letters that all of them hold, on one
line, and one spelling: the composed one (NFC), whether its author wrote accents as part of a letter or after it.
"""

import hashlib
import re
import unicodedata

# Control characters, line separators, bytes that are not UTF-8 (which Python reads as lone surrogates), and what XML has no place for.
_UNUSABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")


def composed(name):
    """The one spelling of a name."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def lot(name):
    """What a name draws where names alone are to part a data set: sorted by it, they lie in an order that says nothing of them."""
    return hashlib.sha256(composed(name).encode()).hexdigest()


def fault(name):
    """What keeps a text from being a name, as the end of a sentence about it; "" where nothing does."""
    unusable = _UNUSABLE.search(name)
    if unusable:
        kind = "a byte that is not UTF-8" if "\ud800" <= unusable[0] <= "\udfff" else "a line break or control character"
        return f"has {kind} in it"
    return "begins or ends with a space" if name != name.strip() else ""


def shown(text):
    """The text on one line that can be printed: what breaks lines, and bytes that are no UTF-8, as in Python's strings."""

    def escaped(unusable):
        code = ord(unusable[0])
        return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else unusable[0].encode("unicode_escape").decode()

    return _UNUSABLE.sub(escaped, text)
