"""Explains a 7z file without its password."""

from __future__ import annotations

import warnings
from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn

from strongroom.errors import FormatError, LimitError, StrongroomError, StrongroomWarning, UnsupportedError
from strongroom.formats.facts import Cipher, Derivation, Inspection, Tool, Weakness, Weaknesses, plural, structure
from strongroom.formats.sevenzip import coders, crypto, directory, spec
from strongroom.formats.sevenzip.evidence import manifest_of
from strongroom.manifest.spec import TAIL_SIZE, Tail

if TYPE_CHECKING:
    from collections.abc import Iterable

    from strongroom.formats.sevenzip.directory import Archive, Outline
    from strongroom.formats.sevenzip.streams import Folder
    from strongroom.limits import Limits
    from strongroom.source import Source

_AES: Final = "AES-256"
_CBC: Final = "AES-256 in CBC mode"
_NONE: Final = "none"
_SHORT_IV: Final = 8  # of older versions of 7-Zip; of a longer one zeros may be missing at its end
_NO_HASH: Final = 63  # of the rounds' logarithm: the key is the password itself
_CLASSIC: Final = {"store", "lzma", "deflate", "bzip2", "ppmd", "deflate64"}


class _Seen(NamedTuple):
    """What can be read: the encryption of headers and folders, and the archive where its header is not encrypted."""

    outline: Outline
    hidden: bool
    properties: list[crypto.AesProperties]
    archive: Archive | None
    warned: list[str]


def inspect(source: Source, limits: Limits) -> Inspection:
    """Explain a file. What the reader would refuse is a weakness here, with as much as can be read all the same.

    Raises `FormatError` for what is no 7z file.
    """
    if directory.find(source) is None:
        directory.locate(source, limits)  # which says so
    tail: Tail | None = None
    seen: _Seen | None = None
    problem: StrongroomError | None = None
    try:
        outline = directory.locate(source, limits)
        manifest = manifest_of(source, outline, limits)
        tail = Tail.decode(manifest[-TAIL_SIZE:]) if manifest else None
        seen = _look(outline, limits)
    except (FormatError, UnsupportedError, LimitError) as error:
        problem = error
    if seen is None:
        return _refused(problem)
    files = _files(seen.archive)
    entries = len(seen.archive.records) if seen.archive is not None else tail.entries if tail is not None else None
    return Inspection(
        description="7z archive" + " behind a program" * bool(seen.outline.origin),
        entries=entries,
        ciphers=_ciphers(seen, files),
        derivations=_derivations(seen.properties),
        visible=_visible(seen, files, counted=entries is not None),
        hidden=("contents", "names", "sizes", "dates") if seen.hidden else ("contents",) if files[_AES] else (),
        manifest="absent" if tail is None else "present",
        weaknesses=tuple(_weaknesses(seen, files, manifest=tail is not None)),
        tools=_tools(seen),
    )


def _look(outline: Outline, limits: Limits) -> _Seen:
    header = outline.header
    if isinstance(header, spec.EncodedHeader):
        properties = coders.encryption(header.streams.folders[0])
        if properties:
            return _Seen(outline, hidden=True, properties=properties, archive=None, warned=[])
    tools = coders.Tools(limits, 1, _no_key)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", StrongroomWarning)
        archive = directory.load(outline, limits, tools)
    properties = [one for folder in archive.folders for one in coders.encryption(folder)]
    warned = [str(one.message) for one in caught]
    return _Seen(outline, hidden=False, properties=properties, archive=archive, warned=warned)


def _no_key(_: crypto.AesProperties) -> NoReturn:
    message = "nothing is decrypted here"
    raise AssertionError(message)


def _refused(problem: StrongroomError | None) -> Inspection:
    if isinstance(problem, FormatError):
        weak = structure([str(problem)])
    else:
        weak = (Weakness("limit" if isinstance(problem, LimitError) else "unsupported", "note", str(problem)),)
    return Inspection(description="7z archive", manifest="unknown", weaknesses=weak)


def _files(archive: Archive | None) -> Counter[str]:
    """Count the files with data by their encryption."""
    records = archive.records if archive is not None else ()
    return Counter(record.entry.encryption or _NONE for record in records if record.folder is not None)


def _ciphers(seen: _Seen, files: Counter[str]) -> tuple[Cipher, ...]:
    if seen.hidden:
        return (Cipher(_CBC),)
    return tuple(Cipher(_CBC if name == _AES else name, count) for name, count in sorted(files.items()))


def _derivations(properties: Iterable[crypto.AesProperties]) -> tuple[Derivation, ...]:
    found = sorted({(one.cycles_power, len(one.salt)) for one in properties})
    return tuple(Derivation("SHA-256", 0 if power == _NO_HASH else 1 << power, salt) for power, salt in found)


