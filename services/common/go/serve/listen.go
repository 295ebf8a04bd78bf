package serve

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"syscall"
)

// listen returns a listening TCP socket and its port; the error names the variable that a person can change.
func listen(host string, port int, variable string) (net.Listener, int, error) {
	network := "tcp"
	if address, err := netip.ParseAddr(host); err == nil && address.Is4() {
		network = "tcp4" // else 0.0.0.0 would mean IPv6 too
	}
	listener, err := net.Listen(network, net.JoinHostPort(host, strconv.Itoa(port)))
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, 0, fmt.Errorf("%s=%d: the port is in use on %s, choose another %s", variable, port, host, variable)
	}
	if err != nil {
		var operation *net.OpError
		if errors.As(err, &operation) {
			err = operation.Err
		}
		return nil, 0, fmt.Errorf("cannot listen on %s port %d (%s): %w", host, port, variable, err)
	}
	return listener, listener.Addr().(*net.TCPAddr).Port, nil
}
