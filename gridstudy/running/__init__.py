"""What is left to do, where it runs, and what is shown meanwhile."""
