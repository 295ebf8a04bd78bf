// Package common carries the list of headers, headers.json, into the Go services: a file is embedded by a package
// beside or above it, and the list stands once for every language.
package common

import _ "embed"

// HeadersJSON is the content of headers.json.
//
//go:embed headers.json
var HeadersJSON []byte
