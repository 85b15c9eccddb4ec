"""What `ray job submit` starts; each module is a thin face of the command line."""
