"""The mesh on this machine: processes, ports, watched files, supervision."""
