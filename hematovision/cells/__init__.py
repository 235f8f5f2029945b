"""Cells: boxes and how they are drawn, labels and what they mean, the tree that labels form."""
