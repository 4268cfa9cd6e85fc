from __future__ import annotations

import pytest

from strongroom.errors import FormatError, LimitError, StrongroomError, TamperedError, UnsupportedError, WrongKeyError
from strongroom.formats.age import bech32, envelope, identities, recipients
from strongroom.formats.age.passphrase import ScryptIdentity, ScryptRecipient
from strongroom.limits import Limits
from strongroom.memory.secret import Secret
from tests import agecraft


def view(text: str) -> memoryview:
    """Return text as a file gives it."""
    return memoryview(text.encode())


@pytest.mark.parametrize("text", [agecraft.X25519, agecraft.HYBRID])
def test_identity_reads_what_it_writes(text: str) -> None:
    """The text is age's, in capital letters; small ones mean the same."""
    for given in (text, text.lower()):
        with identities.encode(agecraft.identity(given)) as encoded:
            assert bytes(encoded) == text.encode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "AGE-SECRET-KEY-1",
        agecraft.X25519[:-1],
        agecraft.X25519[:-1] + "Q",
        agecraft.X25519[:20] + agecraft.X25519[20:].lower(),
        agecraft.X25519_RECIPIENT,
        agecraft.X25519.replace("1", "ä", 1),
        bech32.encode("age-secret-key-", bytes(31)),
        bech32.encode("age-secret-key-", bytes(33)),
    ],
)
def test_what_is_no_identity_is_refused(text: str) -> None:
    """A mistyped identity is the caller's mistake, and the error does not show it."""
    with pytest.raises(ValueError) as caught:
        identities.parse(view(text))
    assert len(text) < 30 or text[20:] not in str(caught.value)


def test_plugin_is_named() -> None:
    """Identities of plugins are legal, and not run here."""
    with pytest.raises(UnsupportedError, match="age-plugin-yubikey"):
        identities.parse(view(bech32.encode("age-plugin-yubikey-", bytes(20)).upper()))


