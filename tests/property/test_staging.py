from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st

import strongroom
from strongroom import RamFS
from strongroom.names import Tree

NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/\\"), min_size=1, max_size=8)
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)


@given(st.dictionaries(PATHS, st.none() | st.binary(max_size=100), max_size=8))
def test_any_tree(wanted: dict[str, bytes | None]) -> None:
    """Whatever folders and files an archive can name, a RamFS brings them there and back."""
    tree, stream = Tree(), io.BytesIO()
    with RamFS() as ram:
        for path, data in wanted.items():
            if tree.add(path, folder=data is None) is None:
                if data is None:
                    ram.makedirs("/" + path, exist_ok=True)
                else:
                    ram.pipe_file("/" + path, data)
        before = {path: ram.isfile(path) and ram.cat_file(path) for path in ram.find("/", withdirs=True)}
        strongroom.seal(ram, stream, format="zip", password="pass")
    with strongroom.unseal(stream, password="pass") as back:
        assert {path: back.isfile(path) and back.cat_file(path) for path in back.find("/", withdirs=True)} == before
