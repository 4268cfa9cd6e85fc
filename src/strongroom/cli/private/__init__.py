"""A folder in memory that only one command sees, which can write nowhere else."""
