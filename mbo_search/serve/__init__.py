"""Watch: run directories as live pages, for this machine only, read and never written."""
