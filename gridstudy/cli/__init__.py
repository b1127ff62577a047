"""The two command lines, and the face that a notebook uses.

Other rooms may import the modules named here.
"""

__all__ = ["analyse", "board", "command_line", "face", "run"]
