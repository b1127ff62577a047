"""The built-in subject: multilayer perceptrons on Fashion-MNIST.

Other rooms may import the modules named here.
"""

__all__ = ["sources", "subject"]
