import unicodedata
from xml.etree import ElementTree

import pytest

from bgsnet_tf import names
from bgsnet_tf.errors import UserError


@pytest.mark.parametrize("name", ["cat", "Käuzchen 2", "$x^{$", "猫", "👩\u200d🚀", "<&>", "a\u0308", "'\""])
def test_a_name_of_printable_letters_is_one(name):
    assert names.fault(name) == "" and names.shown(name) == name


@pytest.mark.parametrize("letter", [*map(chr, range(32)), "\x7f", "\x85", "\x9f", "\u2028", "\u2029", "\ufffe", "\uffff"])
def test_a_line_break_or_control_character_is_named_and_shown_as_an_escape(letter):
    assert names.fault(f"a{letter}b") == "has a line break or control character in it"
    shown = names.shown(f"a{letter}b")
    assert len(shown.splitlines()) == 1 and shown.isprintable()
    assert str(UserError(f"a{letter}b")) == shown


def test_a_byte_that_is_not_utf_8_is_named():
    name = b"caf\xe9".decode("utf-8", "surrogateescape")
    assert names.fault(name) == "has a byte that is not UTF-8 in it"
    assert names.shown(name) == "caf\\xe9"


@pytest.mark.parametrize("name", [" a", "a ", "a\u00a0"])
def test_spaces_at_the_ends_cannot_be_seen(name):
    assert names.fault(name) == "begins or ends with a space"


def test_every_letter_that_a_name_may_have_stands_in_xml_and_on_one_line():
    letters = [letter for letter in map(chr, range(0x110000)) if not names.fault(f"a{letter}b")]
    text = "".join(letters)
    assert len(text.splitlines()) == 1
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert ElementTree.fromstring(f"<a>{escaped}</a>".encode()).text == text
    assert unicodedata.category("\u0378") == "Cn" and "\u0378" in letters


def test_a_name_has_one_spelling():
    assert names.composed("cafe\u0301") == names.composed("caf\u00e9") == "caf\u00e9"
