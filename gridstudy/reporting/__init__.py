"""From findings to tables, figures, sentences, report and page.

Other rooms may import the modules named here.
"""

__all__ = ["figures", "page", "phrases", "plotting", "report", "results", "summary", "tables"]
