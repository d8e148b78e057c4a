"""Campaigns that come with labctl; each is a generator of events that composes with others by `yield from`."""
