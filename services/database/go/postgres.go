package database

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"meshtrail/services/common/go/settings"
)

const (
	connections = 8
	// lockKey is an advisory lock of our own ("mesh"), the same in every language: instances may share a database.
	lockKey = 0x6D657368

	undefinedTable = "42P01"
)

// postgres keeps and reuses at most 8 connections; one that broke is replaced.
type postgres struct {
	config   *pgx.ConnConfig
	slots    chan struct{}
	idle     chan *pgx.Conn
	prepared atomic.Bool
}

func openPostgres(text string) (*Store, error) {
	parts, err := url.Parse(text)
	if err != nil {
		return nil, settings.ErrNotAllowed
	}
	config, err := pgx.ParseConfig(text)
	if err != nil {
		return nil, settings.ErrNotAllowed
	}
	for name := range config.RuntimeParams {
		// The server is told what the driver does not know, and refuses the connection for it: say so at the start.
		if name != "application_name" && name != "options" && name != "client_encoding" {
			return nil, settings.ErrNotAllowed
		}
	}
	config.ConnectTimeout = timeout
	config.RuntimeParams["options"] = fmt.Sprintf("-c statement_timeout=%d", timeout.Milliseconds())

	target := Target{System: "postgresql", Namespace: strings.TrimLeft(parts.Path, "/"), Address: parts.Hostname()}
	if target.Namespace == "" {
		target.Namespace = "postgres"
	}
	if target.Port, err = strconv.Atoi(parts.Port()); err != nil {
		target.Port = 5432
	}
	pool := &postgres{
		config: config,
		slots:  make(chan struct{}, connections),
		idle:   make(chan *pgx.Conn, connections),
	}
	return &Store{Target: target, engine: pool}, nil
}

func (p *postgres) count(ctx context.Context) (int, error) {
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-time.After(timeout):
		return 0, fmt.Errorf("all %d connections are busy", connections)
	}
	for {
		connection, fresh, err := p.connection(ctx)
		if err != nil {
			return 0, err
		}
		records, err := p.ask(ctx, connection)
		if err == nil {
			p.idle <- connection
			return records, nil
		}
		_ = connection.Close(ctx)
		// Somebody may have dropped the table, or brought up an empty server: look again next time.
		p.prepared.Store(false)
		// A kept connection dies with the server it was made to; only a fresh one proves anything.
		if fresh || !stale(err) {
			return 0, err
		}
	}
}

// connection returns a kept connection or a fresh one, and which it is.
func (p *postgres) connection(ctx context.Context) (connection *pgx.Conn, fresh bool, err error) {
	select {
	case connection = <-p.idle:
		return connection, false, nil
	default:
		connection, err = pgx.ConnectConfig(ctx, p.config)
		return connection, true, err
	}
}

func (p *postgres) ask(ctx context.Context, connection *pgx.Conn) (records int, err error) {
	// The server's own limit comes first; this one is for a server, or a network, that says nothing any more.
	ctx, cancel := context.WithTimeout(ctx, timeout+time.Second)
	defer cancel()
	if !p.prepared.Load() {
		if err := pgx.BeginFunc(ctx, connection, prepare); err != nil {
			return 0, err
		}
		p.prepared.Store(true)
	}
	err = connection.QueryRow(ctx, Count).Scan(&records)
	return records, err
}

// prepare makes and fills the table, unless it is there.
func prepare(transaction pgx.Tx) error {
	ctx := context.Background()
	// CREATE TABLE IF NOT EXISTS fails when two run it at once; the lock lets them pass one by one.
	if _, err := transaction.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(lockKey)); err != nil {
		return err
	}
	if _, err := transaction.Exec(ctx, create); err != nil {
		return err
	}
	_, err := transaction.Exec(ctx, "INSERT INTO "+Table+
		" SELECT number, 'record ' || number FROM generate_series(1, $1::integer) number ON CONFLICT DO NOTHING", rows)
	return err
}

// stale tells whether an error may be that of a connection from before: it broke, the server went down, or it came
// back without the table.
func stale(err error) bool {
	var reported *pgconn.PgError
	if !errors.As(err, &reported) {
		return !errors.Is(err, context.DeadlineExceeded)
	}
	const operatorIntervention = "57P" // the class of a server that shuts down or starts
	return reported.Code == undefinedTable || strings.HasPrefix(reported.Code, operatorIntervention)
}

func (p *postgres) close() {
	for {
		select {
		case connection := <-p.idle:
			_ = connection.Close(context.Background())
		default:
			return
		}
	}
}
