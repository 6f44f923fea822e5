"""Model-free computations on a sample: PCA, nearest neighbours, smoothing."""
