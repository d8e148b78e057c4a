"""What an equation looks like on paper: text in a file, read by a whitelist; and which equation a stored model is of."""
