"""A queue of jobs without Qt: in order, two lanes, kept in a file of the runs folder that survives a crash."""
