// Package propagation knows the tracing headers, copies them from a request to the next, and holds the switch that
// breaks and heals a trace on purpose.
package propagation

import (
	"encoding/json"
	"slices"
	"strings"

	"meshtrail/services/common"
)

// HeaderList is the content of services/common/headers.json; every name is lower case.
type HeaderList struct {
	Tracing []struct {
		Name  string `json:"name"`
		Group string `json:"group"` // request-id, b3, w3c or vendor
	} `json:"tracing"`
	Prefixes []struct {
		Prefix string `json:"prefix"`
		Group  string `json:"group"`
	} `json:"prefixes"`
	Routing []string            `json:"routing"`
	Modes   map[string][]string `json:"modes"` // PROPAGATION mode -> groups that it forwards
}

// Headers is the one list.
var Headers = load(common.HeadersJSON)

func load(content []byte) HeaderList {
	var list HeaderList
	if err := json.Unmarshal(content, &list); err != nil {
		panic(err) // the file is part of the binary
	}
	return list
}

// Group returns the group of a tracing header (lower case), and "" for any other header. A name that is not in the
// list belongs to it by its prefix: the families of the vendors grow.
func (l HeaderList) Group(name string) string {
	for _, header := range l.Tracing {
		if header.Name == name {
			return header.Group
		}
	}
	for _, family := range l.Prefixes {
		if strings.HasPrefix(name, family.Prefix) {
			return family.Group
		}
	}
	return ""
}

// Passes tells whether a mode forwards the header with this name (lower case).
func (l HeaderList) Passes(mode, name string) bool {
	return slices.Contains(l.Modes[mode], l.Group(name))
}
