"""Passphrases: random words that are made, not looked up.

A word is what a proquint writes for 16 bits (D. S. Wilkerson, "A Proposal for Proquints: Identifiers that are Readable,
Spellable, and Pronounceable", arXiv:0901.4016): five letters, consonants and vowels in turn, each consonant 4 bits and
each vowel 2. So a word is worth 16 bits where one of a diceware list of 7,776 is worth 12.9, no choice among words is
biased, and no list of somebody's language has to be kept, known, or typed by someone who does not speak it.
"""

from __future__ import annotations

from typing import Final

from strongroom.memory.pages import fill_random
from strongroom.memory.secret import Secret, SecretBuffer

FEWEST: Final = 6
"""96 bits: a graphics card that tries 18 million passwords of a ZIP in a second takes 70 trillion years."""

MOST: Final = 10
"""59 letters and hyphens. Beyond 64 bytes a second password opens a ZIP, and beyond 99 7-Zip takes none."""

BITS: Final = 16
"""Of a word."""

_CONSONANTS: Final = b"bdfghjklmnprstvz"
_VOWELS: Final = b"aiou"
_LETTERS: Final = ((_CONSONANTS, 12), (_VOWELS, 10), (_CONSONANTS, 6), (_VOWELS, 4), (_CONSONANTS, 0))
"""Of a word: which letters there are, and where in the 16 bits the number of one stands."""

_HYPHEN: Final = ord("-")


def make_passphrase(words: int = FEWEST) -> Secret:
    """Return `words` random words with hyphens between them, made in locked memory; `FEWEST` to `MOST`."""
    if not FEWEST <= words <= MOST:
        message = f"a passphrase has {FEWEST} to {MOST} words, not {words}"
        raise ValueError(message)
    length = len(_LETTERS) + 1
    with SecretBuffer(2 * words) as random, SecretBuffer(length * words) as text:
        fill_random(random)
        for word in range(words):
            number = random[2 * word] << 8 | random[2 * word + 1]
            for place, (letters, shift) in enumerate(_LETTERS):
                text[length * word + place] = letters[number >> shift & len(letters) - 1]
            text[length * word + length - 1] = _HYPHEN
        with memoryview(text) as view:
            return Secret(view[:-1])
