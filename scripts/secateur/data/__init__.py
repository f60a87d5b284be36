"""Images: where they are, how they are split, and how they become network input."""
