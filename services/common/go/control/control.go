// Package control answers on the control port: GET and PUT /propagation with {"mode": "none"}.
//
// It is never routed through the sidecar. Web pages must not reach it: a foreign Host header (DNS rebinding) or an
// Origin of another site is refused, and the JSON content type keeps plain HTML forms out.
package control

import (
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"meshtrail/services/common/go/propagation"
	"meshtrail/services/common/go/web"
)

const bodyLimit = 1024 // bytes

var (
	localNames = []string{"localhost", "127.0.0.1", "[::1]"}
	methods    = []string{"GET", "PUT", "POST", "DELETE", "PATCH", "HEAD", "OPTIONS"}
	allowed    = strings.Join(propagation.Modes, ", ")
)

// Serve answers on a listener until the process ends. Host names beside the loopback ones have to be allowed.
func Serve(listener net.Listener, position *propagation.Switch, allowedHosts []string) {
	hosts := slices.Clone(localNames)
	for _, host := range allowedHosts {
		hosts = append(hosts, strings.ToLower(host))
	}
	server := http.Server{
		Handler:     port{position, hosts},
		ReadTimeout: 5 * time.Second, // that a client may take for its request
		IdleTimeout: 5 * time.Second,
		ErrorLog:    slog.NewLogLogger(slog.Default().Handler(), slog.LevelDebug),

		DisableGeneralOptionsHandler: true,
	}
	_ = server.Serve(listener)
}

type port struct {
	position *propagation.Switch
	hosts    []string
}

// answer is the mode, or the error.
type answer struct {
	Mode  string `json:"mode,omitempty"`
	Error string `json:"error,omitempty"`
}

func (p port) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	status, refusal := p.do(r)
	if refusal != "" {
		if status == http.StatusMethodNotAllowed {
			w.Header().Set("Allow", "GET, PUT")
		}
		_ = web.JSON(w, status, answer{Error: refusal})
		return
	}
	_ = web.JSON(w, status, answer{Mode: p.position.Mode()})
}

// do carries out a request; it returns the status and, unless that is 200, why.
func (p port) do(r *http.Request) (status int, refusal string) {
	if !slices.Contains(methods, r.Method) {
		return http.StatusNotImplemented, "unsupported method ('" + strings.ToLower(r.Method) + "')"
	}
	if refusal = p.checkCaller(r); refusal != "" {
		return http.StatusForbidden, refusal
	}
	if r.URL.Path != "/propagation" {
		return http.StatusNotFound, "not found, the control port knows /propagation"
	}
	switch r.Method {
	case http.MethodGet:
		return http.StatusOK, ""
	case http.MethodPut:
		mode, status, refusal := requestedMode(r)
		if refusal != "" {
			return status, refusal
		}
		p.position.Set(mode)
		slog.Info("propagation is now " + mode)
		return http.StatusOK, ""
	}
	return http.StatusMethodNotAllowed, "method not allowed, use GET or PUT"
}

func (p port) checkCaller(r *http.Request) (refusal string) {
	authority := strings.ToLower(r.Host)
	host, _, _ := strings.Cut(authority, ":")
	if strings.HasPrefix(authority, "[") {
		host = authority[:strings.LastIndex(authority, "]")+1]
	}
	if !slices.Contains(p.hosts, host) {
		return "this Host is not allowed, CONTROL_ALLOWED_HOSTS adds names"
	}
	if origin, sent := r.Header["Origin"]; sent && strings.ToLower(origin[0]) != "http://"+authority {
		return "requests from another origin are not allowed"
	}
	return ""
}

// requestedMode returns the mode that the body asks for, or the status and text that refuse it.
func requestedMode(r *http.Request) (mode string, status int, refusal string) {
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	if strings.ToLower(strings.TrimSpace(kind)) != "application/json" {
		return "", http.StatusUnsupportedMediaType,
			`send Content-Type: application/json with {"mode": "<mode>"}, mode one of ` + allowed
	}
	if r.Header.Get("Content-Length") == "" {
		return "", http.StatusBadRequest, "a Content-Length is needed"
	}
	if r.ContentLength > bodyLimit {
		return "", http.StatusRequestEntityTooLarge,
			`the body is larger than 1024 bytes, {"mode": ...} takes one of ` + allowed
	}
	body, err := io.ReadAll(r.Body)
	if err != nil || !json.Valid(body) {
		return "", http.StatusBadRequest,
			`the body is not JSON, expected {"mode": "<mode>"} with mode one of ` + allowed
	}
	var content map[string]any
	_ = json.Unmarshal(body, &content) // what is no object leaves it empty
	mode, _ = content["mode"].(string)
	if len(content) != 1 || !slices.Contains(propagation.Modes, mode) {
		return "", http.StatusBadRequest, `expected {"mode": "<mode>"} with mode one of ` + allowed
	}
	return mode, http.StatusOK, ""
}
