package propagation

import (
	"slices"
	"sync/atomic"
)

// Modes are the positions of the switch: all forwards every tracing header, b3 and w3c keep x-request-id and only
// their own format, none drops every tracing header.
var Modes = []string{"all", "b3", "w3c", "none"}

// Switch holds the mode, which may change while requests flow.
type Switch struct{ mode atomic.Pointer[string] }

// NewSwitch returns a switch in a mode that is one of Modes.
func NewSwitch(mode string) *Switch {
	var s Switch
	s.Set(mode)
	return &s
}

// Mode returns the mode that the next request obeys.
func (s *Switch) Mode() string { return *s.mode.Load() }

// Set changes the mode for the next request and tells whether it is one of Modes; any other changes nothing.
func (s *Switch) Set(mode string) bool {
	known := slices.Contains(Modes, mode)
	if known {
		s.mode.Store(&mode)
	}
	return known
}
