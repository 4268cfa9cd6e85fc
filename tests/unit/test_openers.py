from __future__ import annotations

import pytest

from strongroom.formats import FORMATS
from strongroom.openers import DESKTOPS, OPENERS


def test_every_format_opens_on_every_desktop() -> None:
    """Nobody is sealed to in vain; where there are keys, each command has a place for one."""
    assert OPENERS.keys() == FORMATS.keys()
    for name, openers in OPENERS.items():
        assert openers.keys() >= set(DESKTOPS)
        for opener in openers.values():
            assert opener.program
            assert opener.source
            assert ("{key}" in opener.key_command) == (FORMATS[name].keys and bool(opener.command))


@pytest.mark.parametrize("name", OPENERS)
def test_commands_take_a_file(name: str) -> None:
    """Each command names the file, and none sends data through a shell's redirection."""
    for opener in OPENERS[name].values():
        for command in filter(None, (opener.command, opener.key_command)):
            assert "{file}" in command
            assert not {">", "<", "|"} & set(command)
