"""The bench side of labctl: stations, recordings, campaigns, deployment and the command line."""

__version__ = "0.1.0"
