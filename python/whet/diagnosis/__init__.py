"""Says what went wrong in a run and what to change: `whet.diagnose`.

rows.py has the sample that is looked at, facts.py what is known of a run, with the experiments of probes.py,
reference.py, columns.py and signals.py made when they are asked for; rules/ makes findings of them.
"""

from __future__ import annotations

from whet.diagnosis.findings import Diagnosis, Finding
from whet.diagnosis.judging import diagnose

__all__ = ["Diagnosis", "Finding", "diagnose"]
