"""File systems in the form that fsspec gives them, and pandas, Dask, pyarrow and DuckDB take."""
