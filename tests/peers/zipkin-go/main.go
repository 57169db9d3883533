// HTTP with zipkin-go and its middleware, as a server or a client, for tests.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/openzipkin/zipkin-go"
	zipkinhttp "github.com/openzipkin/zipkin-go/middleware/http"
	"github.com/openzipkin/zipkin-go/model"
	"github.com/openzipkin/zipkin-go/propagation/baggage"
	httpreporter "github.com/openzipkin/zipkin-go/reporter/http"
)

// tenant is the header that baggage crosses in.
const tenant = "ot-baggage-tenant"

func main() {
	log.SetFlags(0)
	what := ""
	if len(os.Args) > 1 {
		what = os.Args[1]
	}
	if what != "server" && what != "client" {
		log.Fatal("usage: zipkin-go server [--listen ADDRESS] … | client --connect ADDRESS … get PATH")
	}
	flags := flag.NewFlagSet(what, flag.ExitOnError)
	url := flags.String("zipkin", "", "where spans go: http://…/api/v2/spans")
	service := flags.String("service", "web "+what, "name of this service")
	listen := flags.String("listen", "127.0.0.1:0", "where the server listens")
	connect := flags.String("connect", "", "the server's address")
	join := flags.Bool("join", true, "client and server share one span")
	sample := flags.Bool("sample", true, "sample traces that begin here")
	debug := flags.Bool("debug", false, "traces that begin here are debug traces")
	longIDs := flags.Bool("trace-id-128", false, "trace ids of 128 bits")
	value := flags.String("tenant", "", "baggage of the client")
	flags.Parse(os.Args[2:])

	reporter := httpreporter.NewReporter(*url, httpreporter.BatchInterval(20*time.Millisecond))
	endpoint, err := zipkin.NewEndpoint(*service, "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	tracer, err := zipkin.NewTracer(
		reporter,
		zipkin.WithLocalEndpoint(endpoint),
		zipkin.WithSharedSpans(*join),
		zipkin.WithTraceID128Bit(*longIDs),
		zipkin.WithSampler(func(uint64) bool { return *sample }),
	)
	if err != nil {
		log.Fatal(err)
	}
	if what == "server" {
		serve(tracer, *listen)
		return
	}
	if flags.NArg() != 2 || flags.Arg(0) != "get" {
		log.Fatalf("get PATH, and not %q", flags.Args())
	}
	caller := model.SpanContext{Debug: *debug, Baggage: baggage.New(tenant).New()}
	if *value != "" {
		caller.Baggage.Add(tenant, *value)
	}
	told := get(tracer, caller, "http://"+strings.TrimPrefix(*connect, "http://")+flags.Arg(1))
	if err := reporter.Close(); err != nil {
		log.Fatal(err)
	}
	tell(told)
}

// tell writes a line of JSON.
func tell(what map[string]any) {
	line, err := json.Marshal(what)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(line))
}

// serve answers on the paths of the other peers.
func serve(tracer *zipkin.Tracer, address string) {
	answer := func(w http.ResponseWriter, r *http.Request) {
		span := zipkin.SpanFromContext(r.Context())
		headers := map[string]string{}
		for name, values := range r.Header {
			headers[strings.ToLower(name)] = strings.Join(values, ",")
		}
		seen := map[string]string{}
		if fields := span.Context().Baggage; fields != nil {
			if values := fields.Get(tenant); len(values) > 0 {
				seen["tenant"] = values[0]
			}
		}
		tell(map[string]any{"method": r.URL.Path, "headers": headers, "baggage": seen})
		switch {
		case strings.HasPrefix(r.URL.Path, "/users/"):
			query, _ := tracer.StartSpanFromContext(r.Context(), "db query user")
			query.Finish()
			fmt.Fprint(w, strings.TrimPrefix(r.URL.Path, "/users/"))
		case r.URL.Path == "/err":
			http.Error(w, "err", http.StatusInternalServerError)
		case r.URL.Path == "/redir":
			http.Redirect(w, r, "/users/7", http.StatusFound)
		default:
			http.NotFound(w, r)
		}
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr())
	middleware := zipkinhttp.NewServerMiddleware(tracer, zipkinhttp.EnableBaggage(baggage.New(tenant)))
	log.Fatal(http.Serve(listener, middleware(http.HandlerFunc(answer))))
}

// get makes one request in a span of its own, and tells of it.
func get(tracer *zipkin.Tracer, caller model.SpanContext, url string) map[string]any {
	transport, err := zipkinhttp.NewTransport(tracer)
	if err != nil {
		log.Fatal(err)
	}
	client := http.Client{
		Transport: transport,
		// One request, one span.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	span := tracer.StartSpan("callGet", zipkin.Parent(caller))
	defer span.Finish()
	request, err := http.NewRequestWithContext(zipkin.NewContext(context.Background(), span), http.MethodGet, url, nil)
	if err != nil {
		log.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		log.Fatal(errors.Unwrap(err))
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		log.Fatal(err)
	}
	return map[string]any{
		"trace": span.Context().TraceID.String(), "status": response.StatusCode, "body": strings.TrimSpace(string(body)),
	}
}
