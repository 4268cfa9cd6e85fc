"""Explains a ZIP file without its password."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from strongroom.compression import BY_ZIP_METHOD
from strongroom.errors import FormatError, LimitError, StrongroomError, UnsupportedError
from strongroom.formats.facts import Cipher, Derivation, Inspection, Tool, Weakness, Weaknesses, plural, structure
from strongroom.formats.zip import crypto, extras, spec
from strongroom.formats.zip.directory import LONGEST_COMMENT, Directory, aes_of, encryption_of
from strongroom.formats.zip.evidence import decode_comment
from strongroom.formats.zip.local import check_local, locate
from strongroom.manifest.spec import SALT_SIZE, decode_field
from strongroom.source import Cursor, read

if TYPE_CHECKING:
    from collections.abc import Iterable

    from strongroom.limits import Limits
    from strongroom.source import Source

_ZIPCRYPTO: Final = "ZipCrypto"
_STRONG: Final = "PKWARE strong encryption"
_NONE: Final = "none"
_CLASSIC: Final = frozenset({"store", "deflate"})
_MAGIC: Final = (spec.LOCAL, spec.END, spec.CENTRAL)

_ALL: Final = frozenset({"store", "deflate", "deflate64", "bzip2", "lzma", "xz", "zstd", "ppmd"})
_UNZIP: Final = frozenset({"store", "deflate", "deflate64", "bzip2"})
_FEW: Final = _ALL - {"zstd", "xz"}


class _Known(NamedTuple):
    """What another program opens: methods of files that are not encrypted, under ZipCrypto, and under AES.

    Of the methods in `untried` we do not know.
    """

    name: str
    plain: frozenset[str]
    zipcrypto: frozenset[str]
    aes: frozenset[str]
    untried: frozenset[str] = frozenset()


_KNOWN: Final = (  # 7-Zip 26.02, UnZip 6.00 and libarchive 3.6 were tried; the others are as their makers say
    _Known("7-Zip", _ALL, _ALL, _ALL),
    _Known("WinZip", _FEW, _FEW, _FEW, untried=_ALL - _FEW),
    _Known("bsdtar", _ALL - {"deflate64"}, _CLASSIC, _CLASSIC),
    _Known("unzip", _UNZIP, _UNZIP, frozenset()),
    _Known("Windows Explorer", _CLASSIC | {"deflate64"}, _CLASSIC, frozenset()),
    _Known("macOS Archive Utility", _CLASSIC, _CLASSIC, frozenset(), untried=_ALL - _CLASSIC),
)


class _Seen(NamedTuple):
    """A file in the archive: `encryption` and `method` as an `Entry` has them, `crc` that of the plaintext or 0."""

    encryption: str
    method: str
    aes: extras.AesExtra | None
    crc: int


class _Around(NamedTuple):
    """What stands around the entries' data: faults, and whether a salt is there twice."""

    problems: list[str]
    repeated: int


def inspect(source: Source, limits: Limits) -> Inspection:
    """Explain a file. What the reader would refuse is a weakness here, with as much as can be read all the same.

    Raises `FormatError` for what is no ZIP file.
    """
    try:
        directory = Directory(source, limits)
    except (FormatError, UnsupportedError, LimitError) as error:
        return _refused(source, limits, error)
    records = directory.records
    files = [
        _Seen(record.entry.encryption or _NONE, record.entry.method, record.aes, record.header.crc)
        for record in records
        if record.entry.kind != "directory" or record.entry.encrypted
    ]
    around = _look_around(source, directory)
    rounds = _manifest_rounds(directory)
    derivations = [*_derivations(files)]
    if rounds is not None:
        derivations.append(Derivation("PBKDF2-HMAC-SHA256", rounds, SALT_SIZE, "manifest"))
    weak = [*structure(around.problems), *_weaknesses(files, manifest=rounds is not None, repeated=around.repeated)]
    if directory.shift:
        text = f"{directory.shift:,} bytes stand before the archive, a program that unpacks it perhaps"
        weak.append(Weakness("prepended", "note", text))
    comments = bool(directory.comment and records) or any(record.header.comment for record in records)
    return Inspection(
        description="ZIP archive" + " behind something else" * bool(directory.shift),
        entries=len(records),
        ciphers=_ciphers(files),
        derivations=tuple(derivations),
        visible=_visible(files, comments=comments),
        hidden=("contents",) if any(file.encryption != _NONE for file in files) else (),
        manifest="absent" if rounds is None else "present",
        weaknesses=tuple(weak),
        tools=() if around.problems else _tools(files),
    )


