package main

import (
	"context"
	"fmt"
	"io"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
)

// echoCodec is rawCodec seen from the server.
type echoCodec struct{}

func (echoCodec) Name() string { return "proto" }

func (echoCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*[]byte))}, nil
}

func (echoCodec) Unmarshal(mem.BufferSlice, any) error { return nil }

// serveEcho answers both methods with the same bytes. It is there to show how much load this
// process can make at most when the server costs next to nothing.
func serveEcho(address string, answerBytes int) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	answer := make([]byte, answerBytes)
	infer := func(_ any, _ context.Context, read func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		return &answer, read(nil)
	}
	streamInfer := func(_ any, stream grpc.ServerStream) error {
		for {
			if err := stream.RecvMsg(nil); err == io.EOF {
				return nil
			} else if err != nil {
				return err
			}
			if err := stream.SendMsg(&answer); err != nil {
				return err
			}
		}
	}
	server := grpc.NewServer(grpc.ForceServerCodecV2(echoCodec{}))
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "inference.GRPCInferenceService",
		HandlerType: (*any)(nil),
		Methods:     []grpc.MethodDesc{{MethodName: "ModelInfer", Handler: infer}},
		Streams: []grpc.StreamDesc{{
			StreamName: "ModelStreamInfer", Handler: streamInfer,
			ClientStreams: true, ServerStreams: true,
		}},
	}, nil)
	fmt.Printf("{\"address\":%q}\n", listener.Addr().String())
	return server.Serve(listener)
}
