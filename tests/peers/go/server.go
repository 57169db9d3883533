package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"sort"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/grpc-ecosystem/grpc-opentracing/go/otgrpc"
	opentracing "github.com/opentracing/opentracing-go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// server keeps values by key. Two kinds of keys are never looked up, so that clients can ask for every ending of a call:
// "code:5" ends it with that code, "wait" when the client cancels. Dump meets those that were stored. "forward:231" is asked
// of the next server.
type server struct {
	tracer opentracing.Tracer
	next   *grpc.ClientConn
	mutex  sync.Mutex
	values map[string][]byte
}

func serve(arguments []string) {
	var tracing tracing
	flags := flag.NewFlagSet("server", flag.ExitOnError)
	listen := flags.String("listen", "127.0.0.1:0", "where to listen")
	forward := flags.String("forward", "", "address of the next server")
	tracing.flags(flags, "cache server")
	flags.Parse(arguments)

	tracer := tracing.start()
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	rpc := grpc.NewServer(
		grpc.UnaryInterceptor(otgrpc.OpenTracingServerInterceptor(tracer, otgrpc.LogPayloads())),
		grpc.StreamInterceptor(otgrpc.OpenTracingStreamServerInterceptor(tracer, otgrpc.LogPayloads())),
	)
	cache := &server{tracer: tracer, values: map[string][]byte{"123": {123}, "231": {231}}}
	if *forward != "" {
		cache.next, err = grpc.Dial(
			*forward,
			grpc.WithInsecure(),
			grpc.WithUnaryInterceptor(otgrpc.OpenTracingClientInterceptor(tracer, otgrpc.LogPayloads())),
		)
		if err != nil {
			log.Fatal(err)
		}
	}
	rpc.RegisterService(&cacheService, cache)
	fmt.Println(listener.Addr())

	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-told
		rpc.GracefulStop()
	}()
	if err := rpc.Serve(listener); err != nil {
		log.Fatal(err)
	}
	tracing.stop()
}

// received tells on standard output, one line of JSON for each call, what came with it.
func received(ctx context.Context, method string) {
	seen := map[string]string{}
	if span := opentracing.SpanFromContext(ctx); span != nil {
		span.Context().ForeachBaggageItem(func(key, value string) bool {
			seen[key] = value
			return true
		})
	}
	headers, _ := metadata.FromIncomingContext(ctx)
	line, err := json.Marshal(map[string]interface{}{"method": method, "headers": headers, "baggage": seen})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(line))
}

// ending is how a key asks a call to end.
func ending(ctx context.Context, key string) error {
	if key == "wait" {
		<-ctx.Done()
		return ctx.Err()
	}
	if strings.HasPrefix(key, "code:") {
		code, err := strconv.Atoi(key[len("code:"):])
		if err != nil {
			return status.Error(codes.InvalidArgument, err.Error())
		}
		return status.Error(codes.Code(code), "as asked")
	}
	return nil
}

func (s *server) Get(ctx context.Context, in *GetReq) (*GetResp, error) {
	received(ctx, getMethod)
	span, _ := opentracing.StartSpanFromContextWithTracer(ctx, s.tracer, "db query user")
	s.mutex.Lock()
	value := s.values[in.Key]
	s.mutex.Unlock()
	span.Finish()
	if err := ending(ctx, in.Key); err != nil {
		return nil, err
	}
	if strings.HasPrefix(in.Key, "forward:") && s.next != nil {
		var got GetResp
		err := s.next.Invoke(ctx, getMethod, &GetReq{Key: strings.TrimPrefix(in.Key, "forward:")}, &got)
		return &got, err
	}
	return &GetResp{Value: value}, nil
}

func (s *server) Store(ctx context.Context, in *StoreReq) (*StoreResp, error) {
	received(ctx, storeMethod)
	s.mutex.Lock()
	s.values[in.Key] = in.Value
	s.mutex.Unlock()
	return &StoreResp{}, nil
}

func (s *server) Dump(_ *DumpReq, stream grpc.ServerStream) error {
	received(stream.Context(), dumpMethod)
	s.mutex.Lock()
	var items []*DumpItem
	for key, value := range s.values {
		items = append(items, &DumpItem{Key: key, Val: value})
	}
	s.mutex.Unlock()
	sort.Slice(items, func(a, b int) bool { return items[a].Key < items[b].Key })
	for _, item := range items {
		if err := ending(stream.Context(), item.Key); err != nil {
			return err
		}
		if err := stream.SendMsg(item); err != nil {
			return err
		}
	}
	return nil
}
