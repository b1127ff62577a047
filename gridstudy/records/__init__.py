"""What a log directory holds, and all of it as tables."""
