// Command plain is helloworld without a tracing SDK: the sidecar makes the spans.
package main

import (
	"meshtrail/services/common/go/serve"
	helloworld "meshtrail/services/helloworld/go"
)

func main() {
	service := serve.Start("helloworld")
	service.Serve(helloworld.App())
}
