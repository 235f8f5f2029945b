"""A trained model: its card, its two networks, and what they answer to crops and fields."""
