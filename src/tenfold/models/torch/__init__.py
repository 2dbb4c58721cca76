"""Networks in PyTorch behind scikit-learn's interface; imported only when one is built."""
