"""The words of a study as frozen values."""
