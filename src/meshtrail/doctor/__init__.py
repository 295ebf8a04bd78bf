"""The doctor: reads traces and says what is wrong with the tracing of a mesh, and who is to blame."""
