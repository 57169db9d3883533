package main

import (
	"bytes"
	"encoding/binary"
	"flag"
	"io/ioutil"
	"log"
	"net/http"
	"strings"
	"sync"
	"time"

	opentracing "github.com/opentracing/opentracing-go"
	zipkin "github.com/openzipkin-contrib/zipkin-go-opentracing"
	"github.com/openzipkin-contrib/zipkin-go-opentracing/thrift/gen-go/zipkincore"
)

// tracing is how a process is traced: the flags of both programs, and what becomes of them.
type tracing struct {
	zipkin        string
	service       string
	sameSpan      bool
	sample        bool
	debug         bool
	recorderDebug bool
	longIDs       bool
	reported      *reported
}

func (t *tracing) flags(flags *flag.FlagSet, service string) {
	flags.StringVar(&t.zipkin, "zipkin", "", "where spans go: http://…/api/v1/spans; none without")
	flags.StringVar(&t.service, "service", service, "name of this service")
	flags.BoolVar(&t.sameSpan, "same-span", true, "client and server share one span")
	flags.BoolVar(&t.sample, "sample", true, "sample traces that begin here")
	flags.BoolVar(&t.debug, "debug", false, "traces that begin here are debug traces: x-b3-flags 1")
	flags.BoolVar(&t.recorderDebug, "recorder-debug", true, "mark all spans of this process with debug, as the reference service does")
	flags.BoolVar(&t.longIDs, "trace-id-128", false, "trace ids of 128 bits")
}

func (t *tracing) start() opentracing.Tracer {
	t.reported = &reported{Collector: zipkin.NopCollector{}}
	if t.zipkin != "" {
		collector, err := zipkin.NewHTTPCollector(
			t.zipkin,
			zipkin.HTTPBatchInterval(20*time.Millisecond),
			zipkin.HTTPClient(&http.Client{Timeout: 10 * time.Second, Transport: t.reported}),
			zipkin.HTTPLogger(zipkin.LogWrapper(log.Default())),
		)
		if err != nil {
			log.Fatal(err)
		}
		t.reported.Collector = collector
	}
	recorder := zipkin.NewRecorder(t.reported, t.recorderDebug, "localhost:5051", t.service)
	tracer, err := zipkin.NewTracer(
		recorder,
		zipkin.ClientServerSameSpan(t.sameSpan),
		zipkin.DebugMode(t.debug),
		zipkin.TraceID128Bit(t.longIDs),
		zipkin.WithSampler(func(uint64) bool { return t.sample }),
	)
	if err != nil {
		log.Fatal(err)
	}
	return tracer
}

// stop waits until Zipkin has every span. The collector's own Close loses what it has not read from its channel yet.
func (t *tracing) stop() {
	if t.zipkin != "" {
		t.reported.open.Wait()
	}
	t.reported.Close()
}

// reported counts the spans that are given to a collector and have not reached Zipkin.
type reported struct {
	zipkin.Collector
	open sync.WaitGroup
}

func (r *reported) Collect(span *zipkincore.Span) error {
	r.open.Add(1)
	return r.Collector.Collect(span)
}

// RoundTrip sends a list of spans: in thrift's binary protocol the type of an element, one byte, and how many there are.
func (r *reported) RoundTrip(request *http.Request) (*http.Response, error) {
	body, err := ioutil.ReadAll(request.Body)
	if err != nil {
		return nil, err
	}
	request.Body = ioutil.NopCloser(bytes.NewReader(body))
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil || response.StatusCode != http.StatusAccepted {
		log.Fatalf("Zipkin did not take spans: %v %v", response, err)
	}
	r.open.Add(-int(binary.BigEndian.Uint32(body[1:5])))
	return response, nil
}

// baggage is a flag that may be repeated: key=value.
type baggage map[string]string

func (b baggage) String() string { return "" }

func (b baggage) Set(item string) error {
	parts := strings.SplitN(item, "=", 2)
	if len(parts) != 2 {
		return flag.ErrHelp
	}
	b[parts[0]] = parts[1]
	return nil
}