def _refused(source: Source, limits: Limits, error: StrongroomError) -> Inspection:
    """Explain what the reader refuses, from the headers that can be read."""
    headers = _salvaged(source, limits)
    if headers is None:
        if read(source, 0, min(source.size, len(spec.LOCAL))) not in _MAGIC:
            raise error
        headers = []
    files = [_seen(header) for header in headers if not header.name.endswith(b"/")]
    if isinstance(error, FormatError):
        first = structure([str(error)])[0]
    else:
        first = Weakness("limit" if isinstance(error, LimitError) else "unsupported", "note", str(error))
    return Inspection(
        description="ZIP archive",
        entries=len(headers) if headers else None,
        ciphers=_ciphers(files),
        derivations=tuple(_derivations(files)),
        visible=_visible(files, comments=any(header.comment for header in headers)) if headers else (),
        hidden=("contents",) if any(file.encryption != _NONE for file in files) else (),
        manifest="unknown",
        weaknesses=(first, *_weaknesses(files, manifest=True, repeated=0)),
        tools=(),
    )


def _salvaged(source: Source, limits: Limits) -> list[spec.CentralHeader] | None:
    """Return the headers that stand where the last end record says, as far as they can be read; None without one."""
    tail_size = min(source.size, LONGEST_COMMENT + spec.END_SIZE)
    tail = read(source, source.size - tail_size, tail_size)
    place = tail.rfind(spec.END, 0, max(tail_size - spec.END_SIZE + len(spec.END), 0))
    if place < 0:
        return None
    record = spec.EndRecord.decode(tail[place : place + spec.END_SIZE])
    end = source.size - tail_size + place
    for start in (record.directory_offset, end - record.directory_size):
        if 0 <= start < end and read(source, start, min(4, end - start)) == spec.CENTRAL:
            found: list[spec.CentralHeader] = []
            cursor = Cursor(read(source, start, min(end - start, limits.header_size)), start)
            while cursor.left and len(found) < limits.entries:
                try:
                    found.append(spec.CentralHeader.decode(cursor))
                except FormatError:
                    break
            return found
    return []


def _seen(header: spec.CentralHeader) -> _Seen:
    try:
        aes = aes_of(header, extras.decode_extra(header.extra, 0), 0)
    except FormatError:
        aes = None
    method = aes.method if aes else header.method
    name = BY_ZIP_METHOD[method].name if method in BY_ZIP_METHOD else str(method)
    return _Seen(encryption_of(header, aes) or _NONE, name, aes, header.crc)


def _look_around(source: Source, directory: Directory) -> _Around:
    """Hold every local header against the directory, and look for salts that are there twice."""
    problems: list[str] = []
    salts = Counter[bytes]()
    for record in directory.records:
        try:
            place = locate(source, record)
            salts[place.head[: -crypto.VERIFIER_SIZE]] += bool(place.head)
            check_local(record, place)
        except FormatError as error:
            problems.append(str(error))
    return _Around(problems, sum(count - 1 for count in salts.values() if count > 1))


def _manifest_rounds(directory: Directory) -> int | None:
    """Return the rounds of the manifest's key, or None where there is no manifest that has one."""
    fields = [record.manifest for record in directory.records] or [decode_comment(directory.comment)]
    try:
        tail = decode_field(fields[-1])[1] if fields[-1] else None
    except FormatError:
        return None
    return None if tail is None else tail.rounds


