package propagation

import (
	"net/http"
	"slices"
	"strings"
)

// Forwarder picks the headers to copy from the request that came in to a request that goes out.
//
// A sidecar sees a request come in and another go out; only the application knows that the second belongs to the
// first. Copying these headers says so, and it is all that a service without a tracing SDK has to do.
type Forwarder struct {
	Switch *Switch
	// Routing names the routing headers (lower case) that this application needs further inside the mesh.
	Routing []string
	// Injected names the groups that a tracing SDK writes on the outgoing request by itself: a copy of the incoming
	// ones would point past the SDK's spans.
	Injected []string
}

// Copy sets on the outgoing headers what is forwarded of the incoming ones.
//
// A header that came several times is sent once, its values joined with a comma (RFC 9110, 5.3). An empty one says
// nothing and is left out: Envoy's OpenTelemetry tracer sends an empty tracestate.
func (f Forwarder) Copy(outgoing, incoming http.Header) {
	mode := f.Switch.Mode()
	for key, values := range incoming {
		name := strings.ToLower(key)
		traced := Headers.Passes(mode, name) && !slices.Contains(f.Injected, Headers.Group(name))
		if !traced && !slices.Contains(f.Routing, name) {
			continue
		}
		values = slices.DeleteFunc(slices.Clone(values), func(value string) bool { return value == "" })
		if len(values) > 0 {
			outgoing.Set(key, strings.Join(values, ","))
		}
	}
}
