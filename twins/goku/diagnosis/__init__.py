"""What data can tell: identifiability, profiles, aliasing, which equation."""
