"""What an operator uses: whether all is well, and what is asked of running workers."""
