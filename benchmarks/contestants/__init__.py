"""What the product is measured against: each a process of its own, deciding the same commands with the same script."""
