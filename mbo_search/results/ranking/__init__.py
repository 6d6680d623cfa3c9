"""The ranking as a pure function of records, and the files that hold it."""
