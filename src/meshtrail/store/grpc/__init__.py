"""A gRPC server for one unary method, on the event loop of the store: HTTP/2 is h2's, gRPC's framing is here.

Why not grpcio: its server has a thread of its own that fights the event loop for the interpreter, so that at Envoy's
five spans a request the transport alone takes more than the store has time for; and it takes 12 MiB.
"""
