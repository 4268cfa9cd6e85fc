"""What `harden` and `doctor` tell."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Check:
    """One protection: what it is, whether it holds, what was found, and what to do where it does not hold."""

    name: str
    ok: bool
    found: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class ProtectionReport:
    """All that was looked at; `ok` where every protection holds."""

    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether every protection holds."""
        return all(check.ok for check in self.checks)
