package serve

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// Grace is how long the end waits for what is in flight.
	Grace = 10 * time.Second
	// Envoy keeps an idle connection for an hour. The side that sends requests has to be the one that closes, else a
	// request and the close cross on the wire and the request fails.
	keepAlive = 3605 * time.Second
	// drain is how long a kept connection may take to bring the request whose answer tells it to close.
	drain = 250 * time.Millisecond
)

// serve answers on a listener until a signal comes.
func serve(listener net.Listener, handler http.Handler, stop <-chan os.Signal) {
	var draining atomic.Bool
	open := connections{states: map[net.Conn]http.ConnState{}}
	server := http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			handler.ServeHTTP(&lastAnswer{w, &draining}, r)
		}),
		IdleTimeout:    keepAlive,
		MaxHeaderBytes: 64 << 10,
		ConnState:      open.note,
		ErrorLog:       slog.NewLogLogger(slog.Default().Handler(), slog.LevelWarn),

		DisableGeneralOptionsHandler: true,
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	<-stop

	// No new connection; each answer from here on is the last on its connection. So a client that goes on sending
	// hears of the end in an answer, and only connections that nobody uses are closed without one.
	draining.Store(true)
	_ = listener.Close()
	<-ended
	for end := time.Now().Add(drain); open.any() && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	open.closeUnused()
	ctx, cancel := context.WithTimeout(context.Background(), Grace)
	defer cancel()
	if server.Shutdown(ctx) != nil {
		_ = server.Close()
	}
}

// lastAnswer ends the connection with the answer once the service drains.
type lastAnswer struct {
	http.ResponseWriter
	draining *atomic.Bool
}

func (w *lastAnswer) WriteHeader(status int) {
	if w.draining.Load() {
		w.Header().Set("Connection", "close")
	}
	w.ResponseWriter.WriteHeader(status)
}

// connections knows which connections are open, and which never brought a request: Server.Shutdown waits 5 s for those.
type connections struct {
	mutex  sync.Mutex
	states map[net.Conn]http.ConnState
}

func (c *connections) note(connection net.Conn, state http.ConnState) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if state == http.StateClosed || state == http.StateHijacked {
		delete(c.states, connection)
	} else {
		c.states[connection] = state
	}
}

func (c *connections) any() bool {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return len(c.states) > 0
}

func (c *connections) closeUnused() {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	for connection, state := range c.states {
		if state == http.StateNew {
			_ = connection.Close()
		}
	}
}
