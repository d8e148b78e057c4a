"""The Record panel: choose what is played to a device, look at it first, then record and watch."""
