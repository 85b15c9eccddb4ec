"""From commits to numbers, samples and a page. Knows no Ray and no torch.

`write_reports` and `samples` are the way in; `reduce` and `build_report` are their pure halves.
"""

from halluc_ray.reports.build import build_report
from halluc_ray.reports.duplicates import Duplicates, find_duplicates
from halluc_ray.reports.files import write_reports
from halluc_ray.reports.reduce import RunCounts, reduce
from halluc_ray.reports.render import PageContext
from halluc_ray.reports.report import Report
from halluc_ray.reports.samples import samples

__all__ = [
    "Duplicates",
    "PageContext",
    "Report",
    "RunCounts",
    "build_report",
    "find_duplicates",
    "reduce",
    "samples",
    "write_reports",
]
