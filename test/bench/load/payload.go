package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
)

// Requests differ in id and values, so that an answer to another request is noticed. They are
// encoded once; the count is cut where they would be large.
const (
	payloadsMax      = 256
	payloadsBytesMax = 32 << 20
)

type payloads struct {
	encoded [][]byte
	ids     []string
}

func newPayloads(o Options) *payloads {
	rowBytes := o.Rows * o.Cols * 4
	count := max(2, min(payloadsMax, payloadsBytesMax/rowBytes))
	p := &payloads{}
	state := o.Seed*0x9e3779b97f4a7c15 + 1
	for i := range count {
		values := make([]byte, 0, rowBytes)
		for range o.Rows * o.Cols {
			// Knuth's linear congruential generator; 24 bits fill a float's mantissa, in [-1, 1).
			state = state*6364136223846793005 + 1442695040888963407
			value := float32(state>>40)/(1<<23) - 1
			values = binary.LittleEndian.AppendUint32(values, math.Float32bits(value))
		}
		id := strconv.Itoa(i)
		p.ids = append(p.ids, id)
		p.encoded = append(p.encoded, encodeRequest(o, id, values))
	}
	return p
}

// encodeRequest writes an inference.ModelInferRequest with raw contents.
func encodeRequest(o Options, id string, values []byte) []byte {
	var shape []byte
	shape = binary.AppendUvarint(shape, uint64(o.Rows))
	shape = binary.AppendUvarint(shape, uint64(o.Cols))
	var input []byte
	input = appendBytes(input, 1, []byte(o.Input))
	input = appendBytes(input, 2, []byte("FP32"))
	input = appendBytes(input, 3, shape)
	var request []byte
	request = appendBytes(request, 1, []byte(o.Model))
	request = appendBytes(request, 3, []byte(id))
	request = appendBytes(request, 5, input)
	return appendBytes(request, 7, values)
}

func appendBytes(out []byte, field int, value []byte) []byte {
	out = binary.AppendUvarint(out, uint64(field)<<3|2)
	out = binary.AppendUvarint(out, uint64(len(value)))
	return append(out, value...)
}

// answer is what the check needs of an inference.ModelInferResponse.
type answer struct {
	id     string
	output []float32
}

// decodeAnswer reads the id and the first values of the first raw output.
func decodeAnswer(message []byte, stream bool) (answer, error) {
	if stream {
		var inner []byte
		err := eachField(message, func(field uint64, value []byte) error {
			if field == 1 && len(value) > 0 {
				return fmt.Errorf("error_message: %s", value)
			}
			if field == 2 {
				inner = value
			}
			return nil
		})
		if err != nil {
			return answer{}, err
		}
		message = inner
	}
	a := answer{}
	err := eachField(message, func(field uint64, value []byte) error {
		if field == 3 {
			a.id = string(value)
		}
		if field == 6 && a.output == nil {
			for i := 0; i+4 <= len(value) && i < 32; i += 4 {
				bits := binary.LittleEndian.Uint32(value[i:])
				a.output = append(a.output, math.Float32frombits(bits))
			}
		}
		return nil
	})
	if err == nil && a.output == nil {
		err = errors.New("the answer has no raw output")
	}
	return a, err
}

// eachField visits the length-delimited fields of a message that has no fixed-width ones.
func eachField(message []byte, visit func(field uint64, value []byte) error) error {
	for len(message) > 0 {
		tag, n := binary.Uvarint(message)
		if n <= 0 {
			return errors.New("the answer is not a protobuf message")
		}
		value, m := binary.Uvarint(message[n:])
		if m <= 0 {
			return errors.New("the answer is cut off")
		}
		message = message[n+m:]
		if tag&7 == 0 {
			continue
		}
		if tag&7 != 2 || value > uint64(len(message)) {
			return errors.New("the answer is not a protobuf message")
		}
		if err := visit(tag>>3, message[:value]); err != nil {
			return err
		}
		message = message[value:]
	}
	return nil
}
