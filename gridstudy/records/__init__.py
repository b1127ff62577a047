"""What a log directory holds, and all of it as tables.

Other rooms may import the modules named here.
"""

__all__ = ["attempts", "comparison", "foreign", "plans", "status", "tables", "toml", "trials", "verdicts"]
