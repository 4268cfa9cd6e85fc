from __future__ import annotations

import pytest

from strongroom.errors import FormatError, LimitError, TruncatedError
from strongroom.formats.age import spec
from strongroom.limits import Limits
from tests import agecraft

MAC = bytes(range(32))


@pytest.mark.parametrize("size", [0, 1, 32, 47, 48, 49, 95, 96, 97, 1120])
def test_stanza_ends_in_a_line_that_is_not_full(size: int) -> None:
    """A body whose last line would be full has an empty one behind it, and decodes to itself."""
    header = spec.Header((spec.Stanza("kind", ("a", "b~!"), bytes(size)),), MAC)
    lines = header.encode().split(b"\n")
    body = lines[2:-2]
    assert all(len(line) == 64 for line in body[:-1])
    assert len(body[-1]) < 64
    assert spec.Header.decode(header.encode()) == header


@pytest.mark.parametrize(
    "data",
    [
        b"age-encryption.org/v1\n--- " + spec.encode_base64(MAC).encode() + b"\n",
        b"age-encryption.org/v1\n-> a\n\n--- " + spec.encode_base64(MAC[:31]).encode() + b"\n",
        b"age-encryption.org/v1\n-> a\n\n---" + spec.encode_base64(MAC).encode() + b"\n",
        b"age-encryption.org/v1\n->  a\n\n--- " + spec.encode_base64(MAC).encode() + b"\n",
        b"age-encryption.org/v1\n-> a \n\n--- " + spec.encode_base64(MAC).encode() + b"\n",
        b"age-encryption.org/v1\n-> \x7f\n\n--- " + spec.encode_base64(MAC).encode() + b"\n",
        b"age-encryption.org/v1\n-> \xc3\xa4\n\n--- " + spec.encode_base64(MAC).encode() + b"\n",
        b"age-encryption.org/v1\n-> a\n" + b"A" * 65 + b"\n--- " + spec.encode_base64(MAC).encode() + b"\n",
        b"age-encryption.org/v1\n-> a\n\xff\n--- " + spec.encode_base64(MAC).encode() + b"\n",
        b"age-encryption.org/v1\n-> a\n\n--- " + spec.encode_base64(MAC).encode() + b"\n-> a\n",
        b"age-encryption.org/v2\n-> a\n\n--- " + spec.encode_base64(MAC).encode() + b"\n",
        b"PK\x03\x04",
    ],
)
def test_header_that_breaks_the_grammar_is_refused(data: bytes) -> None:
    """Each line has one form."""
    with pytest.raises(FormatError):
        spec.Header.decode(data)


@pytest.mark.parametrize("text", ["QQ==", "QR", "Q", "Q Q", "QUI\n", "-_8", "ä"])
def test_base64_has_one_form(text: str) -> None:
    """Padding, bits left over, spaces and other alphabets are refused."""
    with pytest.raises(ValueError):
        spec.decode_base64(text)


def test_cut_header_is_truncated() -> None:
    """A header that ends early says so, wherever that is on a line's end or not."""
    data = spec.Header((spec.Stanza("kind", ("a",), bytes(50)),), MAC).encode()
    for length in range(len(data)):
        with pytest.raises(FormatError):
            spec.read_header(agecraft.source(data[:length]), Limits())
    with pytest.raises(TruncatedError):
        spec.read_header(agecraft.source(data[:-1]), Limits())


def test_header_is_bounded() -> None:
    """A header above `Limits.header_size` is refused, also one that never ends, and also above our own bound."""
    stanza = spec.Stanza("kind", (), bytes(40_000))
    header = spec.Header((stanza,) * 10, MAC).encode()
    assert spec.read_header(agecraft.source(header + bytes(99)), Limits())[1] == len(header)
    endless = spec.Header((stanza,) * 100, MAC).encode()[:-60]
    for file, limits in ((header, Limits(header_size=len(header) - 1)), (endless, Limits())):
        with pytest.raises(LimitError):
            spec.read_header(agecraft.source(file + bytes(1000)), limits)