def _ciphers(files: Iterable[_Seen]) -> tuple[Cipher, ...]:
    return tuple(Cipher(name, count) for name, count in sorted(Counter(file.encryption for file in files).items()))


def _derivations(files: Iterable[_Seen]) -> list[Derivation]:
    sizes = sorted({crypto.salt_size(file.aes.key_bits) for file in files if file.aes})
    return [Derivation("PBKDF2-HMAC-SHA1", crypto.ROUNDS, size, "each file") for size in sizes]


def _visible(files: Iterable[_Seen], *, comments: bool) -> tuple[str, ...]:
    found = ["names", "sizes", "dates", "number of entries", "compression methods"]
    files = list(files)
    if any(file.encryption != _NONE and file.crc for file in files):
        found.append("CRC-32 of contents")
    if comments:
        found.append("comments")
    if any(file.encryption == _NONE for file in files):
        found.append("contents of what is not encrypted")
    return tuple(found)


def _weaknesses(files: list[_Seen], *, manifest: bool, repeated: int) -> list[Weakness]:
    kinds = Counter(file.encryption for file in files)
    crcs = sum(file.aes is not None and file.aes.version == 1 for file in files)
    aes = any(file.aes for file in files)
    gathered = Weaknesses()
    add = gathered.add
    bare = kinds[_NONE]
    add("not-encrypted", "broken", f"{plural(bare, 'file')} not encrypted: anyone can read and change that", there=bare)
    mixed = "encrypted files and others stand side by side: one that is not may have been put in"
    add("mixed", "weak", mixed, there=bare and len(kinds) > 1)
    zipcrypto = "ZipCrypto: who knows 12 bytes of a file reads all of them, without the password"
    add("zipcrypto", "broken", zipcrypto, there=kinds[_ZIPCRYPTO])
    add("strong-encryption", "note", "PKWARE's strong encryption, which few tools know", there=kinds[_STRONG])
    text = f"{plural(crcs, 'file')} of AE-1, which shows the CRC-32 of contents: guesses can be checked against it"
    add("ae-1", "weak", text, there=crcs)
    text = f"{plural(repeated, 'file')} with the salt of another: two such files give each other away"
    add("salt-reused", "broken", text, there=repeated)
    text = f"{crypto.ROUNDS:,} rounds: a graphics card tries millions of passwords a second, so only long ones hold"
    add("low-rounds", "weak", text, there=aes)
    add("plain-names", "note", "anyone can read names, sizes and dates", there=files)
    text = "a password verifier of 2 bytes: of 65,536 wrong passwords one passes for right until the data is read"
    add("short-verifier", "note", text, there=aes and not manifest)
    text = "no manifest: who has no password can rename, re-date, drop and swap files unnoticed"
    add("no-manifest", "weak", text, there=aes and not manifest)
    return gathered.found


def _tools(files: list[_Seen]) -> tuple[Tool, ...]:
    if any(file.encryption == _STRONG for file in files):
        return (Tool("PKZIP", opens=True), Tool("7-Zip", None, "in part"))
    return tuple(_verdict(tool, files) for tool in _KNOWN)


def _verdict(tool: _Known, files: list[_Seen]) -> Tool:
    lacking = {_lacking(tool, file) for file in files} - {""}
    unknown = {method for method in lacking if method in tool.untried or method.isdigit()}
    return Tool(tool.name, (None if unknown == lacking else False) if lacking else True, ", ".join(sorted(lacking)))


def _lacking(tool: _Known, file: _Seen) -> str:
    """Return what of a file the tool does not know, or nothing."""
    known = tool.aes if file.aes else tool.zipcrypto if file.encryption == _ZIPCRYPTO else tool.plain
    if file.method in known:
        return ""
    return file.method if known else "AES"
