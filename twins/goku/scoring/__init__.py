"""How far estimates and courses are from the truth, after what no data can tell was matched; and whether differences are chance."""
