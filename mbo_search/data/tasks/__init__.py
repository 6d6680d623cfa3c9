"""Examples of a task: rows with columns, what is asked about them, and the files that hold them."""
