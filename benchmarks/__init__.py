"""Measurements of the study's speed; they are run by hand, on a quiet machine."""
