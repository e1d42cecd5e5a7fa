package main

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
)

const (
	unaryMethod  = "/inference.GRPCInferenceService/ModelInfer"
	streamMethod = "/inference.GRPCInferenceService/ModelStreamInfer"
	// Clients set deadlines; this one is never meant to pass.
	callTimeout = 30 * time.Second
	messageMax  = 64 << 20
	// Large enough that the window of messages, not of bytes, is what bounds a stream.
	windowBytes = 8 << 20
	// A server that refuses everything shall not make this process spin.
	pauseAfterError = time.Millisecond
)

// rawCodec sends a []byte as it is and leaves an answer in the buffers it came in.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*[]byte))}, nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	in := v.(*received)
	if in.keep {
		in.bytes = data.Materialize()
	}
	return nil
}

// received takes an answer; its bytes are only copied out when they shall be looked into.
type received struct {
	keep  bool
	bytes []byte
}

func dial(target string, count int) ([]*grpc.ClientConn, error) {
	var conns []*grpc.ClientConn
	for range count {
		conn, err := grpc.NewClient("passthrough:///"+target,
			grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithInitialWindowSize(windowBytes),
			grpc.WithInitialConnWindowSize(windowBytes),
			grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec{}),
				grpc.MaxCallRecvMsgSize(messageMax), grpc.MaxCallSendMsgSize(messageMax)))
		if err != nil {
			return nil, err
		}
		conns = append(conns, conn)
	}
	return conns, nil
}

// unaryWorkers keep one call in flight each.
func unaryWorkers(o Options, conns []*grpc.ClientConn, m *meter) []func() {
	var workers []func()
	for i := range o.InFlight {
		conn, r := conns[i%len(conns)], m.recorder()
		workers = append(workers, func() {
			for next := i % len(m.payloads.encoded); !m.done(); {
				call(conn, r, next)
				if next++; next == len(m.payloads.encoded) {
					next = 0
				}
			}
		})
	}
	return workers
}

func call(conn *grpc.ClientConn, r *recorder, index int) {
	callAt(conn, r, index, time.Now())
}

// callAt counts the call from when it should have begun.
func callAt(conn *grpc.ClientConn, r *recorder, index int, started time.Time) {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	answer := received{keep: r.due()}
	if err := conn.Invoke(ctx, r.meter.method, &r.meter.payloads.encoded[index], &answer); err != nil {
		r.meter.fail(err)
		time.Sleep(pauseAfterError)
		return
	}
	r.record(started)
	if answer.keep {
		r.meter.check(index, answer.bytes, false)
	}
}

// streamWorkers are a writer and a reader a stream; the writer waits while a window of messages
// is unanswered. Answers must come in the order of the requests.
func streamWorkers(o Options, conns []*grpc.ClientConn, m *meter) []func() {
	window := max(1, o.InFlight/o.Streams)
	timeout := seconds(o.WarmUp+o.Seconds) + callTimeout
	var workers []func()
	for i := range o.Streams {
		conn, r := conns[i%len(conns)], m.recorder()
		workers = append(workers, func() {
			ctx, cancel := context.WithTimeout(context.Background(), timeout)
			defer cancel()
			description := &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}
			stream, err := conn.NewStream(ctx, description, streamMethod)
			if err != nil {
				m.fail(fmt.Errorf("stream %d: %w", i, err))
				return
			}
			slots, sent := make(chan struct{}, window), make(chan time.Time, window)
			go write(stream, m, slots, sent)
			read(stream, r, slots, sent)
		})
	}
	return workers
}

func write(stream grpc.ClientStream, m *meter, slots chan<- struct{}, sent chan<- time.Time) {
	for index := 0; !m.done(); {
		slots <- struct{}{}
		sent <- time.Now()
		if err := stream.SendMsg(&m.payloads.encoded[index]); err != nil {
			return // The reader gets the reason.
		}
		if index++; index == len(m.payloads.encoded) {
			index = 0
		}
	}
}

func read(stream grpc.ClientStream, r *recorder, slots <-chan struct{}, sent <-chan time.Time) {
	for index := 0; !r.meter.done(); {
		answer := received{keep: r.due()}
		if err := stream.RecvMsg(&answer); err != nil {
			r.meter.fail(err)
			return
		}
		r.record(<-sent)
		<-slots
		if answer.keep {
			r.meter.check(index, answer.bytes, true)
		}
		if index++; index == len(r.meter.payloads.encoded) {
			index = 0
		}
	}
}