@pytest.mark.parametrize("classic", [True, False])
def test_new_identities_differ(classic: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """A new key opens what its recipient was given, and no other key does."""
    mine, other = (identities.generate(classic=classic) for _ in range(2))
    file = agecraft.seal(b"data", [mine.recipient])
    assert agecraft.read_whole(file, [other, mine]).data == b"data"
    assert isinstance(agecraft.read_whole(file, [other]).error, WrongKeyError)
    mine.close()
    with pytest.raises(ValueError):
        agecraft.read_whole(file, [mine])


def test_identity_file() -> None:
    """As age-keygen writes it: comments, then one a line."""
    text = f"# created: today\n# public key: {agecraft.X25519_RECIPIENT}\n{agecraft.X25519}\n\n{agecraft.HYBRID}\r\n"
    found = identities.parse_file(view(text), "keys")
    assert [one.kind for one in found] == ["X25519", "mlkem768x25519"]
    assert found[0].recipient == agecraft.X25519_RECIPIENT


def test_cost_of_many_keys_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a file of identities nor a header full of stanzas keeps the reader busy for minutes."""
    monkeypatch.setattr(identities, "_MOST", 3)
    monkeypatch.setattr(identities, "_MOST_TRIES", 7)
    assert len(identities.parse_file(view(f"{agecraft.X25519}\n" * 3), "keys")) == 3
    with pytest.raises(LimitError, match="more than 3 identities"):
        identities.parse_file(view(f"{agecraft.X25519}\n" * 4), "keys")
    others = [identities.generate(classic=True) for _ in range(3)]
    file = agecraft.seal(b"data", [others[0].recipient] * 4)
    with pytest.raises(LimitError, match="more than 7 tries"):
        agecraft.payload(file, [agecraft.identity(), *others[1:], others[0]])
    agecraft.payload(file, [others[0]]).close()


@pytest.mark.parametrize("text", ["", "# none\n", "hello\n", f"{agecraft.X25519}\nhello there, who are you?\n"])
def test_file_without_identities_is_refused(text: str) -> None:
    """The error names the file."""
    with pytest.raises(ValueError, match="keys"):
        identities.parse_file(view(text), "keys")


@pytest.mark.parametrize("armored", [True, False])
def test_identity_file_under_a_passphrase(armored: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """It is asked for once; a wrong one is a wrong key, and none a clear refusal."""
    with Secret("open sesame") as password:
        file = agecraft.seal(agecraft.X25519.encode(), [ScryptRecipient(password, 4)], armored=armored)
    found = envelope.open_identities(agecraft.source(file), "keys", lambda: Secret("open sesame"), Limits())
    assert [one.recipient for one in found] == [agecraft.X25519_RECIPIENT]
    with pytest.raises(WrongKeyError):
        envelope.open_identities(agecraft.source(file), "keys", lambda: Secret("sesame"), Limits())
    with pytest.raises(FormatError):
        envelope.open_identities(agecraft.source(file), "keys", None, Limits())
    with pytest.raises(TamperedError):
        envelope.open_identities(agecraft.source(file_flip(file)), "keys", lambda: Secret("open sesame"), Limits())


def file_flip(file: bytes) -> bytes:
    """Change what is in the payload's last chunk, in armor too."""
    if not file.startswith(b"-----BEGIN"):
        return file[:-1] + bytes([file[-1] ^ 1])
    lines = file.splitlines(keepends=True)
    lines[-3] = (b"A" if lines[-3][:1] != b"A" else b"B") + lines[-3][1:]
    return b"".join(lines)


def test_identity_file_of_another_kind_of_encryption_is_refused() -> None:
    """Only a passphrase can be asked for."""
    file = agecraft.seal(agecraft.X25519.encode())
    with pytest.raises(FormatError):
        envelope.open_identities(agecraft.source(file), "keys", lambda: Secret("pass"), Limits())


def test_passphrase_opens_and_its_cost_is_bounded() -> None:
    """The work factor of the file counts, and above the limit nothing is worked on."""
    with Secret("pass") as right, Secret("Pass") as wrong:
        file = agecraft.seal(b"data", [ScryptRecipient(right, 10)])
        assert agecraft.read_whole(file, [ScryptIdentity(right, Limits(scrypt_log_n=10))]).data == b"data"
        assert isinstance(agecraft.read_whole(file, [ScryptIdentity(wrong, Limits())]).error, WrongKeyError)
        assert isinstance(agecraft.read_whole(file, [ScryptIdentity(right, Limits(scrypt_log_n=9))]).error, LimitError)
        assert isinstance(agecraft.read_whole(file, [agecraft.identity()]).error, WrongKeyError)


def test_default_work_factor_is_that_of_age() -> None:
    """18, on every machine."""
    with Secret("pass") as password:
        file = agecraft.seal(b"data", [ScryptRecipient(password)])
        assert file.split(b"\n")[1].endswith(b" 18")
        assert agecraft.read_whole(file, [ScryptIdentity(password, Limits())]).data == b"data"


def test_passphrase_has_no_recipient() -> None:
    """There is nothing to be shown."""
    with Secret("pass") as password, pytest.raises(ValueError):
        _ = ScryptIdentity(password, Limits()).recipient


@pytest.mark.parametrize("secret", [agecraft.X25519, agecraft.HYBRID])
def test_changed_stanza_never_opens(secret: str) -> None:
    """Each changed character of a header is an error of ours, and never a file that opens."""
    own = [agecraft.identity(secret)]
    file = agecraft.seal(b"data", [own[0].recipient])
    end = file.index(b"\n---")
    step = 1 if secret == agecraft.X25519 else 37
    for place in range(0, end + 50, step):
        changed = file[:place] + bytes([file[place] ^ 1]) + file[place + 1 :]
        error = agecraft.read_whole(changed, own).error
        assert isinstance(error, StrongroomError), place


def test_recipients_and_identities_are_told_apart() -> None:
    """A file of recipients is none of identities, and the error does not show what is in it."""
    with pytest.raises(ValueError):
        identities.parse_file(view(agecraft.X25519_RECIPIENT), "keys")
    with pytest.raises(ValueError):
        recipients.parse_file(agecraft.X25519.encode(), "friends")
