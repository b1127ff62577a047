"""The built-in subject: multilayer perceptrons on Fashion-MNIST."""
