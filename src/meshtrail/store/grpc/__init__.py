"""A gRPC server for one unary method, on the event loop of the store: HTTP/2 is h2's, gRPC's framing is here.

Why not grpcio: its server runs on threads of its own that fight the event loop for the interpreter, so that at Envoy's
five spans a request the transport alone would be the limit of the store; and it is a third of the process's memory.
"""
