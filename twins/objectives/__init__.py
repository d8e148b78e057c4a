"""What a twin is trained on and judged by."""
