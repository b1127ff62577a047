"""Estimates from other programs' results -> tables, figures and a report."""
