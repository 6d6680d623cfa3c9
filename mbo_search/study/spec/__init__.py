"""Studies, schedules and their stages: frozen values, their keys and their clocks."""
