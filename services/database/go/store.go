package database

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"meshtrail/services/common/go/settings"
	"meshtrail/services/common/go/web"
)

// The table has 42 rows; it is made and filled when it is first used, by several instances at once if need be.
const (
	Table = "records"
	Count = "SELECT count(*) FROM " + Table

	create  = "CREATE TABLE IF NOT EXISTS " + Table + " (id INTEGER PRIMARY KEY, name TEXT NOT NULL)"
	rows    = 42
	timeout = 3 * time.Second // to connect, for a statement, for a lock, for a free connection
)

// URL says where the rows are.
var URL = settings.Variable[*Store]{
	Name:    "DATABASE_URL",
	Default: "sqlite://",
	Kind: settings.Kind[*Store]{
		Parse:   Open,
		Allowed: "sqlite:// (in memory), sqlite:///FILE or postgresql://USER:PASSWORD@HOST:PORT/NAME",
	},
	Secret: true,
}

// Target names a store as OpenTelemetry does: db.system.name, db.namespace, server.address and server.port.
type Target struct {
	System, Namespace, Address string
	Port                       int
}

// engine is what SQLite and PostgreSQL each do in their own way.
type engine interface {
	count(ctx context.Context) (int, error)
	close()
}

// Store counts the rows of the table. A store that is down fails the query and nothing else; the next query tries
// again, so a database that comes back is simply used again.
type Store struct {
	Target
	engine engine
	down   atomic.Bool
}

// Open returns the store of a DATABASE_URL; nothing is opened before the first query.
func Open(url string) (*Store, error) {
	switch scheme, _, _ := strings.Cut(url, "://"); scheme {
	case "sqlite":
		return openSQLite(url)
	case "postgresql", "postgres":
		return openPostgres(url)
	}
	return nil, settings.ErrNotAllowed
}

// Count returns the number of rows, or a web.Error 503 when the store does not answer.
func (s *Store) Count(ctx context.Context) (int, error) {
	// A caller that leaves says nothing about the store: its query runs to the end.
	records, err := s.engine.count(context.WithoutCancel(ctx))
	if err != nil {
		if !s.down.Swap(true) {
			reason := strings.Join(strings.Fields(err.Error()), " ")
			slog.ErrorContext(ctx, "store "+s.System+" is down: "+reason)
		}
		message := fmt.Sprintf("store %s is not available", s.System)
		return 0, &web.Error{Status: http.StatusServiceUnavailable, Message: message, Cause: err}
	}
	if s.down.Swap(false) {
		slog.InfoContext(ctx, "store "+s.System+" is back")
	}
	return records, nil
}

// Close ends the connections.
func (s *Store) Close() { s.engine.close() }
