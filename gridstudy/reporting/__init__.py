"""From findings to tables, figures, sentences and the report."""
