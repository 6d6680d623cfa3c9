"""The report page of one study."""
