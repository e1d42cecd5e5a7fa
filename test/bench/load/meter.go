package main

import (
	"fmt"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
)

const (
	warming int32 = iota
	measuring
	finished
)

// A value of n bits falls in one of 128 equal parts of its power of two: within 0.8 %.
const (
	partsBits = 7
	parts     = 1 << partsBits
	buckets   = (64 - partsBits) * parts
)

// histogram counts nanoseconds. One worker writes it; it is read at the end.
type histogram struct {
	counts [buckets]uint32
	max    uint64
}

func (h *histogram) add(ns uint64) {
	h.counts[bucketOf(ns)]++
	h.max = max(h.max, ns)
}

func bucketOf(ns uint64) int {
	shift := max(0, bits.Len64(ns)-partsBits-1)
	return shift<<partsBits + int(ns>>shift)
}

// valueOf is the middle of a bucket.
func valueOf(bucket int) float64 {
	if bucket < 2*parts {
		return float64(bucket)
	}
	shift := bucket>>partsBits - 1
	return (float64(bucket-shift<<partsBits) + 0.5) * float64(uint64(1)<<shift)
}

// meter collects from all workers.
type meter struct {
	payloads   *payloads
	method     string
	checkEvery int
	phase      atomic.Int32

	mutex      sync.Mutex
	recorders  []*recorder
	errors     uint64
	checked    uint64
	firstError string
	output     []float32
}

// recorder belongs to one worker. Its mutex is free but for the one reading at the end.
type recorder struct {
	meter     *meter
	mutex     sync.Mutex
	histogram histogram
	count     uint64
	seen      int
}

func newMeter(p *payloads, method string, checkEvery int) *meter {
	return &meter{payloads: p, method: method, checkEvery: checkEvery}
}

func (m *meter) recorder() *recorder {
	r := &recorder{meter: m}
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.recorders = append(m.recorders, r)
	return r
}

func (m *meter) done() bool {
	return m.phase.Load() == finished
}

// due says whether this answer is one to look into; the first always is.
func (r *recorder) due() bool {
	if r.meter.checkEvery == 0 {
		return false
	}
	r.seen++
	return r.seen%r.meter.checkEvery == 1
}

func (r *recorder) record(started time.Time) {
	if r.meter.phase.Load() != measuring {
		return
	}
	took := time.Since(started)
	r.mutex.Lock()
	r.histogram.add(uint64(took))
	r.count++
	r.mutex.Unlock()
}

func (m *meter) check(index int, message []byte, stream bool) {
	a, err := decodeAnswer(message, stream)
	if err == nil && a.id != m.payloads.ids[index] {
		err = fmt.Errorf("expected the answer to %q, got that to %q", m.payloads.ids[index], a.id)
	}
	if err != nil {
		m.fail(err)
		return
	}
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.checked++
	if index == 0 && m.output == nil {
		m.output = a.output
	}
}

// fail counts an error, unless it comes from the load being over.
func (m *meter) fail(err error) {
	if m.done() {
		return
	}
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.errors++
	if m.firstError == "" {
		m.firstError = err.Error()
	}
}

func (m *meter) result(o Options, elapsed float64, before, after cpu) *Result {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	total := histogram{}
	count := uint64(0)
	for _, r := range m.recorders {
		r.mutex.Lock()
		for i, n := range r.histogram.counts {
			total.counts[i] += n
		}
		total.max = max(total.max, r.histogram.max)
		count += r.count
		r.mutex.Unlock()
	}
	load := (after.load - before.load) / elapsed
	server := (after.server - before.server) / elapsed
	return &Result{
		Count: count, Rows: count * uint64(o.Rows), Seconds: elapsed,
		Rate: float64(count) / elapsed, RowRate: float64(count) * float64(o.Rows) / elapsed,
		P50: total.quantile(count, 0.5), P90: total.quantile(count, 0.9),
		P99: total.quantile(count, 0.99), Max: float64(total.max) / 1e6,
		Errors: m.errors, FirstError: m.firstError, Checked: m.checked, Output: m.output,
		LoadCpu: load, ServerCpu: server,
		OtherCpu: max(0, (after.machine-before.machine)/elapsed-load-server),
	}
}

// quantile is in milliseconds.
func (h *histogram) quantile(count uint64, q float64) float64 {
	rank := uint64(q * float64(count))
	seen := uint64(0)
	for i, n := range h.counts {
		seen += uint64(n)
		if seen > rank {
			return valueOf(i) / 1e6
		}
	}
	return float64(h.max) / 1e6
}
