"""Proves the promises on this machine: what a process that seals and reads leaves in memory, on disk and in /proc."""
