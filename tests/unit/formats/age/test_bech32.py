from __future__ import annotations

import pytest

from strongroom.formats.age import bech32

# BIP 173, "Test vectors", without those that are too long only for BIP 173.
VALID = [
    "a12uel5l",
    "an83characterlonghumanreadablepartthatcontainsthenumber1andtheexcludedcharactersbio1tt5tgs",
    "abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw",
    "split1checkupstagehandshakeupstreamerranterredcaperred2y9e3w",
]
INVALID = [
    "\x201nwldj5",
    "\x7f1axkwrx",
    "pzry9x0s0muk",
    "1pzry9x0s0muk",
    "x1b4n0q5v",
    "li1dgmt3",
    "de1lg7wt\xff",
    "A1G7SGD8",
    "10a06t8",
    "1qzzfhee",
    "split1checkupstagehandshakeupstreamerranterredcaperred2y9e3v",
    "split1Checkupstagehandshakeupstreamerranterredcaperred2y9e3w",
    "",
    "1",
]


@pytest.mark.parametrize("text", ["a12uel5l", VALID[2], VALID[3]])
def test_valid_text_is_decoded_and_encoded(text: str) -> None:
    """One value has one text; capitals decode to the same."""
    data = bech32.decode(text)
    assert bech32.encode(bech32.prefix(memoryview(text.encode())), data) == text
    assert bech32.decode(text.upper()) == data


def test_prefix_is_what_stands_before_the_last_one() -> None:
    """A prefix may have a "1" in it."""
    assert bech32.prefix(memoryview(VALID[1].encode())).endswith("bio")


@pytest.mark.parametrize("text", INVALID)
def test_invalid_text_is_refused(text: str) -> None:
    """The invalid vectors of BIP 173, and mixed letters."""
    with pytest.raises(ValueError):
        bech32.decode(text)


@pytest.mark.parametrize("size", [*range(8), 32, 33, 1216])
def test_any_data_comes_back(size: int) -> None:
    """No length of data is lost or padded."""
    data = bytes(range(256)) * 5
    assert bech32.decode(bech32.encode("age", data[:size])) == data[:size]


def test_any_other_letter_is_noticed() -> None:
    """The checksum finds each single mistake."""
    text = bech32.encode("age", b"0123456789")
    for place in range(len(text)):
        for letter in "qp1":
            if text[place] != letter:
                with pytest.raises(ValueError):
                    bech32.decode(text[:place] + letter + text[place + 1 :])


def test_bits_that_are_left_over_have_to_be_zero() -> None:
    """Else one key would have several texts."""
    text = memoryview(b"a1" + b"qq" + b"p" + b"pppppp")
    with pytest.raises(ValueError):
        bech32.decode_into(text, memoryview(bytearray(1)))
