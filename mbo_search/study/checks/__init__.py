"""The rules that types cannot express, each reported with the settings that it reads."""
