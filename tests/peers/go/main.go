// A cache with the libraries of the service that made this style of tracing known: grpc-go, otgrpc with payloads, and
// zipkin-go-opentracing, which reports by Zipkin's v1 thrift. It is a server or a client, for tests.
package main

import (
	"log"
	"os"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "server":
			serve(os.Args[2:])
			return
		case "client":
			call(os.Args[2:])
			return
		}
	}
	log.Fatal("usage: cacheservice server [--listen ADDRESS] … | client --connect ADDRESS … get KEY | store KEY VALUE | dump")
}
