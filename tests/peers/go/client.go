package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/grpc-ecosystem/grpc-opentracing/go/otgrpc"
	opentracing "github.com/opentracing/opentracing-go"
	zipkin "github.com/openzipkin-contrib/zipkin-go-opentracing"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
)

// reply is what the client tells of a call, as one line of JSON.
type reply struct {
	Trace   string           `json:"trace"`
	Code    string           `json:"code"`
	Message string           `json:"message,omitempty"`
	Value   []int            `json:"value"`
	Items   map[string][]int `json:"items,omitempty"`
}

func call(arguments []string) {
	var tracing tracing
	items := baggage{}
	flags := flag.NewFlagSet("client", flag.ExitOnError)
	connect := flags.String("connect", "", "the server's address")
	under := flags.String("under", "", "a span to make the call in: callGet for get; the client span is the root without")
	flags.Var(items, "baggage", "key=value, may be repeated; needs a span to make the call in")
	block := flags.Bool("block", true, "wait for the connection before the call")
	tracing.flags(flags, "cache service client")
	flags.Parse(arguments)
	arguments = flags.Args()
	if len(arguments) == 0 {
		log.Fatal("what to do: get KEY | store KEY VALUE | dump")
	}
	if arguments[0] == "get" && *under == "" {
		*under = "callGet"
	}

	var out reply
	tracer := tracing.start()
	trace := otgrpc.SpanDecorator(func(span opentracing.Span, _ string, _, _ interface{}, _ error) {
		out.Trace = span.Context().(zipkin.SpanContext).TraceID.ToHex()
	})
	options := []grpc.DialOption{
		grpc.WithInsecure(),
		grpc.WithUnaryInterceptor(otgrpc.OpenTracingClientInterceptor(tracer, otgrpc.LogPayloads(), trace)),
		grpc.WithStreamInterceptor(otgrpc.OpenTracingStreamClientInterceptor(tracer, otgrpc.LogPayloads(), trace)),
	}
	if *block {
		options = append(options, grpc.WithBlock(), grpc.WithTimeout(20*time.Second))
	}
	connection, err := grpc.Dial(strings.TrimPrefix(*connect, "http://"), options...)
	if err != nil {
		log.Fatal(err)
	}

	ctx, cancel := context.WithCancel(context.Background())
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGINT)
	go func() {
		<-told
		cancel()
	}()

	var span opentracing.Span
	if *under != "" {
		span = tracer.StartSpan(*under)
		for key, value := range items {
			span.SetBaggageItem(key, value)
		}
		ctx = opentracing.ContextWithSpan(ctx, span)
	}
	out.make(ctx, connection, arguments)
	if span != nil {
		span.Finish()
	}
	connection.Close()
	tracing.stop()
	line, err := json.Marshal(out)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(line))
}

func (r *reply) make(ctx context.Context, connection *grpc.ClientConn, arguments []string) {
	var err error
	switch {
	case arguments[0] == "get" && len(arguments) == 2:
		var got GetResp
		err = connection.Invoke(ctx, getMethod, &GetReq{Key: arguments[1]}, &got)
		if err == nil {
			r.Value = numbers(got.Value)
		}
	case arguments[0] == "store" && len(arguments) == 3:
		var stored StoreResp
		err = connection.Invoke(ctx, storeMethod, &StoreReq{Key: arguments[1], Value: []byte(arguments[2])}, &stored)
	case arguments[0] == "dump" && len(arguments) == 1:
		r.Items = map[string][]int{}
		err = r.dump(ctx, connection)
	default:
		log.Fatalf("what to do: get KEY | store KEY VALUE | dump, and not %q", arguments)
	}
	r.Code = status.Code(err).String()
	if err != nil {
		r.Message = err.Error()
	}
}

func (r *reply) dump(ctx context.Context, connection *grpc.ClientConn) error {
	stream, err := connection.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, dumpMethod)
	if err != nil {
		return err
	}
	if err := stream.SendMsg(&DumpReq{}); err != nil {
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	for {
		var item DumpItem
		if err := stream.RecvMsg(&item); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		r.Items[item.Key] = numbers(item.Val)
	}
}

// numbers keeps JSON from writing bytes as base64.
func numbers(bytes []byte) []int {
	out := []int{}
	for _, b := range bytes {
		out = append(out, int(b))
	}
	return out
}
