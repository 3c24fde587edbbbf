"""What a diagnosis says: findings, in text for a terminal and in HTML for a notebook."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Confidence", "Diagnosis", "Finding"]

Confidence = Literal["certain", "likely", "possible"]

_WIDTH = 100
_NOTHING = "No fault found."


@dataclass(frozen=True)
class Finding:
    """One thing that went wrong in a run.

    Attributes:
        fault: its name, such as "rate too high".
        confidence: "certain" where it was counted, "likely" where an experiment showed it, "possible" otherwise.
        evidence: what was seen, in sentences with the numbers.
        advice: what to change, the exact argument first.
        numbers: those of the evidence, by name.
    """

    fault: str
    confidence: Confidence
    evidence: str
    advice: tuple[str, ...]
    numbers: Mapping[str, float] = field(default_factory=dict)


class Diagnosis(tuple[Finding, ...]):
    """The findings about a run, causes before their effects; empty where no fault was found.

    Attributes:
        checked: the faults that were looked for.
        unchecked: those that could not be, each with the reason.
    """

    checked: tuple[str, ...]
    unchecked: Mapping[str, str]

    @classmethod
    def of(cls, findings: Iterable[Finding], checked: Iterable[str], unchecked: Mapping[str, str]) -> Diagnosis:
        """Findings, and what was looked for."""
        made = cls(findings)
        made.checked, made.unchecked = tuple(checked), dict(unchecked)
        return made

    @property
    def faults(self) -> tuple[str, ...]:
        """The names of the faults found."""
        return tuple(finding.fault for finding in self)

    def __repr__(self) -> str:
        lines = [] if self else [_NOTHING]
        for number, finding in enumerate(self, 1):
            lines += [f"{number}. {finding.fault} ({finding.confidence})", *_wrapped(finding.evidence, "   ")]
            lines += [line for each in finding.advice for line in _wrapped(each, "   -> ")]
        lines += _wrapped(f"Looked for: {', '.join(self.checked) or 'nothing'}.", "")
        for fault, reason in self.unchecked.items():
            lines += _wrapped(f"Not looked for: {fault}, as {reason}.", "")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        parts = [] if self else [f"<p>{_NOTHING}</p>"]
        for finding in self:
            advice = "".join(f"<li>{html.escape(each)}</li>" for each in finding.advice)
            parts.append(
                f"<h4>{html.escape(finding.fault)} <small>({finding.confidence})</small></h4>"
                f"<p>{html.escape(finding.evidence)}</p><ul>{advice}</ul>"
            )
        notes = [f"Looked for: {', '.join(self.checked) or 'nothing'}."]
        notes += [f"Not looked for: {fault}, as {reason}." for fault, reason in self.unchecked.items()]
        return "".join(parts) + f"<p><small>{html.escape(' '.join(notes))}</small></p>"


def _wrapped(text: str, start: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent=start, subsequent_indent=" " * len(start)) or [start]
