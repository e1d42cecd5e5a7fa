package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// Linux counts processor time in hundredths of a second, whatever the kernel's own tick.
const ticksPerSecond = 100

// cpu is processor time in seconds since some start: of this process, of the server's process
// with all its threads, and of everything on the machine.
type cpu struct {
	load    float64
	server  float64
	machine float64
}

func readCpu(serverPid int) cpu {
	c := cpu{machine: readMachine()}
	usage := syscall.Rusage{}
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) == nil {
		c.load = float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
	}
	if serverPid != 0 {
		c.server = readProcess(serverPid)
	}
	return c
}

// readProcess reads utime and stime, the 14th and 15th fields; the 2nd, in brackets, may hold spaces.
func readProcess(pid int) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	return sum(strings.Fields(rest), 11, 12)
}

// readMachine adds user, nice, system, irq, softirq; idle, iowait and steal are not work of ours.
func readMachine() float64 {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return sum(strings.Fields(line), 1, 2, 3, 6, 7)
}

func sum(fields []string, positions ...int) float64 {
	total := 0.0
	for _, i := range positions {
		if i < len(fields) {
			ticks, _ := strconv.ParseFloat(fields[i], 64)
			total += ticks
		}
	}
	return total / ticksPerSecond
}
