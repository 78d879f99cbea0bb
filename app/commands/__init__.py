"""The command line: a module for each command, imported when it is asked for.

The only rooms that print. A command parses, calls one function of another room, and shows its result; --json prints
that result as one object on standard output, and everything else goes to standard error.
"""
