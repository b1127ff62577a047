"""A hyperparameter study of neural networks whose conclusions hold."""
