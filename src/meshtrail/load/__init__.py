"""The load generator: bounded, open-loop, cheap for the machine that also runs the mesh."""
