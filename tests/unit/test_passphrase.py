from __future__ import annotations

import re
from collections import Counter

import pytest

from strongroom.memory.secret import SecretBuffer
from strongroom.passphrase import BITS, FEWEST, MOST, make_passphrase

WORD = re.compile(rb"([bdfghjklmnprstvz])([aiou])([bdfghjklmnprstvz])([aiou])([bdfghjklmnprstvz])")


def number(word: bytes) -> int:
    """The 16 bits of a word, by the proposal."""
    match = WORD.fullmatch(word)
    assert match, word
    bits = 0
    for place, letter in enumerate(match.groups()):
        letters, width = (b"aiou", 2) if place % 2 else (b"bdfghjklmnprstvz", 4)
        bits = bits << width | letters.index(letter)
    return bits


def made(words: int) -> list[bytes]:
    """The words of a new passphrase."""
    with make_passphrase(words) as phrase:
        return bytes(phrase).split(b"-")


@pytest.mark.parametrize("words", range(FEWEST, MOST + 1))
def test_words(words: int) -> None:
    """There are as many as asked for, and ZIP takes them all."""
    found = made(words)
    assert len(found) == words
    assert all(map(WORD.fullmatch, found))
    assert len(b"-".join(found)) <= 64


@pytest.mark.parametrize("words", [-1, 0, 5, 11, 1 << 40])
def test_too_few_and_too_many(words: int) -> None:
    """Fewer words are weaker than we let anyone be, and more help nobody."""
    with pytest.raises(ValueError, match="6 to 10"):
        make_passphrase(words)


def test_the_proposal_s_own_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Words are those that arXiv:0901.4016 gives for the addresses 127.0.0.1, 63.84.220.193 and 63.118.7.35."""
    given = bytes([127, 0, 0, 1, 63, 84, 220, 193, 63, 118, 7, 35])

    def fill(buffer: SecretBuffer) -> None:
        buffer[:] = given

    monkeypatch.setattr("strongroom.passphrase.fill_random", fill)
    assert b"-".join(made(6)) == b"lusab-babad-gutih-tugad-gutuk-bisog"


def test_every_bit_is_random() -> None:
    """Of 16 bits each is set in half of the words, and no word is favoured."""
    numbers = [number(word) for _ in range(400) for word in made(MOST)]
    for bit in range(BITS):
        assert 1800 < sum(number >> bit & 1 for number in numbers) < 2200  # six sigma
    assert max(Counter(numbers).values()) <= 4
