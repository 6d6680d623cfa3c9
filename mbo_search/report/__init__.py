"""Tell: figures and pages."""