def _visible(seen: _Seen, files: Counter[str], *, counted: bool) -> tuple[str, ...]:
    if seen.hidden:
        return ("size of the file", *(("number of entries",) if counted else ()))
    found = ["names", "sizes", "dates", "number of entries", "compression methods"]
    if files[_AES]:
        found.append("CRC-32 of contents")
    if files[_NONE]:
        found.append("contents of what is not encrypted")
    return tuple(found)


def _weaknesses(seen: _Seen, files: Counter[str], *, manifest: bool) -> list[Weakness]:
    used = seen.properties
    gathered = Weaknesses()
    add = gathered.add
    bare = files[_NONE]
    add("not-encrypted", "broken", f"{plural(bare, 'file')} not encrypted: anyone can read and change that", there=bare)
    mixed = "encrypted files and others stand side by side: one that is not may have been put in"
    add("mixed", "weak", mixed, there=bare and files[_AES])
    partly = _partly(seen.archive)
    text = f"{plural(partly, 'folder')} encrypted in parts: the rest of the data is there in clear"
    add("partly-encrypted", "broken", text, there=partly)
    pairs = Counter((one.salt, one.iv, one.cycles_power) for one in used)
    twice = sum(count - 1 for count in pairs.values())
    text = f"{plural(twice, 'stream')} with key and IV of another: where they begin alike, that shows"
    add("iv-reused", "broken", text, there=twice)
    bare_key = any(one.cycles_power == _NO_HASH for one in used)
    add("no-hash", "broken", "no rounds: the key is the password itself", there=bare_key)
    least = min((one.cycles_power for one in used), default=crypto.CYCLES_POWER)
    text = f"{1 << least:,} rounds, and other tools take {1 << crypto.CYCLES_POWER:,}: passwords are guessed faster"
    add("low-rounds", "weak", text, there=least < crypto.CYCLES_POWER)
    text = "no salt: a password has the same key in all archives, and one table of guesses serves for all"
    add("no-salt", "weak", text, there=any(not one.salt for one in used))
    shortest = min((len(one.iv) for one in used), default=crypto.IV_SIZE)
    text = f"an IV of {shortest} bytes in place of {crypto.IV_SIZE}: where two are alike, so are the data's beginnings"
    add("short-iv", "weak", text, there=shortest <= _SHORT_IV)
    text = "the header is not encrypted: anyone can read names, sizes and dates"
    add("plain-names", "note", text, there=not seen.hidden and seen.archive is not None and seen.archive.records)
    text = "the CRC-32 of contents is there for all: guesses can be checked against it, and forgeries mended with it"
    add("plain-crc", "weak", text, there=not seen.hidden and files[_AES])
    text = "no authentication code and no manifest: it can be changed without the password, and tools say it is fine"
    add("no-manifest", "weak", text, there=used and not manifest)
    text = f"{seen.outline.origin:,} bytes stand before the archive, a program that unpacks it perhaps"
    add("prepended", "note", text, there=seen.outline.origin)
    gap = seen.outline.gap.size
    text = f"{plural(gap, 'byte')} that no tool looks at, before the header"
    add("gap", "note", text, there=gap and not manifest)
    for text in seen.warned:
        add("anti-item", "note", text, there=True)
    return gathered.found


def _partly(archive: Archive | None) -> int:
    """Count the folders of which something is encrypted, and not all."""
    if archive is None:
        return 0
    return sum(bool(coders.encryption(folder)) and not directory.is_encrypted(folder) for folder in archive.folders)


def _tools(seen: _Seen) -> tuple[Tool, ...]:
    encrypted = seen.hidden or bool(seen.properties)
    lacking = sorted(_methods(seen.archive) - _CLASSIC)
    known = None if lacking else True
    note = ", ".join(lacking)
    lock = "AES" if encrypted else note
    return (
        Tool("7-Zip", known, note),
        Tool("WinZip", known, note),
        Tool("bsdtar", False if encrypted else known, lock),
        Tool("unzip", opens=False, note="no 7z"),
        Tool("Windows Explorer", False if encrypted else known, "AES" if encrypted else "Windows 11 or later"),
        Tool("macOS Archive Utility", False if encrypted else None, lock),
    )


def _methods(archive: Archive | None) -> set[str]:
    """Return the names of what compresses; filters are left out, which all tools share."""
    folders: Iterable[Folder] = archive.folders if archive is not None else ()
    methods = (coders.method(coder) for folder in folders for coder in folder.coders)
    return {method.name for method in methods if method.role in (coders.Role.COMPRESS, coders.Role.COPY)}
