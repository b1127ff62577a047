"""Break running studies in every way we know, go on, and count what was lost, doubled or differs: `make chaos`."""
