"""The desktop application: it shows and asks, and leaves every decision to labctl."""
