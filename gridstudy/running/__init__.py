"""What is left to do of a study, where it runs, and what is shown meanwhile.

Other rooms may import the modules named here.
"""

__all__ = [
    "console", "cores", "interruption", "launchers", "lock", "mlflow_log", "planning", "ray_launcher", "remote",
    "runner", "subjects", "timeouts", "trials", "until",
]  # fmt: skip
