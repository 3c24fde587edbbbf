"""One self-contained HTML page about a run: `whet.report`.

measured.py has the numbers, plots.py the pictures, page.py what HTML is made of, sections.py the parts of the page.
"""

from __future__ import annotations

from whet.reporting.plots import require
from whet.reporting.writing import report

__all__ = ["report", "require"]
