"""What only training needs: TensorFlow, scikit-learn, SciPy."""
