package database

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"strings"
	"sync"

	_ "modernc.org/sqlite" // SQLite without cgo: the binary stays static

	"meshtrail/services/common/go/settings"
)

// sqlite holds one connection, used by one request at a time: a count takes microseconds.
type sqlite struct {
	path  string
	mutex sync.Mutex
	db    *sql.DB // nil before the first query and after a failed one
}

// openSQLite: sqlite:// is in memory, sqlite:///a.db relative to the working directory, sqlite:////a.db absolute.
func openSQLite(text string) (*Store, error) {
	rest := text[len("sqlite://"):]
	path, err := url.PathUnescape(strings.TrimPrefix(rest, "/"))
	if err != nil || strings.Contains(rest, "?") || rest != "" && rest[0] != '/' {
		return nil, settings.ErrNotAllowed
	}
	if path == "" {
		path = ":memory:"
	}
	return &Store{Target: Target{System: "sqlite", Namespace: path}, engine: &sqlite{path: path}}, nil
}

func (s *sqlite) count(ctx context.Context) (records int, err error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.db == nil {
		if s.db, err = open(ctx, s.path); err != nil {
			return 0, err
		}
	}
	if err = s.db.QueryRowContext(ctx, Count).Scan(&records); err != nil {
		s.db.Close()
		s.db = nil
	}
	return records, err
}

// open makes and fills the table, unless it is there.
func open(ctx context.Context, path string) (*sql.DB, error) {
	// In a transaction that takes the write lock at once, a second process that starts now waits instead of failing.
	options := url.Values{
		"_txlock": {"immediate"},
		"_pragma": {fmt.Sprintf("busy_timeout(%d)", timeout.Milliseconds())},
	}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+options.Encode())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1) // in memory, each connection would be a database of its own
	if err := fill(ctx, db); err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

func fill(ctx context.Context, db *sql.DB) error {
	transaction, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = transaction.Rollback() }() // nothing is left to do after Commit
	if _, err := transaction.ExecContext(ctx, create); err != nil {
		return err
	}
	for number := range rows {
		_, err := transaction.ExecContext(ctx, "INSERT OR IGNORE INTO "+Table+" VALUES (?, ?)",
			number+1, fmt.Sprintf("record %d", number+1))
		if err != nil {
			return err
		}
	}
	return transaction.Commit()
}

func (s *sqlite) close() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.db != nil {
		s.db.Close()
		s.db = nil
	}
}
