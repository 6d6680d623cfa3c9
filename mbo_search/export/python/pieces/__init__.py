"""Pieces of an exported Python file: its text is cut out of these modules.

They are never run as they are. A statement or line that ends in `# only: NAME`, or
stands behind a line with nothing else, stays only where the schedule has what is named
(`features.py`). Definitions that nothing uses are left out. Values of `settings.py` are
replaced by those of the schedule.
"""
