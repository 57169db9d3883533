package main

import (
	"context"

	"github.com/golang/protobuf/proto"
	"google.golang.org/grpc"
)

// The messages of package grpc1, as protoc would lay them out; the tags are all that the codec looks at.

type GetReq struct {
	Key string `protobuf:"bytes,1,opt,name=key,proto3"`
}

type GetResp struct {
	Value []byte `protobuf:"bytes,1,opt,name=value,proto3"`
}

type StoreReq struct {
	Key   string `protobuf:"bytes,1,opt,name=key,proto3"`
	Value []byte `protobuf:"bytes,2,opt,name=value,proto3"`
}

type StoreResp struct{}

type DumpReq struct{}

type DumpItem struct {
	Key string `protobuf:"bytes,1,opt,name=key,proto3"`
	Val []byte `protobuf:"bytes,2,opt,name=val,proto3"`
}

func (m *GetReq) Reset()    { *m = GetReq{} }
func (m *GetResp) Reset()   { *m = GetResp{} }
func (m *StoreReq) Reset()  { *m = StoreReq{} }
func (m *StoreResp) Reset() { *m = StoreResp{} }
func (m *DumpReq) Reset()   { *m = DumpReq{} }
func (m *DumpItem) Reset()  { *m = DumpItem{} }

func (m *GetReq) String() string    { return proto.CompactTextString(m) }
func (m *GetResp) String() string   { return proto.CompactTextString(m) }
func (m *StoreReq) String() string  { return proto.CompactTextString(m) }
func (m *StoreResp) String() string { return proto.CompactTextString(m) }
func (m *DumpReq) String() string   { return proto.CompactTextString(m) }
func (m *DumpItem) String() string  { return proto.CompactTextString(m) }

func (*GetReq) ProtoMessage()    {}
func (*GetResp) ProtoMessage()   {}
func (*StoreReq) ProtoMessage()  {}
func (*StoreResp) ProtoMessage() {}
func (*DumpReq) ProtoMessage()   {}
func (*DumpItem) ProtoMessage()  {}

const (
	getMethod   = "/grpc1.CacheService/Get"
	storeMethod = "/grpc1.CacheService/Store"
	dumpMethod  = "/grpc1.CacheService/Dump"
)

// CacheService is what the server implements.
type CacheService interface {
	Get(context.Context, *GetReq) (*GetResp, error)
	Store(context.Context, *StoreReq) (*StoreResp, error)
	Dump(*DumpReq, grpc.ServerStream) error
}

// unary makes the handler of one method, with what the interceptor needs.
func unary(
	method string, request func() interface{}, call func(CacheService, context.Context, interface{}) (interface{}, error),
) func(interface{}, context.Context, func(interface{}) error, grpc.UnaryServerInterceptor) (interface{}, error) {
	return func(
		service interface{}, ctx context.Context, decode func(interface{}) error, interceptor grpc.UnaryServerInterceptor,
	) (interface{}, error) {
		in := request()
		if err := decode(in); err != nil {
			return nil, err
		}
		info := &grpc.UnaryServerInfo{Server: service, FullMethod: method}
		return interceptor(ctx, in, info, func(ctx context.Context, in interface{}) (interface{}, error) {
			return call(service.(CacheService), ctx, in)
		})
	}
}

var cacheService = grpc.ServiceDesc{
	ServiceName: "grpc1.CacheService",
	HandlerType: (*CacheService)(nil),
	Methods: []grpc.MethodDesc{
		{MethodName: "Get", Handler: unary(getMethod,
			func() interface{} { return new(GetReq) },
			func(s CacheService, ctx context.Context, in interface{}) (interface{}, error) {
				return s.Get(ctx, in.(*GetReq))
			},
		)},
		{MethodName: "Store", Handler: unary(storeMethod,
			func() interface{} { return new(StoreReq) },
			func(s CacheService, ctx context.Context, in interface{}) (interface{}, error) {
				return s.Store(ctx, in.(*StoreReq))
			},
		)},
	},
	Streams: []grpc.StreamDesc{{
		StreamName:    "Dump",
		ServerStreams: true,
		Handler: func(service interface{}, stream grpc.ServerStream) error {
			in := new(DumpReq)
			if err := stream.RecvMsg(in); err != nil {
				return err
			}
			return service.(CacheService).Dump(in, stream)
		},
	}},
}
