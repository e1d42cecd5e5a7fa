// Load for the bench: a process of its own that keeps a fixed number of requests in flight
// (closed loop) against one inference server and prints one line of JSON about it. It handles
// messages as bytes, encoded beforehand and hardly looked at afterwards, so that on a machine with
// few cores most of the time is left to the server.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"runtime"
	"time"
)

// Options are the command line.
type Options struct {
	Target      string
	Mode        string
	InFlight    int
	Connections int
	Streams     int
	Model       string
	Input       string
	Rows        int
	Cols        int
	Seconds     float64
	WarmUp      float64
	ServerPid   int
	Seed        uint64
	CheckEvery  int
	Procs       int
	Method      string
	Payloads    string
	Rate        float64
}

// Result is what one run says; times are in milliseconds.
type Result struct {
	Count      uint64    `json:"count"`
	Rows       uint64    `json:"rows"`
	Seconds    float64   `json:"seconds"`
	Rate       float64   `json:"rate"`
	RowRate    float64   `json:"rowRate"`
	P50        float64   `json:"p50Ms"`
	P90        float64   `json:"p90Ms"`
	P99        float64   `json:"p99Ms"`
	Max        float64   `json:"maxMs"`
	Errors     uint64    `json:"errors"`
	FirstError string    `json:"firstError,omitempty"`
	Checked    uint64    `json:"checked"`
	Output     []float32 `json:"output"`
	LoadCpu    float64   `json:"loadCores"`
	ServerCpu  float64   `json:"serverCores"`
	OtherCpu   float64   `json:"otherCores"`
}

func main() {
	log.SetFlags(0)
	o := Options{}
	serve := flag.String("serve", "", "serve as an echo on this address instead, to calibrate")
	answerBytes := flag.Int("answer-bytes", 64, "with -serve: the size of the answers")
	flag.StringVar(&o.Target, "target", "", "host:port of the server")
	flag.StringVar(&o.Mode, "mode", "unary", "unary, stream, or push: all payloads over one client stream")
	flag.IntVar(&o.InFlight, "in-flight", 128, "requests in flight, over all connections and streams")
	flag.IntVar(&o.Connections, "connections", 4, "HTTP/2 connections")
	flag.IntVar(&o.Streams, "streams", 4, "with -mode stream: streams, spread over the connections")
	flag.StringVar(&o.Model, "model", "", "model_name")
	flag.StringVar(&o.Input, "input", "input", "name of the input, FP32")
	flag.IntVar(&o.Rows, "rows", 1, "rows of one request")
	flag.IntVar(&o.Cols, "cols", 30, "columns of one row")
	flag.Float64Var(&o.Seconds, "seconds", 4, "measured time")
	flag.Float64Var(&o.WarmUp, "warm-up", 1, "seconds of load before the measured time")
	flag.IntVar(&o.ServerPid, "server-pid", 0, "the server's process, to read its CPU time")
	flag.Uint64Var(&o.Seed, "seed", 1, "seed of the input values")
	flag.IntVar(&o.CheckEvery, "check-every", 61, "look into each N-th answer; 0: never")
	flag.IntVar(&o.Procs, "procs", 1, "Go threads at work at once; one takes least from the server")
	flag.StringVar(&o.Method, "method", unaryMethod, "with -mode unary or push: the RPC's path")
	flag.StringVar(&o.Payloads, "payloads", "", "file of encoded requests; absent: made from a seed")
	flag.Float64Var(&o.Rate, "rate", 0, "calls a second, whatever the answers take; 0: as many as go")
	flag.Parse()
	runtime.GOMAXPROCS(o.Procs)
	if *serve != "" {
		log.Fatal(serveEcho(*serve, *answerBytes))
	}
	result, err := run(o)
	if err != nil {
		log.Fatal(err)
	}
	line, err := json.Marshal(result)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Fprintln(os.Stdout, string(line))
}

func run(o Options) (*Result, error) {
	conns, err := dial(o.Target, o.Connections)
	if err != nil {
		return nil, err
	}
	requests := newPayloads(o)
	if o.Payloads != "" {
		if requests, err = readPayloads(o.Payloads); err != nil {
			return nil, err
		}
		o.CheckEvery = 0
	}
	m := newMeter(requests, o.Method, o.CheckEvery)
	var workers []func()
	switch o.Mode {
	case "push":
		return pushOnce(o, conns, m), nil
	case "unary":
		if o.Rate > 0 {
			workers = pacedWorkers(o, conns, m)
			break
		}
		workers = unaryWorkers(o, conns, m)
	case "stream":
		workers = streamWorkers(o, conns, m)
	default:
		return nil, fmt.Errorf("-mode %q: expected unary, stream or push", o.Mode)
	}
	for _, work := range workers {
		go work()
	}
	time.Sleep(seconds(o.WarmUp))
	before := readCpu(o.ServerPid)
	m.phase.Store(measuring)
	start := time.Now()
	time.Sleep(seconds(o.Seconds))
	m.phase.Store(finished)
	elapsed := time.Since(start).Seconds()
	after := readCpu(o.ServerPid)
	return m.result(o, elapsed, before, after), nil
}

func seconds(s float64) time.Duration {
	return time.Duration(s * float64(time.Second))
}
