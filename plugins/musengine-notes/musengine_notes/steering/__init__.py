"""Notes that are asked for: of some instruments, so many, between given ones."""
