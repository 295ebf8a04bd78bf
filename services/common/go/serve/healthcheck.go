package serve

import (
	"fmt"
	"net/http"
	"os"
	"time"
)

// healthcheck asks the service on this port of the loopback address whether it is ready; it returns the exit status.
func healthcheck(port int) int {
	client := http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{Proxy: nil}}
	answer, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d/readyz", port))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		fmt.Fprintln(os.Stderr, answer.Status)
		return 1
	}
	return 0
}
