"""Logs of other programs as tables of the same form."""
