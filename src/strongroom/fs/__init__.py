"""File systems in the form that fsspec gives them, and pandas, Dask, pyarrow and DuckDB take."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from strongroom.fs.ram import RamFS
    from strongroom.fs.sealed.system import SealedFileSystem

__all__ = ["RamFS", "SealedFileSystem"]

_HOMES = {"RamFS": "ram", "SealedFileSystem": "sealed.system"}


def __getattr__(name: str) -> object:
    if name not in __all__:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    from importlib import import_module  # noqa: PLC0415 - each loads on first use

    value: object = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
