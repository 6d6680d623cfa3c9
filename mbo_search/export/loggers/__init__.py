"""Searches in the tools where runs are looked at: TensorBoard, MLflow, Weights & Biases, trackio, or one's own."""
