"""The machine: files, CPU cores, environment variables, caches, object storage."""
