package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
)

// readPayloads takes requests that somebody else encoded: each its length as a varint, then its
// bytes.
func readPayloads(path string) (*payloads, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	reader := bufio.NewReader(file)
	p := &payloads{}
	for {
		size, err := binary.ReadUvarint(reader)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		message := make([]byte, size)
		if _, err := io.ReadFull(reader, message); err != nil {
			return nil, err
		}
		p.encoded = append(p.encoded, message)
		p.ids = append(p.ids, "")
	}
	if len(p.encoded) == 0 {
		return nil, fmt.Errorf("%s holds no request", path)
	}
	return p, nil
}

// pacedWorkers make calls at a fixed rate, whatever the answers take (open loop). A call that finds
// every worker busy counts from when it was due, so that a slow answer is not hidden by calls that
// were never made; one that was only slept for counts from the end of that sleep, which Go's timers
// may make a millisecond long.
func pacedWorkers(o Options, conns []*grpc.ClientConn, m *meter) []func() {
	interval := time.Duration(float64(time.Second) / o.Rate)
	start := time.Now()
	var next atomic.Int64
	var workers []func()
	for i := range o.InFlight {
		conn, r := conns[i%len(conns)], m.recorder()
		workers = append(workers, func() {
			for !m.done() {
				number := next.Add(1)
				begun := start.Add(time.Duration(number) * interval)
				if pause := time.Until(begun); pause > 0 {
					time.Sleep(pause)
					begun = time.Now()
				}
				callAt(conn, r, int(number)%len(m.payloads.encoded), begun)
			}
		})
	}
	return workers
}

// pushOnce sends every payload over one client stream and waits for the one answer; the rate
// counts until then, when all of it is durable.
func pushOnce(o Options, conns []*grpc.ClientConn, m *meter) *Result {
	ctx, cancel := context.WithTimeout(context.Background(), 10*callTimeout)
	defer cancel()
	before, start := readCpu(o.ServerPid), time.Now()
	err := push(ctx, conns[0], o.Method, m.payloads)
	elapsed := time.Since(start).Seconds()
	if err != nil {
		m.fail(err)
	}
	count := uint64(len(m.payloads.encoded))
	result := m.result(o, elapsed, before, readCpu(o.ServerPid))
	result.Count, result.Rows = count, count*uint64(o.Rows)
	result.Rate = float64(count) / elapsed
	result.RowRate = float64(result.Rows) / elapsed
	return result
}

func push(ctx context.Context, conn *grpc.ClientConn, method string, p *payloads) error {
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true}, method)
	if err != nil {
		return err
	}
	for i := range p.encoded {
		if err := stream.SendMsg(&p.encoded[i]); err != nil {
			break // The answer says why.
		}
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	return stream.RecvMsg(&received{})
}
