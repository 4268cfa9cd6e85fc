"""What code written for pyzipper needs: `from strongroom.compat import pyzipper` in place of `import pyzipper`.

It is pyzipper's interface, and a Room does the work. So an archive appears whole or not at all, an entry's data is
authenticated before the first byte of it is given out, and nothing is written without encryption. What differs for
callers is listed in docs/migrate/pyzipper.md.
"""

from strongroom.compat.pyzipper.archive import AESZipFile
from strongroom.compat.pyzipper.errors import (
    BadZipFile,
    LargeZipFile,
    NotSupported,
    WriteFailed,
    WrongPassword,
)
from strongroom.compat.pyzipper.files import AESZipExtFile
from strongroom.compat.pyzipper.info import AESZipInfo
from strongroom.compat.pyzipper.options import WZ_AES, ZIP_BZIP2, ZIP_DEFLATED, ZIP_LZMA, ZIP_STORED
from strongroom.compat.pyzipper.reading import is_zipfile

__all__ = [
    "WZ_AES",
    "ZIP_BZIP2",
    "ZIP_DEFLATED",
    "ZIP_LZMA",
    "ZIP_STORED",
    "AESZipExtFile",
    "AESZipFile",
    "AESZipInfo",
    "BadZipFile",
    "BadZipfile",
    "LargeZipFile",
    "NotSupported",
    "WriteFailed",
    "WrongPassword",
    "ZipExtFile",
    "ZipFile",
    "ZipInfo",
    "error",
    "is_zipfile",
]

# There is no class that writes without encryption, so each pair is one.
ZipFile = AESZipFile
ZipInfo = AESZipInfo
ZipExtFile = AESZipExtFile
error = BadZipfile = BadZipFile
