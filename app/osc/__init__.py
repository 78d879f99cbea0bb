"""Open Sound Control: packets, the address space, and a UDP endpoint. Described in docs/osc.md."""
