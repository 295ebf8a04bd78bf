// Package serve is the life of a service: settings, logs, switch, listening sockets, and an end that loses no request.
package serve

import (
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"meshtrail/services/common/go/control"
	"meshtrail/services/common/go/logs"
	"meshtrail/services/common/go/propagation"
	"meshtrail/services/common/go/settings"
)

// Service is a service about to serve: its settings, its switch and what it forwards.
type Service struct {
	Name     string
	Settings settings.Common
	Switch   *propagation.Switch
	Forward  propagation.Forwarder
}

// Start reads the environment. A wrong value ends the process with one line and status 2.
//
// With the argument healthcheck it asks the service that runs beside it whether it is ready, and ends: an image
// without a shell can check its own health.
func Start(name string) *Service {
	service := &Service{Name: name}
	common, err := settings.ReadCommon()
	if err != nil {
		service.Exit(err)
	}
	if len(os.Args) > 1 {
		if os.Args[1] != "healthcheck" || len(os.Args) > 2 {
			service.Exit(fmt.Errorf("unknown argument %q, there is only healthcheck", os.Args[1]))
		}
		os.Exit(healthcheck(common.Port))
	}
	logs.Configure(os.Stdout, name, common.LogLevel)
	service.Settings = common
	service.Switch = propagation.NewSwitch(common.Propagation)
	service.Forward.Switch = service.Switch
	return service
}

// Setting returns the value of a variable of the service's own. A wrong one ends the process as in Start.
func Setting[T any](service *Service, variable settings.Variable[T]) T {
	value, err := variable.Read()
	if err != nil {
		service.Exit(err)
	}
	return value
}

// Exit ends the process with one line about what a person can mend, and status 2.
func (s *Service) Exit(err error) {
	fmt.Fprintf(os.Stderr, "%s: %v\n", s.Name, err)
	os.Exit(2)
}

// Serve answers on PORT until SIGTERM or SIGINT, then finishes what is in flight (10 s at most). With
// PROPAGATION_CONTROL the control port answers too.
func (s *Service) Serve(handler http.Handler) {
	// Heard from here on, so that none is missed; and a reader of the logs that went away must not cost a request.
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	signal.Ignore(syscall.SIGPIPE)

	listener, port, err := listen(s.Settings.Host, s.Settings.Port, "PORT")
	if err != nil {
		s.Exit(err)
	}
	fields := []any{"port", port}
	if s.Settings.PropagationControl {
		host := s.Settings.ControlHost
		if host == "" {
			host = s.Settings.Host
		}
		controlListener, controlPort, err := listen(host, s.Settings.ControlPort, "CONTROL_PORT")
		if err != nil {
			s.Exit(err)
		}
		fields = append(fields, "control_port", controlPort)
		go control.Serve(controlListener, s.Switch, s.Settings.ControlAllowedHosts)
	}
	slog.Info(fmt.Sprintf("listening on %s port %d", s.Settings.Host, port), fields...)
	serve(listener, handler, stop)
}
